"""A .mar archive is unpacked safely, and the file is served that its handler would load; nothing else of it runs."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

from mlship.errors import Finding, MlshipError
from mlship.frameworks.base import Packed
from mlship.frameworks.detect import detect
from mlship.frameworks.digest import FileDigests
from mlship.frameworks.packed import inner, unpacker, vouched
from mlship.memo import Memo

PICKLE = b"\x80\x02csklearn.pipeline\nPipeline\n)\x81}(V_sklearn_version\nV1.5.0\nVsteps\n]ub."
NET = b"import torch\nclass Net(torch.nn.Module): ...\n"


def files(**model: Any) -> dict[str, bytes]:
    manifest = {"model": {"serializedFile": "model.pkl", "handler": "base_handler", **model}}
    return {"MAR-INF/MANIFEST.json": json.dumps(manifest).encode(), "model.pkl": PICKLE, "net.py": NET}


def mar(root: Path, contents: dict[str, bytes], form: str = "zip") -> Path:
    path = root / f"iris.{'mar' if form != 'tar' else 'tar.gz'}"
    if form == "zip":
        with zipfile.ZipFile(path, "w") as opened:
            for name, content in contents.items():
                opened.writestr(name, content)
    elif form == "tar":
        raw = io.BytesIO()
        with tarfile.open(fileobj=raw, mode="w") as opened:
            for name, content in contents.items():
                info = tarfile.TarInfo(f"iris/{name}")
                info.size = len(content)
                opened.addfile(info, io.BytesIO(content))
        path.write_bytes(gzip.compress(raw.getvalue()))
    else:
        for name, content in contents.items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(content)
    return path


def opened(root: Path, path: Path) -> Packed:
    return inner(path, "model.uri", "", unpacker(Memo(root / "home" / "memo"), FileDigests()))[1]


@pytest.mark.parametrize("form", ["zip", "tar", "folder"])
def test_the_file_inside_is_what_is_served(tmp_path: Path, form: str) -> None:
    path = mar(tmp_path, files(modelFile="net.py"), form)
    assert detect(path).framework == "torchserve"
    packed = opened(tmp_path, path)
    assert packed.path.read_bytes() == PICKLE and packed.loader == "net:Net" and packed.findings == ()
    assert packed.code == packed.path.parent
    path.touch()
    assert opened(tmp_path, path).path == packed.path


@pytest.mark.parametrize(
    ("handler", "words"),
    [
        ("image_classifier", "TorchServe's image_classifier"),
        ("own.py", "its handler own"),
        ("own.py:handle", "its handler own"),
    ],
)
def test_a_handler_does_not_run_and_that_is_said(tmp_path: Path, handler: str, words: str) -> None:
    (finding,) = opened(tmp_path, mar(tmp_path, files(handler=handler))).findings
    assert words in finding.what and finding.severity == "note" and "serve.hooks" in finding.fix


@pytest.mark.parametrize(
    ("contents", "code"),
    [
        (files(serializedFile="../../etc/passwd"), "damaged-archive"),
        (files(serializedFile="gone.pt"), "damaged-archive"),
        (files(serializedFile=None), "no-serialized-file"),
        ({**files(), "MAR-INF/MANIFEST.json": b"[" * 99_999}, "damaged-archive"),
        ({**files(), "MAR-INF/MANIFEST.json": b'{"model": 1}'}, "no-serialized-file"),
        ({**files(), "../out": b"x"}, "hostile-archive"),
    ],
)
def test_an_archive_that_leads_elsewhere_or_holds_no_model_is_refused(
    tmp_path: Path, contents: dict[str, bytes], code: str
) -> None:
    with pytest.raises(MlshipError) as caught:
        opened(tmp_path, mar(tmp_path, contents))
    assert caught.value.code == code and caught.value.where == "model.uri"
    assert not (tmp_path / "home" / "out").exists()


def test_code_that_the_archive_brings_is_proposed_and_not_taken() -> None:
    lacking = Finding("weights alone", "model.uri", "write loader", code="missing-loader")
    (finding,) = vouched([lacking], Packed(Path("model.pt"), loader="net:Net"))
    assert "if you trust whoever packed it, write loader: net:Net" in finding.fix
