"""Compiled files without docstrings do what their sources say."""

from __future__ import annotations

from typing import Any

import pytest

from mlship.image.docstrings import BARE, SCRIPT, folders_without

SOURCE = '''"""Of the module."""
def documented(number):
    """Of a function."""
    def inside():
        """Of a function in it."""
        return number + 1
    return inside()
def says_it_again():
    """the same words"""
    return "the same words"
class Documented:
    """Of a class."""
    def method(self):
        """Of a method."""
        return self.__doc__, "text"
class SaysItAgain:
    """the very words"""
    words = "the very words"
def plain():
    return "no docstring"
shortest = lambda: "no docstring either"
listed = ["in a comprehension" for number in range(2)]
generated = tuple("in a generator" for number in range(2))
def asserts(number):
    """Assertions stay."""
    assert number > 0, "not above 0"
    return number
async def later():
    """Of a coroutine."""
    return "later"
def typed(number: int = 3, *, words: str = "some") -> str:
    """Of a function with defaults."""
    return words * number
'''


@pytest.fixture
def found() -> dict[str, Any]:
    script = _script()
    names: dict[str, Any] = {}
    exec(script["bare"](compile(SOURCE, "source.py", "exec", dont_inherit=True)), names)
    return names


def test_docstrings_are_gone(found: dict[str, Any]) -> None:
    documented = ("documented", "Documented", "asserts", "later", "typed")
    assert [found[name].__doc__ for name in documented] == [""] * len(documented)
    assert not found["__doc__"] and not found["Documented"].method.__doc__


def test_what_the_code_does_stays(found: dict[str, Any]) -> None:
    assert found["documented"](1) == 2
    assert found["Documented"]().method() == ("", "text")
    assert found["says_it_again"]() == "the same words" and found["SaysItAgain"].words == "the very words"
    assert (found["plain"](), found["shortest"]()) == ("no docstring", "no docstring either")
    assert found["listed"] == ["in a comprehension"] * 2 and found["generated"] == ("in a generator",) * 2
    assert found["typed"]() == "somesomesome" and found["typed"].__annotations__["return"] is str
    with pytest.raises(AssertionError, match="not above 0"):
        found["asserts"](0)


def test_lines_of_traces_stay(found: dict[str, Any]) -> None:
    lines = SOURCE.splitlines()
    assert lines[found["typed"].__code__.co_firstlineno - 1].startswith("def typed")
    with pytest.raises(AssertionError) as failed:
        found["asserts"](0)
    assert lines[failed.traceback[-1].lineno].strip().startswith("assert number")


def test_what_is_assigned_to_a_docstring_while_a_module_loads_is_never_computed() -> None:
    source = b"""
def named(words): raise RuntimeError("a page is put together")
class Named:
    named.__doc__ = named("of a class")
for each in (named, Named):
    each.__doc__ = named("of a loop")
named.__doc__ += named("added")
first = named.words = "what else is assigned stays"
def later(): Named.__doc__ = "within a function it stays"
later()
is_same = named.__doc__ == None
"""
    script, names = _script(), dict[str, Any]()
    exec(compile(script["undocumented"](source), "source.py", "exec"), names)
    assert names["first"] == names["named"].words and names["is_same"]
    assert names["Named"].__doc__ == "within a function it stays"


def test_a_source_that_assigns_to_no_docstring_is_compiled_as_it_is() -> None:
    source = b"is_same = sorted.__doc__ == max.__doc__\nwords = sorted.__doc__\n"
    assert _script()["undocumented"](source) is source


def test_packages_of_which_all_is_wanted_keep_theirs() -> None:
    assert folders_without(()) == tuple(sorted(BARE.values()))
    assert set(BARE.values()) - set(folders_without(["scipy", "Scikit_Learn"])) == {"scipy", "sklearn"}


def _script() -> dict[str, Any]:
    script: dict[str, Any] = {}
    exec(SCRIPT, script)
    return script
