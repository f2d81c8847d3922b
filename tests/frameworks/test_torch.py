"""PyTorch's files are told apart without unpickling; weights ask for their class by name, and nothing hides in a program."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from torch_bytes import (
    CHECKPOINT,
    EVIL,
    STATE,
    TENSOR,
    WHOLE,
    archive,
    exported,
    pickled,
    safetensors,
    saved,
    script,
    two_lists,
)

from mlship.errors import Finding, MlshipError
from mlship.frameworks.base import Asked, Read
from mlship.frameworks.detect import detect
from mlship.frameworks.loaded_by import framework_of_loader
from mlship.frameworks.torch import networks, read_torch
from mlship.server.pickle_scan import Refused, scan
from mlship.server.torch_scan import OLD, allow, scan_torch

TWO = {
    "a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
    "b": {"dtype": "F32", "shape": [2], "data_offsets": [8, 16]},
}


def read(folder: Path, raw: bytes, loader: str = "", name: str = "net.pt") -> Read:
    (folder / name).write_bytes(raw)
    return read_torch(Asked(folder / name, detect(folder / name).format, "mlship.yaml:2", scan, loader=loader, root=folder))


def only(found: Read) -> Finding:
    (finding,) = found.findings
    assert finding.severity == "error" and finding.fix, finding
    return finding


@pytest.mark.parametrize(
    ("raw", "name", "format"),
    [
        (saved(), "net.pt", "state_dict"),
        (saved(CHECKPOINT), "last.ckpt", "state_dict"),
        (safetensors(TWO), "model.safetensors", "safetensors"),
        (script(), "net.pt", "torchscript"),
        (exported(), "net.pt2", "pt2"),
    ],
)
def test_each_form_is_known_by_what_lies_in_it(tmp_path: Path, raw: bytes, name: str, format: str) -> None:
    has_loader = format in ("state_dict", "safetensors")
    found = read(tmp_path, raw, "net:Net" if has_loader else "", name)
    assert (found.format, found.findings) == (format, ())
    assert found.modules == ({"torch", "safetensors"} if format == "safetensors" else {"torch"})
    assert framework_of_loader(tmp_path / name) == ("torch" if has_loader else "python")


def test_weights_ask_for_the_class_that_the_project_has(tmp_path: Path) -> None:
    lacking = only(read(tmp_path, saved()))
    assert lacking.what == "net.pt holds 2 tensors (l.weight, l.bias): weights without the model that they belong to"
    assert lacking.fix.startswith("write loader: module:Class, your torch.nn.Module")
    (tmp_path / "nets").mkdir()
    (tmp_path / "nets" / "small.py").write_text("from torch import nn\nclass Small(nn.Module): pass\nclass Other: pass\n")
    (tmp_path / "broken.py").write_text("class (")
    assert networks(tmp_path) == ("nets.small:Small",)
    assert only(read(tmp_path, saved())).fix == (
        "write loader: nets.small:Small, and code: [nets/small.py]; or: mlship init --loader nets.small:Small"
    )
    assert "a checkpoint (epoch, model_state_dict)" in only(read(tmp_path, saved(CHECKPOINT))).what
    assert "2 tensors (a, b)" in only(read(tmp_path, safetensors(TWO), name="m.safetensors")).what


def test_a_program_with_a_loader_says_that_it_needs_none(tmp_path: Path) -> None:
    assert "is a program that needs no loader" in only(read(tmp_path, script(), "net:Net")).what


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (saved(WHOLE), "refers to __main__.Net: a whole model is pickled in it"),
        (saved(EVIL), "refers to posix.system: a whole model is pickled in it, or more than weights"),
        (saved(pickled(("w", TENSOR), ("x", EVIL[2:-1]))), "refers to posix.system"),
        (saved(b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x02id\x85R."), "refers to posix.system"),
        (saved(STATE[:-9]), "the file ends in the middle"),
        (OLD + b"\x80\x02M\xe9\x03.", "it was written in the form that PyTorch had before 1.6"),
        (saved(b"\x80\x02K\x01."), "holds no dict of tensors"),
        (archive({"data.pkl": STATE, "Data.PKL": EVIL}), "names that stand for more than one file"),
        (archive({"data.pkl": STATE, "../x/data.pkl": EVIL}), "names that stand for more than one file"),
        (archive({"a/data.pkl": STATE, "b/data.pkl": EVIL}, root=""), "not all in one folder"),
        (saved()[:-30], "damaged"),
    ],
)
def test_what_is_more_than_weights_is_refused_in_words(tmp_path: Path, raw: bytes, words: str) -> None:
    try:
        finding = only(read(tmp_path, raw))
    except MlshipError as error:  # already told apart by its first bytes
        assert words in error.what
    else:
        assert words in finding.what and finding.what.startswith("net.pt")


@pytest.mark.parametrize(
    ("pickle", "words"),
    [
        (WHOLE, "model = torch.load(FILE, weights_only=False); torch.save(model.state_dict(), 'net.pt')"),
        (
            pickled(("state_dict", STATE[2:-1]), ("settings", b"cargparse\nNamespace\n)R"), ordered=False),
            "saved = torch.load(FILE, weights_only=False); torch.save(saved['state_dict'], 'net.pt')",
        ),
    ],
)
def test_a_file_with_more_than_weights_names_the_two_lines_that_save_them_alone(
    tmp_path: Path, pickle: bytes, words: str
) -> None:
    assert words in only(read(tmp_path, saved(pickle))).fix


def doubled() -> bytes:
    """Two files of one name: PyTorch's reader and Python's need not take the same."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file, pytest.warns(UserWarning, match="Duplicate"):
        for pickle in (EVIL, STATE):
            file.writestr("net/data.pkl", pickle)
    return buffer.getvalue()


def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    assert "stand for more than one file" in only(read(tmp_path, doubled(), "net:Net")).what


@pytest.mark.parametrize("raw", [two_lists(saved(), saved(EVIL)), saved() + b"more", b"PK\x03\x04" + saved()])
def test_an_archive_that_two_readers_see_in_two_ways_is_refused(tmp_path: Path, raw: bytes) -> None:
    (tmp_path / "net.pt").write_bytes(raw)
    with pytest.raises(Refused, match=r"two readers would see two archives|the archive is damaged"):
        scan_torch(tmp_path / "net.pt")


@pytest.mark.parametrize(
    "call", ["torch.save(x, 'f')", "ops.aten.from_file('f')", "(torch. # x\n  save)(x, 'f')", "torch.\\\n save(x)"]
)
def test_a_program_that_reaches_files_is_refused(tmp_path: Path, call: str) -> None:
    assert "reads or writes files" in only(read(tmp_path, script(f"def forward(x):\n  {call}\n".encode()))).what


PICKLE = {"w": {"path_name": "weight_0", "use_pickle": True}}


@pytest.mark.parametrize(
    ("more", "weights", "words"),
    [
        ({"data/sample_inputs/model.pt": saved(EVIL)}, None, "refers to posix.system among its tensors"),
        ({"data/sample_inputs/model.pt": EVIL}, None, "the archive is damaged"),
        ({"data/sample_inputs/model.pt": script()}, None, "is no file of tensors"),
        ({"data/weights/weight_0": saved(EVIL)}, PICKLE, "refers to posix.system among its tensors"),
        ({"data/constants/opaque_obj_0": EVIL}, None, "objects that are unpickled"),
        ({}, {"w": {"path_name": "opaque_obj_1", "use_pickle": True}}, "objects that are unpickled"),
        ({}, {"w": {"path_name": "../../x", "use_pickle": True}}, "objects that are unpickled"),
        ({"data/weights/other_weights_config.json": b"["}, None, "cannot be read"),
        ({"data/constants/model.pt": saved(EVIL)}, None, "refers to posix.system among its tensors"),
        ({"data/aotinductor/model/x.so": b"\x7fELF"}, None, "machine code"),
    ],
)
def test_nothing_is_unpickled_with_a_program_but_tensors(
    tmp_path: Path, more: dict[str, bytes], weights: dict[str, Any] | None, words: str
) -> None:
    assert words in only(read(tmp_path, exported(weights, **more), name="net.pt2")).what


def test_a_program_of_an_older_export_is_told_to_be_written_anew(tmp_path: Path) -> None:
    raw = archive({"serialized_exported_program.json": b"{}", "version": b"8.1"}, root="")
    (tmp_path / "net.pt2").write_bytes(raw)
    with pytest.raises(Refused, match=r"exported with PyTorch before 2\.8"):
        allow(scan_torch(tmp_path / "net.pt2"))


@pytest.mark.parametrize(
    "raw",
    [
        safetensors(TWO, 12),
        safetensors({"a": {"data_offsets": [8, 4]}}),
        safetensors({"a": []}),
        (2**60).to_bytes(8, "little") + b'{"',
        (4).to_bytes(8, "little") + b'{"a"',
        json.dumps(TWO).encode()[:9],
    ],
)
def test_a_damaged_safetensors_file_is_refused(tmp_path: Path, raw: bytes) -> None:
    (tmp_path / "m.safetensors").write_bytes(raw)
    with pytest.raises(Refused, match="header"):
        scan_torch(tmp_path / "m.safetensors")
