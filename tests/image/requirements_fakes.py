"""Fakes for tests of requirements: environments as values, a runner that answers from a table, nobody listening."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from mlship.home import Home
from mlship.image.packages.environment import Distribution, TrainingEnvironment, normalised
from mlship.image.packages.indexes import Indexes
from mlship.progress import Silent
from mlship.runner import Command, Process, Result


def environment(*distributions: Distribution, source: str = ".venv", version: str = "3.11.7") -> TrainingEnvironment:
    return TrainingEnvironment(
        source=source,
        version=version,
        python=Path("/env/bin/python"),
        distributions={normalised(one.name): one for one in distributions},
    )


def dist(
    name: str, version: str = "1.0", *, modules: str | None = None, requires: tuple[str, ...] = (), **more
) -> Distribution:
    names = tuple((modules if modules is not None else name.replace("-", "_")).split())
    return Distribution(name, version, names, requires, **more)


def probe_answer(version: str = "3.11.7", implementation: str = "cpython", prefix: str = "/env", distributions=()) -> bytes:
    entries = [{"modules": [], "requires": [], "installer": "pip", "direct_url": None, **entry} for entry in distributions]
    return json.dumps(
        {"version": version, "implementation": implementation, "prefix": prefix, "distributions": entries}
    ).encode()


class FakeRunner:
    """Answers each command by the first function that has an answer; remembers what was started."""

    def __init__(self, *answers: Callable[[Command], Result | bytes | None]) -> None:
        self.answers = answers
        self.commands: list[Command] = []

    def run(self, command: Command) -> Result:
        self.commands.append(command)
        for answer in self.answers:
            found = answer(command)
            if found is not None:
                return found if isinstance(found, Result) else Result(0, found, b"")
        raise AssertionError(f"nobody expected {command.argv}")

    def stream(self, command: Command, line: Callable[[str], None]) -> Result:
        result = self.run(command)
        for said in result.stdout.decode().splitlines():
            line(said)
        return result

    def start(self, command: Command, *, log: Path | None = None, detached: bool = False) -> Process:
        raise AssertionError("nothing is started here")


class NoRunner(FakeRunner):
    """No program may be started."""


def workplace(tmp_path: Path, runner: FakeRunner, indexes: Indexes | None = None) -> dict:
    return {"indexes": indexes or Indexes(), "runner": runner, "home": Home(tmp_path / "home"), "progress": Silent()}
