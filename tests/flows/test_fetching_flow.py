"""What the lock pins is what is built, on every machine, until somebody wants the newest."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from mlship.config.project import Project
from mlship.config.schema import Model
from mlship.errors import Exit, MlshipError
from mlship.flows.context import Context
from mlship.flows.fetching import Fetched, Take, fetched_models
from mlship.home import Home
from mlship.image.lock import Lock, LockedModel
from mlship.image.lock_file import read_lock_file, write_lock
from mlship.progress import Silent
from mlship.runner import LocalRunner

URI = "dvc://churn.joblib@trunk"


@pytest.fixture
def context(tmp_path: Path) -> Context:
    (tmp_path / "shop/.dvc").mkdir(parents=True)
    (tmp_path / "shop/.dvc/config").write_text("[core]\n remote = store\n['remote \"store\"']\n url = ../../store\n")
    home = Home(tmp_path / "home")
    made = Context(home, LocalRunner(), Silent(), {}, tmp_path / "shop", lambda: 0.0, "a@b")
    git(made, "init", "-q", "-b", "trunk")
    return made


def git(context: Context, *words: str) -> None:
    who = ("-c", "user.name=a", "-c", "user.email=a@b")
    subprocess.run(["git", *who, *words], cwd=context.cwd, check=True, capture_output=True)


@pytest.fixture
def push(context: Context) -> Callable[[bytes], Path]:
    """Tracks another model with DVC on the branch; gives where its bytes are in the remote."""

    def pushed(content: bytes) -> Path:
        md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
        path = context.cwd.parent / "store/files/md5" / md5[:2] / md5[2:]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        (context.cwd / "churn.joblib.dvc").write_text(f"outs:\n- {{md5: {md5}, hash: md5, path: churn.joblib}}\n")
        git(context, "add", ".")
        git(context, "commit", "-qm", "trained")
        return path

    return pushed


def fetched(context: Context, take: Take = "pinned") -> Fetched:
    project = Project(context.cwd / "mlship.yaml", "churn", "", "local", (("churn", Model(uri=URI)),))
    return fetched_models(context, project, take)["churn"]


def lock(context: Context, one: Fetched) -> None:
    entry = Lock("3.11", "linux/amd64", "bookworm", (), (), "x")
    model = LockedModel("churn", URI, "0" * 64, one.origin.version, one.origin.sha256)
    write_lock(context.cwd / "mlship.lock", (entry,), (model,))
    assert read_lock_file(context.cwd / "mlship.lock").models == (model,)


def test_what_is_locked_stays_until_the_newest_is_wanted(context: Context, push: Callable[[bytes], Path]) -> None:
    push(b"one")
    first = fetched(context)
    lock(context, first)
    assert first.findings == () and first.origin.path.read_bytes() == b"one"
    push(b"two")
    pinned = fetched(context)
    assert pinned.origin == first.origin
    (note,) = pinned.findings
    assert note.severity == "note" and f"and mlship.lock pins {first.origin.version}" in note.what
    assert fetched(context, "locked") == replace(first, findings=())
    assert fetched(context, "newest").origin.path.read_bytes() == b"two"


def test_another_machine_gets_the_locked_one_or_none(context: Context, push: Callable[[bytes], Path]) -> None:
    path = push(b"one")
    first = fetched(context)
    lock(context, first)
    push(b"two")
    elsewhere = replace(context, home=Home(context.home.root / "elsewhere"))
    assert fetched(elsewhere, "locked").origin.sha256 == first.origin.sha256
    path.write_bytes(b"ein")
    other = replace(context, home=Home(context.home.root / "other"))
    with pytest.raises(MlshipError, match=r"churn\.joblib arrived with other bytes than its source says") as raised:
        fetched(other, "locked")
    assert raised.value.exit is Exit.BUILD_FAILED


def test_what_is_here_needs_no_source_and_is_checked_before_it_is_used(context: Context, push: Callable[[bytes], Path]) -> None:
    path = push(b"one")
    first = fetched(context)
    lock(context, first)
    path.rename(path.with_suffix(".away"))
    assert fetched(context, "locked") == first
    first.origin.path.write_bytes(b"changed by somebody")
    with pytest.raises(MlshipError, match="is not in DVC's cache nor in the remote store"):
        fetched(context, "locked")
    path.with_suffix(".away").rename(path)
    assert fetched(context, "locked").origin.path.read_bytes() == b"one"
