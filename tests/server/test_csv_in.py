"""CSV as it is read: titles are the features' names, blanks and all; numbers are the same by the short way and the long."""

from __future__ import annotations

from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from mlship.server.input import csvtext
from mlship.server.manifest import Feature, Signature

BLANK = Signature((Feature("age", "float64"), Feature(" sex", "string")), named=True)


def test_a_feature_that_begins_with_a_blank_is_found_with_it():
    assert csvtext.rows(b"age, sex\n1,m\n", BLANK) == [[1, "m"]]


def test_blanks_around_other_titles_are_dropped():
    plain = Signature((Feature("age", "float64"), Feature("sex", "string")), named=True)
    assert csvtext.rows(b" age , sex\n1,m\n", plain) == [[1, "m"]]


FLOATS = Signature((Feature("a", "float64"), Feature("b", "float32")), container="array")
CELL = st.one_of(st.floats().map(repr), st.integers().map(str), st.text("0123456789.eE+- nainf_\u0661", max_size=6))


@given(st.lists(st.tuples(CELL, CELL), min_size=1, max_size=4), st.booleans())
@example([("1_0", "nan")], False)
@example([("1e999", "-9" * 40)], True)
@example([("", "1.")], True)
@example([("0.0", "-0")], False)
def test_numbers_alone_are_read_as_among_others(cells: list[tuple[str, str]], has_header: bool) -> None:
    """A third column of text keeps the cells beside it on the long way."""
    lines = [",".join(pair) for pair in cells]
    title = ["a,b"] if has_header else []
    alone = csvtext.rows("\n".join([*title, *lines]).encode(), FLOATS, header=has_header)
    wider = Signature((*FLOATS.inputs, Feature("c", "string")), container="frame")
    body = "\n".join([*(f"{line},c" for line in title), *(f"{line},x" for line in lines)])
    among = [row[:2] for row in csvtext.rows(body.encode(), wider, has_header)]
    assert repr([list(map(as_float, row)) for row in alone]) == repr([list(map(as_float, row)) for row in among])


NUMBER = st.one_of(
    st.floats().map(repr), st.integers().map(str), st.sampled_from(["-0", "-0.0", "007", "1.", ".5", "+1", "", "1e999"])
)


@settings(max_examples=50)
@given(st.lists(st.tuples(NUMBER, NUMBER), min_size=1, max_size=4), st.sampled_from(["\n", "\r\n"]), st.booleans())
@example([("-0", "1")], "\n", True)
@example([("9" * 25, "18446744073709551616")], "\r\n", False)
def test_many_numbers_are_read_as_few_are(cells: list[tuple[str, str]], end: str, has_header: bool) -> None:
    """A first row of 5 KB makes a body that is large enough for the short way through JSON."""
    title, lines = ["a,b"] if has_header else [], [",".join(pair) for pair in cells]
    few = csvtext.rows(end.join([*title, *lines, ""]).encode(), FLOATS, header=has_header)
    many = csvtext.rows(end.join([*title, f"0.{'1' * 5000},2", *lines, "", ""]).encode(), FLOATS, header=has_header)
    assert repr([list(map(as_float, row)) for row in many[1:]]) == repr([list(map(as_float, row)) for row in few])


def as_float(value: Any) -> Any:
    return float(value) if isinstance(value, int) else value
