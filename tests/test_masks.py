"""What was learned as a secret is covered in every form in which text shows it."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from urllib.parse import quote, quote_plus
from xml.sax.saxutils import escape

import pytest

from mlship.masks import SHORTEST, forget, learn, learned, masked, masked_plain
from mlship.units import Secret

VALUE = 'pä ss/"w<o>rd&+%'


@pytest.fixture(autouse=True)
def nothing_learned() -> Iterator[None]:
    forget()
    yield
    forget()


@pytest.mark.parametrize(
    "shown",
    [
        VALUE,
        quote(VALUE),
        quote(VALUE, safe=""),
        quote_plus(VALUE),
        json.dumps(VALUE)[1:-1],
        json.dumps(VALUE, ensure_ascii=False)[1:-1],
        repr(VALUE)[1:-1],
        escape(VALUE, {'"': "&quot;"}),
    ],
)
def test_every_form_is_covered_whole(shown: str) -> None:
    learn(VALUE)
    assert masked(f"cannot log in with {shown}!") == "cannot log in with ***!"


@pytest.mark.parametrize("ahead", ["", "u", "us", "usr", "user:"])
def test_base64_is_covered_wherever_the_value_begins(ahead: str) -> None:
    learn("correct horse battery")
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        told = masked(encode(f"{ahead}correct horse battery;more".encode()).decode())
        assert "***" in told
        for part in told.split("***"):
            padded = part[: len(part) // 4 * 4]
            assert b"correct" not in base64.b64decode(padded) and b"battery" not in base64.b64decode(padded)


def test_lines_of_a_long_secret_are_covered_one_by_one_and_the_frame_of_a_pem_is_not() -> None:
    learn("-----BEGIN KEY-----\nMIIEvQIBADANBgkq\nhkiG9w0BAQEF\n-----END KEY-----\n")
    assert masked("read MIIEvQIBADANBgkq") == "read ***" and masked("-----BEGIN KEY-----") == "-----BEGIN KEY-----"


def test_a_short_value_is_nobodys_secret() -> None:
    for value in ("1", "true", "x" * (SHORTEST - 1), "  ", ""):
        learn(value)
    assert learned() == () and masked("1 is true") == "1 is true"


def test_a_scheme_is_no_part_of_a_token_and_every_secret_is_learned_as_it_is_made() -> None:
    Secret("Bearer abcdefgh")
    assert masked("Authorization: Bearer abcdefgh") == "Authorization: Bearer ***"
    assert masked("token=abcdefgh") == "token=***"


def test_plain_data_is_covered_before_it_becomes_json_and_names_stay() -> None:
    learn("content")
    told = masked_plain({"content": ["the content", {"n": 1, "more": ("content",)}], "ok": True})
    assert told == {"content": ["the ***", {"n": 1, "more": ["***"]}], "ok": True}


def test_the_longer_of_two_values_is_covered_whole() -> None:
    learn("hunter2")
    learn("hunter2-and-more")
    assert masked("hunter2-and-more hunter2") == "*** ***"
