"""What a file says, made safe to show on a terminal; and what the writer may have meant."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path

# Unicode's Bidi_Control property and the invisible joiners that hide text: what is read is then not what is applied
# (CVE-2021-42574, "Trojan Source").
_HIDING = "\u061c\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff\ufffe\uffff"
_UNSEEN = re.compile(f"[\x00-\x1f\x7f-\x9f\u2028\u2029{_HIDING}\ud800-\udfff]")
_UNSEEN_IN_A_FILE = re.compile(f"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029{_HIDING}]|\r(?!\n)")


def clipped(text: str, longest: int = 60) -> str:
    """The text on one line, without anything that a terminal would act on, cut off after `longest` characters."""
    short = text if len(text) <= longest else f"{text[:longest]}..."
    return _UNSEEN.sub(lambda found: f"<U+{ord(found[0]):04X}>", short)


def shown_path(path: Path) -> str:
    """The whole path on one line, safe to show."""
    return clipped(str(path), longest=4096)


def unseen(text: str) -> str:
    """The first control, direction or invisible character in a value; empty when there is none."""
    found = _UNSEEN.search(text)
    return found[0] if found else ""


def unseen_in_file(text: str) -> int:
    """Where the first such character stands, line ends and tabs aside; -1 when there is none."""
    found = _UNSEEN_IN_A_FILE.search(text)
    return found.start() if found else -1


def named(character: str) -> str:
    """`U+202E RIGHT-TO-LEFT OVERRIDE`, `U+0007`."""
    name = unicodedata.name(character, "")
    return f"U+{ord(character):04X} {name}".rstrip()


def nearest(word: str, known: Iterable[str]) -> str:
    """The known word that was probably meant; empty when none is near."""
    if len(word) > 60:
        return ""
    import difflib  # only where something is wrong

    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return close[0] if close else ""


def either(words: Iterable[str]) -> str:
    """`a, b or c`."""
    listed = list(words)
    return " or ".join([", ".join(listed[:-1]), listed[-1]] if len(listed) > 1 else listed)
