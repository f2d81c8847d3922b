"""DVC's pointers are read without DVC: from the working tree, from git, from its cache and from a plain remote."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path

import pytest

from mlship.errors import MlshipError
from mlship.runner import LocalRunner
from mlship.sources.base import Opening, Snapshot, Source
from mlship.sources.table import is_remote, open_source

MODEL = b"the bytes of a model"


def put(remote: Path, content: bytes, *, ending: str = "", is_old: bool = False) -> str:
    """As `dvc push` lays it down. Gives the MD5."""
    md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
    path = remote / ("" if is_old else "files/md5") / md5[:2] / f"{md5[2:]}{ending}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return f"{md5}{ending}"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "shop"
    (folder / ".dvc").mkdir(parents=True)
    (folder / "models").mkdir()
    (folder / ".dvc/config").write_text("[core]\n    remote = store\n['remote \"store\"']\n    url = ../../store\n")
    return folder


def opened(project: Path, address: str) -> Source:
    return open_source(Opening(address, project, {}, LocalRunner(), "mlship.yaml:2"))


def read(source: Source, found: Snapshot, start: int = 0) -> dict[str, bytes]:
    contents = {}
    for item in found.items:
        with source.read(item, start) as body:
            contents[item.name] = b"".join(body.pieces)
    return contents


def pointer(project: Path, md5: str, kind: str = "  hash: md5\n") -> None:
    (project / "models/churn.joblib.dvc").write_text(f"outs:\n- md5: {md5}\n  size: 20\n{kind}  path: churn.joblib\n")


@pytest.mark.parametrize("address", ["models/churn.joblib", "models/churn.joblib.dvc"])
def test_the_file_beside_a_pointer_comes_from_the_remote(project: Path, address: str) -> None:
    pointer(project, md5 := put(project.parent / "store", MODEL))
    assert is_remote(address, project)
    source = opened(project, address)
    found = source.snapshot()
    assert (found.title, found.version, found.is_file) == ("churn.joblib", f"md5 {md5}", True)
    assert found.items[0].digests == {"md5": md5}
    assert read(source, found, 4) == {"churn.joblib": MODEL[4:]}


def test_a_file_that_is_there_is_taken_as_it_is(project: Path) -> None:
    pointer(project, "0" * 32)
    (project / "models/churn.joblib").write_bytes(MODEL)
    assert not is_remote("models/churn.joblib", project)


def test_a_path_that_cannot_be_looked_at_is_no_pointer(project: Path) -> None:
    assert not is_remote(f"models/{'x' * 300}", project)


def test_dvc_s_own_cache_comes_first_and_the_layout_of_dvc_2_is_known(project: Path) -> None:
    pointer(project, put(project / ".dvc/cache", MODEL, is_old=True), kind="")
    source = opened(project, "models/churn.joblib")
    assert read(source, source.snapshot()) == {"churn.joblib": MODEL}


def test_a_folder_is_a_list_of_files(project: Path) -> None:
    store = project.parent / "store"
    listed = [{"md5": put(store, MODEL), "relpath": "a/model.pkl"}, {"md5": put(store, b"x"), "relpath": "../../out"}]
    pointer(project, put(store, json.dumps(listed).encode(), ending=".dir"))
    source = opened(project, "models/churn.joblib")
    found = source.snapshot()
    assert not found.is_file and read(source, found)["a/model.pkl"] == MODEL
    assert found.items[1].name == "../../out"  # refused by whoever writes it (test_fetch.py)


def test_a_revision_of_git_is_pinned_to_its_commit(project: Path) -> None:
    def git(*words: str) -> str:
        who = ("-c", "user.name=a", "-c", "user.email=a@b")
        return subprocess.run(["git", *who, *words], cwd=project, check=True, capture_output=True, text=True).stdout.strip()

    git("init", "-q", "-b", "trunk")
    pointer(project, put(project.parent / "store", MODEL))
    git("add", ".")
    git("commit", "-qm", "first")
    first = git("rev-parse", "HEAD")
    newer = put(project.parent / "store", b"a newer model")
    (project / "models/churn.joblib.dvc").unlink()
    (project / "dvc.lock").write_text(
        f"stages:\n  train:\n    outs:\n    - path: models/churn.joblib\n      hash: md5\n      md5: {newer}\n"
    )
    git("add", "-A")
    git("commit", "-qm", "as a pipeline")
    source = opened(project, "dvc://models/churn.joblib@trunk")
    assert read(source, source.snapshot()) == {"churn.joblib": b"a newer model"}
    pinned = source.snapshot(f"commit {first}")
    assert pinned.version == f"commit {first}" and read(source, pinned) == {"churn.joblib": MODEL}
    with pytest.raises(MlshipError, match="git knows no commit v9 in shop"):
        opened(project, "dvc://models/churn.joblib@v9").snapshot()
    with pytest.raises(MlshipError, match=r"has neither models/other.dvc nor a dvc.lock with models/other"):
        opened(project, "dvc://models/other").snapshot()


@pytest.mark.parametrize(
    ("url", "text", "said"),
    [
        ("../../store", "outs:\n- md5: abc\n  path: x\n", "churn.joblib.dvc is no pointer of DVC"),
        ("../../store", "outs: [", "churn.joblib.dvc is no pointer of DVC"),
        ("../../store", f"outs:\n- {{md5: {'a' * 32}, hash: md5, path: x}}\n", "is not in DVC's cache nor in the remote store"),
        ("ssh://host/x", f"outs:\n- {{md5: {'a' * 32}, hash: md5, path: x}}\n", "DVC's remote store is ssh://: that needs DVC"),
        ("", f"outs:\n- {{md5: {'a' * 32}, hash: md5, path: x}}\n", "DVC's remote store has no url"),
    ],
)
def test_what_cannot_be_read_is_said(project: Path, url: str, text: str, said: str) -> None:
    (project / ".dvc/config").write_text(f"[core]\n    remote = store\n['remote \"store\"']\n    url = {url}\n")
    (project / "models/churn.joblib.dvc").write_text(text)
    with pytest.raises(MlshipError, match=said) as raised:
        opened(project, "models/churn.joblib").snapshot()
    assert raised.value.fix
