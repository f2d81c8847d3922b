"""Packages that an environment lacks lie beside it, in mlship's own folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlship.errors import Exit, MlshipError
from mlship.home import Home
from mlship.image.packages.beside import Hands, packages_beside
from mlship.image.packages.environment import Distribution, TrainingEnvironment
from mlship.image.packages.indexes import Indexes
from mlship.memo import Memo
from mlship.progress import Silent
from mlship.runner import Command, Result

THERE = {"numpy": Distribution("numpy", "2.1.0"), "protobuf": Distribution("protobuf", "5.0")}
ENVIRONMENT = TrainingEnvironment(".venv", "3.11.7", Path("/lab/bin/python"), distributions=THERE)
FOUND = b"flatbuffers==25.1\nnumpy==2.1.0\nonnxruntime==1.30.0\nprotobuf==5.0\n"


class Uv:
    """Answers as uv does. texts: what stood in the files that it was given."""

    def __init__(self, *results: Result) -> None:
        self.results = list(results)
        self.commands: list[Command] = []
        self.texts: list[str] = []

    def run(self, command: Command) -> Result:
        self.commands.append(command)
        self.texts += [Path(word).read_text() for word in command.argv if word.endswith((".in", ".txt"))]
        return self.results.pop(0)


def hands(folder: Path, uv: Uv) -> Hands:
    home = Home(folder)
    return Hands(Indexes(), uv, home, Silent(), Memo(home.memo), folder)  # type: ignore[arg-type]


def test_only_what_is_lacking_is_brought_and_only_once(tmp_path: Path):
    uv = Uv(Result(0, FOUND, b""), Result(0, b"", b""))
    first = packages_beside(ENVIRONMENT, ("onnxruntime>=1.22",), hands(tmp_path, uv))
    assert first.pins == ("flatbuffers==25.1", "onnxruntime==1.30.0")
    assert (first.version_of("onnxruntime"), first.version_of("numpy")) == ("1.30.0", "")
    assert uv.texts == ["onnxruntime>=1.22\n", "numpy==2.1.0\nprotobuf==5.0\n", "flatbuffers==25.1\nonnxruntime==1.30.0\n"]
    target = uv.commands[1].argv[uv.commands[1].argv.index("--target") + 1]
    assert target.startswith(str(tmp_path))
    assert first.folder.is_dir()
    assert packages_beside(ENVIRONMENT, ("onnxruntime>=1.22",), hands(tmp_path, uv)) == first
    assert len(uv.commands) == 2


def test_nothing_is_asked_for_that_is_there(tmp_path: Path):
    found = packages_beside(ENVIRONMENT, ("protobuf>=4",), hands(tmp_path, Uv()))
    assert found.pins == () and found.folder.is_dir()


@pytest.mark.parametrize(
    ("said", "exit"),
    [(b"error sending request for url (https://index/simple/)", Exit.UNREACHABLE), (b"No solution found", Exit.BUILD_FAILED)],
)
def test_what_cannot_be_had_leaves_nothing(said: bytes, exit: Exit, tmp_path: Path):
    with pytest.raises(MlshipError) as raised:
        packages_beside(ENVIRONMENT, ("onnxruntime",), hands(tmp_path, Uv(Result(1, b"", said))))
    assert raised.value.exit is exit
    assert not (tmp_path / "cache" / "beside").exists()
