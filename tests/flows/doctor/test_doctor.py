"""Each check says what it found, and what to do about it. No network: programs are answered by a recording runner."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mlship.errors import Exit, Finding, MlshipError
from mlship.flows.context import Context
from mlship.flows.doctor import archive, engine, home_folder, packages, python, training, uv
from mlship.flows.doctor.disk_space import space_finding
from mlship.flows.doctor.ground import Ground
from mlship.flows.doctor.machine import machine_finding
from mlship.home import Home
from mlship.progress import Silent
from mlship.runner import Command, Process, Result


class Answering:
    """A runner that gives the same answer to every program, and remembers what was asked."""

    def __init__(self, result: Result | MlshipError) -> None:
        self._result = result
        self.asked: list[Command] = []

    def run(self, command: Command) -> Result:
        self.asked.append(command)
        if isinstance(self._result, MlshipError):
            raise self._result
        return self._result

    def stream(self, command: Command, line: Callable[[str], None]) -> Result:
        return self.run(command)

    def start(self, command: Command, *, log: Path | None = None, detached: bool = False) -> Process:
        raise AssertionError("doctor starts nothing that stays")


@pytest.fixture
def ground(tmp_path: Path):
    def make(result: Result | MlshipError = Result(0, b"", b""), **environ: str) -> Ground:  # noqa: B008 frozen
        context = Context(Home(tmp_path / "home"), Answering(result), Silent(), environ, tmp_path, lambda: 0.0, "me")
        return Ground(context, None, tmp_path, "")

    return make


def only(findings: object) -> Finding:
    [finding] = findings
    return finding


def test_python_is_named_with_its_place(ground):
    finding = only(python.check(ground()))
    assert (finding.severity, finding.what.startswith("mlship ")) == ("note", True)


@pytest.mark.parametrize(
    ("system", "processor", "severity"),
    [
        ("Linux", "x86_64", "note"),
        ("Linux", "aarch64", "note"),
        ("Darwin", "arm64", "warning"),
        ("Windows", "AMD64", "error"),
        ("Linux", "riscv64", "error"),
    ],
)
def test_machines_are_graded(system: str, processor: str, severity: str):
    assert machine_finding(system, processor).severity == severity


def test_a_processor_without_images_says_which_have_some():
    assert machine_finding("Linux", "riscv64").fix == "mlship builds for amd64 and arm64; run it on one of these"


def test_windows_is_sent_to_wsl():
    assert machine_finding("Windows", "AMD64").fix == "run mlship on Linux or macOS; on Windows inside WSL"


@pytest.mark.parametrize(("free", "severity"), [(10**8, "error"), (3 * 10**9, "warning"), (10**11, "note")])
def test_disk_space_is_graded(free: int, severity: str):
    assert space_finding(free, "/home").severity == severity


def test_a_full_disk_says_what_may_be_deleted():
    finding = space_finding(10**8, "/home/me/.mlship")
    assert finding.what == "100 MB free; a build takes up to 1.0 GB"
    assert "delete /home/me/.mlship/cache (it is made again)" in finding.fix


def test_a_home_that_cannot_be_written_names_the_variable(ground, tmp_path: Path):
    (tmp_path / "home").write_text("a file")
    finding = only(home_folder.check(ground()))
    assert finding.severity == "error"
    assert finding.fix == "set MLSHIP_HOME to a folder that you may write"


def test_a_home_that_is_not_made_yet_is_fine(ground):
    assert only(home_folder.check(ground())).severity == "note"


def test_uv_that_does_not_start_is_an_error(ground):
    finding = only(uv.check(ground(Result(1, b"", b"wrong architecture"))))
    assert (finding.severity, finding.what) == ("error", "uv does not start: wrong architecture")
    assert finding.fix == "pip install --force-reinstall uv"


def test_uv_tells_its_version(ground):
    assert only(uv.check(ground(Result(0, b"uv 0.13.9\n", b"")))).what == "uv 0.13.9"


def test_package_sources_are_shown_without_credentials(ground):
    found = list(packages.check(ground(UV_INDEX="https://me:hunter2@pypi.example.test/simple")))
    said = " ".join(str(finding) for finding in found)
    assert "hunter2" not in said
    assert "https://***@pypi.example.test/simple" in said


def test_the_package_index_is_asked_as_build_asks_it(ground):
    place = ground(Result(0, b"orjson==3.13.0\n", b""))
    assert list(packages.check(place))[-1].what == "the package index answers: orjson==3.13.0"
    [command] = place.context.runner.asked
    assert command.stdin == b"orjson\n"


def test_a_package_index_that_gives_nothing_is_an_error_with_its_own_words(ground):
    finding = list(packages.check(ground(Result(1, b"", b"error: Could not connect, are you offline?"))))[-1]
    assert finding.severity == "error"
    assert finding.what == "the package index does not give orjson: error: Could not connect, are you offline?"
    assert "pip.conf" in finding.fix


def test_a_package_index_that_hangs_is_an_error(ground):
    finding = list(packages.check(ground(MlshipError("uv did not end within 60 s", exit=Exit.TIMED_OUT))))[-1]
    assert finding.what == "the package index does not answer: uv did not end within 60 s"


def test_without_gpgv_signatures_cannot_be_checked(ground):
    finding = next(archive.check(ground(PATH="/nowhere")))
    assert (finding.severity, finding.what) == ("error", "gpgv is missing: signatures cannot be checked")
    assert finding.fix == "apt-get install gpgv"


def test_no_training_environment_is_a_hint_without_a_project(ground):
    finding = only(training.check(ground()))
    assert finding.severity == "warning"
    assert finding.what.startswith("no training environment was found")


def test_no_engine_is_fine_where_nothing_needs_one(ground):
    finding = only(engine.check(ground(DOCKER_HOST="unix:///nowhere/docker.sock")))
    assert finding.severity == "note"
    assert finding.what.endswith("build and the target local do without")
