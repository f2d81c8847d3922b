"""What another platform's layers take from the one that runs here, and that compiled files depend on their source alone."""

from __future__ import annotations

import importlib.util
import marshal
import sys
from pathlib import Path
from typing import Any

import pytest

from mlship.home import Home
from mlship.image.bytecode import _STEADY
from mlship.image.foreign import compiled_sources, foreign_compiler, interpreter_version
from mlship.image.plan import BasePlan, SystemPackage
from mlship.image.workplace import Native, Workplace
from mlship.oci.layer import Entry, write_layer
from mlship.oci.layout import Layout
from mlship.progress import Silent
from mlship.runner import LocalRunner

SOURCE = b"""\
def first(word):
    return word in {'one word', 'other_word', 'third'}
def second(word):
    return word in {'one word', 'other_word', 'third'}, ('?', frozenset(), '\\ufeff')
"""


def plan(version: str, platform: str = "linux/amd64") -> BasePlan:
    package = SystemPackage("libpython3.11-minimal", version, "aa" * 32, 1, "")
    return BasePlan("bookworm", platform, "/usr/bin/python3.11", (package,))


def workplace(folder: Path, version: str = "3.11.2-6+deb12u6", *files: str) -> Workplace:
    layout = Layout(folder / "home" / "images")
    layer = write_layer(layout, [Entry(name, content=b"x") for name in files], role="packages", name="numpy")
    native = Native(plan(version), (layer,), (layer,))
    return Workplace(Home(folder / "home"), LocalRunner(), Silent(), {}, native=native)


def test_the_interpreter_that_runs_here_compiles_for_another_platform_of_the_same_version(tmp_path: Path) -> None:
    place = workplace(tmp_path)
    found = foreign_compiler(place, plan("3.11.2-6+deb12u6+b1", "linux/arm64"))  # only its binary was made anew
    assert found is not None and found.base.diff_id == place.native.base[0].diff_id
    assert foreign_compiler(place, plan("3.11.2-6+deb12u7", "linux/arm64")) is None


def test_a_base_that_does_not_tell_its_interpreters_version_goes_without() -> None:
    nameless = BasePlan("python:3.11", "linux/arm64", "/usr/local/bin/python3.11", ())
    assert interpreter_version(nameless) == ""


def test_without_a_platform_that_runs_here_nothing_is_compiled(tmp_path: Path) -> None:
    alone = Workplace(Home(tmp_path), LocalRunner(), Silent(), {})
    assert foreign_compiler(alone, plan("3.11.2-6")) is None
    assert compiled_sources(alone, "/opt/mlship/env") == ()


def test_what_is_compiled_is_what_the_image_that_runs_here_has_compiled(tmp_path: Path) -> None:
    names = (
        "numpy/__init__.py",
        "numpy/__pycache__/__init__.cpython-311.pyc",
        "numpy/lib/x.py",
        "__pycache__/six.cpython-311.pyc",
    )
    place = workplace(
        tmp_path, "3.11", *(f"opt/mlship/env/{name}" for name in names), "opt/mlship/lib/__pycache__/no.cpython-311.pyc"
    )
    assert compiled_sources(place, "/opt/mlship/env") == ("numpy/__init__.py", "six.py")


@pytest.fixture
def steady() -> Any:
    script: dict[str, Any] = {}
    exec(_STEADY, script)
    return script["steady"]


def test_the_same_source_gives_the_same_bytes_whatever_else_the_process_holds(steady: Any) -> None:
    def compiled() -> bytes:
        return steady(compile(SOURCE, "/opt/mlship/env/words.py", "exec", dont_inherit=True), SOURCE)

    before = compiled()  # of a process whose own '?' may be interned or not: the script interns it
    kept = [sys.intern(word) for word in ("other_" + "word", "thi" + "rd", "fir" + "st", chr(0xFEFF))]
    assert compiled() == before and kept
    assert before[:8] == importlib.util.MAGIC_NUMBER + (1).to_bytes(4, "little")  # by its hash, which nobody checks


def test_what_is_compiled_does_as_its_source_says(steady: Any) -> None:
    told: dict[str, Any] = {}
    exec(marshal.loads(steady(compile(SOURCE, "words.py", "exec"), SOURCE)[16:]), told)
    assert told["first"]("third") and not told["first"]("fourth")
    assert told["second"]("one word") == (True, ("?", frozenset(), "\ufeff"))
