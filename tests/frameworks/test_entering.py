"""What of a folder may enter an image: the user's files, and nothing that mlship or another tool wrote there."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from mlship.disk import tag_as_made
from mlship.errors import MlshipError
from mlship.frameworks.code import code_files
from mlship.frameworks.digest import FileDigests, model_files
from mlship.frameworks.entering import files_of
from mlship.frameworks.specs import refuse_links
from mlship.oci.archive import ACCOUNT, HEAD


def put(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x = 1\n")


def archive(path: Path, first: str) -> None:
    with tarfile.open(path, "w") as tar:
        tar.addfile(tarfile.TarInfo(first), io.BytesIO())


def test_what_builds_write_and_tools_leave_is_not_taken(tmp_path: Path):
    put(tmp_path, "churn/model.py", "churn/data/a.json", "churn/data/weights.tar")
    taken = {path.relative_to(tmp_path).as_posix() for path in files_of(tmp_path)}
    put(tmp_path, "churn/mlship.yaml", "churn/mlship.lock", "churn/sbom/churn.spdx.json", "churn/sbom/churn.cdx.json")
    put(
        tmp_path, "churn/.git/config", "churn/.mlship/x", "churn/.env", "churn/__pycache__/model.pyc", "churn/node_modules/a.js"
    )
    put(tmp_path, "churn/venv/pyvenv.cfg", "churn/venv/lib/a.py", "churn/out/apply/a.yaml", "churn/out/eject/b.yaml")
    put(tmp_path, "churn/context/Dockerfile", "churn/home/cache/a.py")
    tag_as_made(tmp_path / "churn/context")
    archive(tmp_path / "churn/churn.tar", min(HEAD, ACCOUNT))  # members stand in the order of their names
    archive(tmp_path / "churn/own.tar", "data.csv")
    now = {path.relative_to(tmp_path).as_posix() for path in files_of(tmp_path, [tmp_path / "churn/home"])}
    assert now == {*taken, "churn/own.tar"}
    found, findings = code_files(tmp_path, ["churn/"], "", [tmp_path / "churn/home"])
    assert ({file.name for file in found}, findings) == (now, ())
    assert {f"churn/{file.name}" for file in model_files(tmp_path / "churn", FileDigests(), [tmp_path / "churn/home"])} == now


def test_two_modules_of_one_name_are_told(tmp_path: Path):
    put(tmp_path, "a/net.py", "b/net.py")
    assert code_files(tmp_path, ["a/net.py", "b/net.py"], "")[1] == ()  # of the same bytes
    (tmp_path / "b/net.py").write_text("x = 2\n")
    _, findings = code_files(tmp_path, ["a/net.py", "b/net.py"], "mlship.yaml:2 model.code")
    assert [(finding.what, finding.where) for finding in findings] == [
        ("a/net.py and b/net.py would both be net.py in the image", "mlship.yaml:2 model.code")
    ]
    assert "rename" in findings[0].fix


def test_circles_of_links_and_links_to_folders_are_told(tmp_path: Path):
    put(tmp_path, "churn/model.py", "churn/real/a.py")
    (tmp_path / "churn/circle").symlink_to("circle")
    (tmp_path / "churn/again").symlink_to(".")
    (tmp_path / "churn/out").symlink_to("/etc/hostname")
    _, findings = code_files(tmp_path, ["churn/"], "")
    assert [finding.what for finding in findings] == [
        "churn/again is a link to what is no file",
        "churn/circle is a link to what is no file",
        "churn/out leads out of the project's folder",
    ]


@pytest.mark.parametrize(
    ("goal", "said"),
    [("circle", "is a link to what is no file"), ("..", "is a link to what is no file"), ("/etc/hostname", "leads out of")],
)
def test_a_models_folder_is_judged_likewise(goal: str, said: str, tmp_path: Path):
    put(tmp_path, "shop/models/a.bin")
    (tmp_path / "shop/models/circle").symlink_to(goal)
    with pytest.raises(MlshipError, match=f"circle in models {said}"):
        refuse_links(tmp_path / "shop", tmp_path / "shop/models", (), "")
