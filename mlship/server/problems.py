"""What can be wrong with a request or with a model's answer to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import islice
from typing import Any

LIMIT = 20  # problems named in one answer; more do not help the reader and cost time
SHOWN = 80  # characters of a value that are echoed
COMPARED = 100  # words at most that one unknown word is held against


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong in a request. row: counted from 0, None where it is about all rows or a CSV header."""

    row: int | None
    feature: str | None
    value: Any
    expected: str
    message: str


class SettingsError(Exception):
    """An environment variable has a value that cannot be used; the message names both and says what to write."""


class InputError(Exception):
    """The caller's fault: 400 for a body that cannot be read, 422 for rows that the model cannot take."""

    def __init__(self, status: int, problems: Sequence[Problem] = (), message: str = "", code: str = "") -> None:
        self.status = status
        self.problems = tuple(problems)
        self.message = message or summary(self.problems)
        self.code = code or ("invalid_input" if status == 422 else "bad_request")
        super().__init__(self.message)


class ModelFailed(Exception):
    """The model raised or answered nonsense: 500. The message is for the log; the caller sees a fixed sentence."""


def summary(problems: Sequence[Problem]) -> str:
    """One sentence for people who read no further."""
    if not problems:
        return "the input is wrong"
    if len(problems) == 1:
        return problems[0].message
    many = f"at least {LIMIT}" if len(problems) >= LIMIT else str(len(problems))
    return f"{many} problems; the first: {problems[0].message}"


def shown(value: Any) -> Any:
    """The value as it is echoed: whole if it is small, else its beginning or its kind; always JSON."""
    if isinstance(value, str):
        text = value if len(value) <= SHOWN else value[:SHOWN] + "..."
        return text.encode("utf-8", "replace").decode()
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}[str(value)]
    if value is None or isinstance(value, (bool, float)):
        return value
    if isinstance(value, int):
        return value if -(2**63) <= value < 2**64 else "an integer beyond 64 bits"
    if isinstance(value, dict):
        return "an object"
    return "a list" if isinstance(value, (list, tuple)) else type(value).__name__


def described(value: Any) -> str:
    """The value as it stands in a sentence: `null`, `true`, `30`, `the string "30"`, `a list`."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f'the string "{shown(value)}"'
    return str(shown(value))


def near(word: str, known: list[str]) -> str:
    """`; did you mean "age"?` when one of the known words is close, else nothing. Bounded, whatever a stranger sends."""
    if not word or len(word) > SHOWN or len(known) > 500:
        return ""
    # to compare two words takes some 20 us; a typing error at both ends is rare
    alike = (other for other in known if other[:1] == word[0] or other[-1:] == word[-1])
    close = get_close_matches(word, list(islice(alike, COMPARED)), n=1)
    return f'; did you mean "{close[0]}"?' if close else ""
