"""Models are loaded once for all workers where a copy of the process that loaded them works on."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from served import ROOT, release, running, until
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression

from mlship.server.compiling.report import FILE, compile_model
from mlship.server.life.nursery import HARMLESS, descriptors, shareable, unfit_to_fork
from mlship.server.life.seats import Report, Seat
from mlship.server.manifest import Engine, Manifest, Model, Serving, to_json
from mlship.server.runtimes import RUNTIMES, runtime_for

SKLEARN = Model("a", "sklearn", "joblib", "a.joblib", "")
OWN = Model("b", "python", "none", "b", "")


def said(*lines: bytes) -> Seat:
    report, end = Report.opened()
    os.write(end, b"".join(lines))
    os.close(end)
    seat = Seat(0)
    seat.take(0, report, time.monotonic())
    seat.hear()
    return seat


def test_a_seat_learns_who_sits_there_and_why_it_goes() -> None:
    seat = said(b'{"pid": 4711}\n{}\n{"message": "gone", "model": "a"}\nnot json\n{"mess')
    assert (seat.pid, seat.reason, seat.is_taken) == (4711, {"message": "gone", "model": "a"}, True)
    seat.leave()
    assert (seat.pid, seat.is_taken) == (0, False)


@pytest.mark.parametrize(
    ("models", "workers", "shared"),
    [
        ((SKLEARN, OWN), 2, {"a"}),
        ((SKLEARN,), 1, set()),  # one worker has nobody to share with
        ((OWN,), 8, set()),
        ((Model("c", "unheard-of", "none", "c", ""),), 2, set()),
    ],
)
def test_what_is_fork_safe_is_shared_between_workers(models: tuple[Model, ...], workers: int, shared: set[str]) -> None:
    assert holds_in_a_copy(lambda: shareable(Manifest("demo", models, Serving()), workers) == shared)


def test_every_runtime_says_whether_it_is_fork_safe() -> None:
    said = {name: runtime_for(name).fork_safe for name in RUNTIMES}
    assert {type(answer) for answer in said.values()} == {bool}
    assert [said[name] for name in ("sklearn", "numpy", "trees", "python")] == [True, True, True, False]


def test_a_process_that_holds_a_connection_or_a_device_is_not_copied() -> None:
    assert holds_in_a_copy(sees_what_cannot_be_copied)


def sees_what_cannot_be_copied() -> bool:
    before = descriptors()
    is_fit = unfit_to_fork(before) == ""
    with Path("/dev/null").open(), Path(__file__).open():  # a file that is mapped or read does no harm
        is_fit = is_fit and unfit_to_fork(before) == ""
    with socket.socket() as held:
        told = f"loading opened socket:[{os.fstat(held.fileno()).st_ino}]"
        return is_fit and "/dev/null" in HARMLESS and unfit_to_fork(before) == told


def holds_in_a_copy(check: Callable[[], bool]) -> bool:
    """In a process of its own, which may become the parent of orphans and has no threads of others."""
    pid = os.fork()
    if pid == 0:
        try:
            os._exit(0 if check() else 1)
        finally:
            os._exit(2)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


@pytest.mark.world
def test_an_openmp_model_is_shared_and_answered_by_every_worker(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).normal(size=(300, 3)).round(3)
    model = HistGradientBoostingClassifier(max_iter=5).fit(rows, rows[:, 0] > 0)
    joblib.dump(model, tmp_path / "model.joblib")
    entry = Model("demo", "sklearn", "joblib", "model.joblib", "")
    sample = tuple(rows[:8].tolist())
    entry = replace(entry, sample=sample, signature=runtime_for("sklearn").load(entry, tmp_path).signature(sample))
    (tmp_path / "manifest.json").write_bytes(to_json(Manifest("demo", (entry,), Serving(workers=2))))
    expected = model.predict(rows[:8]).tolist()
    with running(tmp_path / "manifest.json", OMP_NUM_THREADS="2", OPENBLAS_NUM_THREADS="1") as server:
        seen: set[int] = set()
        for _ in range(200):
            assert server.ask("/predict", {"instances": rows[:8].tolist()}).json["predictions"] == expected
            seen.add(int(str(release(server.port)["pid"])))
            if len(seen) == 2:
                break
        assert len(seen) == 2
        assert "models_not_shared" not in [line["event"] for line in server.errors]
        killed = seen.pop()
        os.kill(killed, signal.SIGKILL)
        server.event("worker_lost")
        until(lambda: release(server.port)["pid"] not in {killed, *seen}, 20)
        assert server.ask("/predict", {"instances": rows[:8].tolist()}).json["predictions"] == expected


# loads the model of the folder's manifest, asks it, forks, and asks it in the copy
FORKED = """
import os, signal
from pathlib import Path
from mlship.server import manifest
from mlship.server.life.nursery import descriptors, unfit_to_fork
from mlship.server.life.warmup import warm_up
from mlship.server.opened_model import OpenedModel
from mlship.server.runtimes import runtime_for

entry = manifest.from_json(Path("manifest.json").read_bytes()).model()
assert runtime_for(entry.runtime).fork_safe
before = descriptors()
model = OpenedModel(entry, Path.cwd(), Path.cwd()).served(entry)
warm_up(model, lambda rows, seconds: None)
first = model.answer(list(entry.sample))
assert not unfit_to_fork(before), unfit_to_fork(before)
child = os.fork()
if not child:
    signal.alarm(20)
    os._exit(0 if model.answer(list(entry.sample)) == first else 1)
print(entry.runtime, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.world
@pytest.mark.parametrize(
    ("engine", "estimator"),
    [
        ("sklearn", LogisticRegression()),
        ("numpy", LogisticRegression()),
        ("trees", RandomForestClassifier(5)),
    ],
)
def test_a_model_that_was_asked_answers_in_a_copy(tmp_path: Path, engine: str, estimator: Any) -> None:
    """Boosters and graphs: tests/world/test_story_boosted.py. Other runtimes load in each worker."""
    rows = np.random.default_rng(0).normal(size=(300, 3)).round(3)
    joblib.dump(estimator.fit(rows, rows[:, 0] > 0), tmp_path / "model.joblib")
    sample = rows[:8].tolist()
    entry = Model("demo", "sklearn", "joblib", "model.joblib", "", sample=tuple(sample))
    if engine != "sklearn":
        asked = {"root": str(tmp_path), "writable": str(tmp_path), "sample": sample}
        told = compile_model({**asked, "manifest": to_json(Manifest("demo", (entry,))).decode()})
        assert (told["reason"], told["engine"]) == ("", engine)
        entry = replace(entry, path=FILE, engine=Engine(engine, told["sha256"], told["rows"]))
    entry = replace(entry, signature=runtime_for(entry.runtime).load(entry, tmp_path).signature(entry.sample))
    (tmp_path / "manifest.json").write_bytes(to_json(Manifest("demo", (entry,))))
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-c", FORKED]
    done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False, timeout=60)
    assert (done.stdout, done.returncode) == (f"{engine} 0\n", 0), done.stderr


WARMED = """
import os, signal, sys
import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from mlship.server.life.nursery import descriptors, unfit_to_fork
before = descriptors()
rows = np.random.default_rng(0).normal(size=(400, 5))
model = HistGradientBoostingClassifier(max_iter=5)
pid = os.fork()
if pid == 0:
    model.fit(rows, rows[:, 0] > 0)
    import joblib
    joblib.dump(model, sys.argv[1])
    os._exit(0)
os.waitpid(pid, 0)
import joblib
model = joblib.load(sys.argv[1])
print("loaded:", unfit_to_fork(before))
model.predict_proba(rows)
print("warm:", unfit_to_fork(before))
pid = os.fork()
if pid == 0:
    signal.alarm(3)
    model.predict_proba(rows)
    os._exit(0)
print("copy:", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


@pytest.mark.world
def test_a_warmed_up_openmp_model_hangs_in_a_copy_and_is_known_by_its_threads(tmp_path: Path) -> None:
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-c", WARMED, str(tmp_path / "model.joblib")]
    told = subprocess.run(command, env=environ, capture_output=True, text=True, check=True, timeout=60).stdout
    loaded, warm, copy = told.splitlines()
    assert loaded == "loaded: "
    assert warm.startswith("warm: loading started the threads python")
    assert copy == "copy: -14"  # SIGALRM: it waits for threads that it does not have
