"""Stories against real parts: skipped with the reason where a part is missing, failed instead where CI promised it."""

from __future__ import annotations

import functools
import gc
import itertools
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from run import CLOUDS

REQUIRED = os.environ.get("MLSHIP_REQUIRE_ENGINE") == "1"
STORIES = ("world", "engine")
UNPROMISED = ("gpu", "brought")  # parts that .ci/run does not install
WORLD = "tests/world/"  # as names of tests begin
CLOUD_FILES = tuple(f"{WORLD}test_{name}_" for names in CLOUDS for name in names)

NUMBERS = itertools.count()  # of temporary folders
WENT_WELL = pytest.StashKey[bool]()  # of a test's own part

# Every worker and every program that a test starts would compile the same sources again.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# Reading thousands of tests and hundreds of sources makes millions of objects, and hardly any garbage.
gc.set_threshold(200_000, 20, 50)

# Workers run side by side: idle threads of the number libraries would only spin. What mlship itself sets is tested apart.
for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(threads, "1")


def pytest_configure(config: pytest.Config) -> None:
    """Programs honour signals that are ignored when they start, as SIGINT is in the background and SIGHUP under nohup."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    if "not world" in config.option.markexpr:
        # jsonschema builds the grammar of IRIs as it is imported, for a second; no schema of the fast tests has one
        sys.modules.setdefault("rfc3987_syntax", None)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """The fast suite does not even read the stories: every test of that folder is one (see below)."""
    return True if collection_path == config.rootpath / WORLD and "not world" in config.option.markexpr else None


@pytest.hookimpl(tryfirst=True)
def pytest_itemcollected(item: pytest.Item) -> None:
    if item.nodeid.startswith(WORLD):
        item.add_marker("world")
    if item.nodeid.startswith(CLOUD_FILES):
        item.add_marker("cloud")


def pytest_collection_finish() -> None:
    """What was imported and collected stays until the end: no collection of garbage need look at it again, the little garbage too."""
    gc.freeze()


def pytest_make_parametrize_id(config: pytest.Config, val: object, argname: str) -> str | None:
    """Bytes name no test: gzip writes the time into them, and a name must be the same in every run."""
    return argname if isinstance(val, bytes) else None


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("engine") is not None:
        reason = engine_is_missing()
        if reason:
            pytest.skip(reason)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.when == "call":
        item.stash[WENT_WELL] = report.passed
    if not (REQUIRED and report.skipped):
        return report
    is_story = any(item.get_closest_marker(name) for name in STORIES)
    is_promised = not any(item.get_closest_marker(name) for name in UNPROMISED)
    if is_story and is_promised and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"MLSHIP_REQUIRE_ENGINE=1 turns this skip into a failure: {reason}"
    return report


@pytest.fixture
def tmp_path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """As pytest's own, which looks through all folders of the run for the next free number: a millisecond for each test in the end.

    A story that went well takes its files with it: environments and models of a thousand stories would fill a disk.
    """
    name = re.sub(r"\W", "_", request.node.name)[:30]
    folder = tmp_path_factory.getbasetemp() / f"{name}{next(NUMBERS)}"
    folder.mkdir(mode=0o700)
    yield folder
    if request.node.nodeid.startswith(WORLD) and request.node.stash.get(WENT_WELL, False):
        shutil.rmtree(folder, ignore_errors=True)


@functools.cache
def engine_is_missing() -> str:
    """Why stories with a Docker engine cannot run here; empty when they can."""
    docker = shutil.which("docker")
    if docker is None:
        return "no docker client is installed: apt-get install docker.io"
    try:
        answer = subprocess.run(
            [docker, "version", "--format", "{{.Server.Version}}"], capture_output=True, timeout=20, check=False
        )
    except subprocess.TimeoutExpired:
        return "the Docker engine does not answer within 20 s"
    return "" if answer.returncode == 0 else "no Docker engine answers (.ci/run starts one)"
