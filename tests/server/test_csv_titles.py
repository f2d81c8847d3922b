"""Titles of a CSV are the features' names, blanks and all."""

from __future__ import annotations

from mlship.server.input import csvtext
from mlship.server.manifest import Feature, Signature

BLANK = Signature((Feature("age", "float64"), Feature(" sex", "string")), named=True)


def test_a_feature_that_begins_with_a_blank_is_found_with_it():
    assert csvtext.rows(b"age, sex\n1,m\n", BLANK) == [[1, "m"]]


def test_blanks_around_other_titles_are_dropped():
    plain = Signature((Feature("age", "float64"), Feature("sex", "string")), named=True)
    assert csvtext.rows(b" age , sex\n1,m\n", plain) == [[1, "m"]]
