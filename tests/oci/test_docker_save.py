"""An image that `docker save` wrote becomes one of the layout's."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path

import pytest

from mlship.errors import Exit, MlshipError
from mlship.oci.docker_save import read_saved
from mlship.oci.layout import Layout


def tar_of(files: dict[str, bytes]) -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return raw.getvalue()


LAYERS = (tar_of({"base": b"one"}), tar_of({"model": b"two"}))
CONFIG = {
    "architecture": "amd64",
    "container": "an id of the build",
    "config": {"Env": ["A=1"], "Cmd": ["serve"], "Labels": {"mlship.project": "churn"}, "Image": "sha256:0", "Volumes": None},
}


def saved(folder: Path, **changes: bytes) -> Path:
    files = {
        "manifest.json": json.dumps([{"Config": "c.json", "Layers": ["a/layer.tar", "b/layer.tar"]}]).encode(),
        "c.json": json.dumps(CONFIG).encode(),
        "a/layer.tar": LAYERS[0],
        "b/layer.tar": LAYERS[1],
        **changes,
    }
    path = folder / "image.tar"
    path.write_bytes(tar_of(files))
    return path


def test_layers_keep_their_content_and_get_their_names(tmp_path: Path) -> None:
    image = read_saved(saved(tmp_path), Layout(tmp_path / "images"), "linux/amd64", [("model", "churn")])
    assert [layer.diff_id for layer in image.layers] == [f"sha256:{hashlib.sha256(raw).hexdigest()}" for raw in LAYERS]
    assert [(layer.role, layer.name) for layer in image.layers] == [("", ""), ("model", "churn")]


def test_the_engines_notes_about_the_build_are_left_out(tmp_path: Path) -> None:
    image = read_saved(saved(tmp_path), Layout(tmp_path / "images"), "linux/amd64", [])
    assert set(image.config["config"]) == {"Env", "Cmd", "Labels"}
    assert image.labels["mlship.project"] == "churn"


@pytest.mark.parametrize("changes", [{"manifest.json": b"{"}, {"manifest.json": b"[]"}, {"c.json": b"[]"}])
def test_an_archive_that_is_none_is_one_clear_error(tmp_path: Path, changes: dict[str, bytes]) -> None:
    with pytest.raises(MlshipError, match="what docker save wrote cannot be read") as failed:
        read_saved(saved(tmp_path, **changes), Layout(tmp_path / "images"), "linux/amd64", [])
    assert failed.value.exit is Exit.BUILD_FAILED
