"""Parts of a large JSON or UBJSON document: what is wanted is read, all else is passed over. Standard library only."""

from __future__ import annotations

import json
import mmap
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlship.server.boosted_header import damaged

Wanted = Mapping[str, Any]  # key -> True for all of its value, the wanted keys of that object, or First of a list of objects
MAX_DEPTH = 64
MAX_TAKEN = 64 * 2**20  # bytes of one wanted value
MAX_ITEMS = 1 << 24

# a text without an end is looked at once, and not from each of its quotes
_MARK = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)|[\[\]{}]', re.DOTALL)
_PLAIN = re.compile(rb"[^,\]}\s]+")
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_SPACE = re.compile(rb"\s*")


@dataclass(frozen=True)
class First:
    """Of a list of objects: what is wanted of its first ones."""

    count: int
    wanted: Wanted


def skim(path: Path, wanted: Wanted) -> dict[str, Any]:
    """The wanted parts of the object in the file; those that it lacks are missing. Raises Refused for a damaged one, OSError."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return skimmed(content, wanted)


def skimmed(content: bytes | mmap.mmap, wanted: Wanted) -> dict[str, Any]:
    """As `skim`. UBJSON is told by the length that follows its brace (XGBoost writes 64-bit lengths)."""
    try:
        if content[:2] in (b"{L", b"{l", b"{i", b"{U", b"{I", b"{#", b"{$"):
            found = _Ubj(content).root(wanted)
        else:
            found, _ = _json_value(content, 0, wanted, 0)
    except (struct.error, IndexError, ValueError, RecursionError, OverflowError) as error:
        raise damaged(f"it cannot be read to its end ({error})") from None
    if not isinstance(found, dict):
        raise damaged("it holds no object")
    return found


# JSON


def _json_value(content: Any, start: int, wanted: Wanted | First | bool, depth: int) -> tuple[Any, int]:
    """The value at `start`, and where it ends."""
    at = _space(content, start)
    if isinstance(wanted, Mapping) and content[at : at + 1] == b"{":
        return _json_object(content, at + 1, wanted, depth + 1)
    end = _json_end(content, at)
    if isinstance(wanted, First) and content[at : at + 1] == b"[":
        return _json_first(content, at + 1, wanted, depth + 1), end
    if wanted is not True:
        return None, end
    if end - at > MAX_TAKEN:
        raise ValueError(f"a value of {end - at} bytes")
    return json.loads(bytes(content[at:end])), end


def _json_object(content: Any, at: int, wanted: Wanted, depth: int) -> tuple[dict[str, Any], int]:
    found: dict[str, Any] = {}
    if depth > MAX_DEPTH:
        raise ValueError("it is nested too deeply")
    while True:
        at = _space(content, at)
        if content[at : at + 1] == b"}":
            return found, at + 1
        key = _STRING.match(content, at)
        if key is None:
            raise ValueError(f"no key at byte {at}")
        name = json.loads(key[0])
        at = _space(content, key.end())
        if content[at : at + 1] != b":":
            raise ValueError(f"no value at byte {at}")
        value, at = _json_value(content, at + 1, wanted.get(name, False), depth)
        if name in wanted:
            found[name] = value
        at = _space(content, at)
        if content[at : at + 1] == b",":
            at += 1
        elif content[at : at + 1] != b"}":
            raise ValueError(f"no end of an object at byte {at}")


def _json_first(content: Any, at: int, first: First, depth: int) -> list[Any]:
    found: list[Any] = []
    while len(found) < first.count:
        at = _space(content, at)
        if content[at : at + 1] != b"{":
            return found
        value, at = _json_object(content, at + 1, first.wanted, depth)
        found.append(value)
        at = _space(content, at)
        at += content[at : at + 1] == b","
    return found


def _json_end(content: Any, at: int) -> int:
    first = content[at : at + 1]
    if first not in (b"{", b"["):
        plain = _STRING.match(content, at) if first == b'"' else _PLAIN.match(content, at)
        if plain is None:
            raise ValueError(f"no value at byte {at}")
        return plain.end()
    open_ones = 0
    for mark in _MARK.finditer(content, at):
        kind = content[mark.start()]
        if kind in b"{[":
            open_ones += 1
        elif kind in b"}]":
            open_ones -= 1
            if not open_ones:
                return mark.end()
    raise ValueError("the end is missing")


def _space(content: Any, at: int) -> int:
    found = _SPACE.match(content, at)
    return found.end() if found else at


# UBJSON (specification draft 12; numbers are big-endian)

_NUMBERS = {b"i": "b", b"U": "B", b"I": "h", b"l": "i", b"L": "q", b"d": "f", b"D": "d"}
_WORDS = {b"Z": None, b"N": None, b"T": True, b"F": False}


class _Ubj:
    def __init__(self, content: Any) -> None:
        self._content = content
        self._at = 0

    def root(self, wanted: Wanted) -> Any:
        return self._value(self._take(1), wanted, 0)

    def _value(self, kind: bytes, wanted: Wanted | First | bool, depth: int) -> Any:
        if depth > MAX_DEPTH:
            raise ValueError("it is nested too deeply")
        if kind in _NUMBERS:
            return self._number(kind)
        if kind in _WORDS:
            return _WORDS[kind]
        if kind == b"C":
            return self._take(1).decode("latin-1")
        if kind in (b"S", b"H"):
            return self._text()
        if kind == b"{":
            return self._object(wanted, depth)
        if kind == b"[":
            return self._array(wanted, depth)
        raise ValueError(f"an unknown mark at byte {self._at - 1}")

    def _object(self, wanted: Wanted | First | bool, depth: int) -> dict[str, Any]:
        kind, count = self._head()
        found: dict[str, Any] = {}
        while count != 0 if count is not None else self._peek() != b"}":
            name = self._text()
            inner = wanted.get(name, False) if isinstance(wanted, Mapping) else wanted
            value = self._value(kind or self._take(1), inner, depth + 1)
            if inner:
                found[name] = value
            count = count - 1 if count is not None else None
        if count is None:
            self._take(1)
        return found

    def _array(self, wanted: Wanted | First | bool, depth: int) -> Any:
        kind, count = self._head()
        takes = wanted is True
        if kind in _NUMBERS and count is not None:
            return self._numbers(kind, count, takes)
        found: list[Any] = []
        while count != 0 if count is not None else self._peek() != b"]":
            is_first = isinstance(wanted, First) and len(found) < wanted.count
            value = self._value(
                kind or self._take(1), wanted.wanted if isinstance(wanted, First) and is_first else takes, depth + 1
            )
            if takes or is_first:
                found.append(value)
            count = count - 1 if count is not None else None
        if count is None:
            self._take(1)
        return found

    def _head(self) -> tuple[bytes, int | None]:
        """What `$` and `#` say of a container: the type of its values, and how many they are."""
        kind = b""
        if self._peek() == b"$":
            self._take(1)
            kind = self._take(1)
        if self._peek() != b"#":
            if kind:
                raise ValueError("a type without a count")
            return b"", None
        self._take(1)
        count = self._number(self._take(1))
        # a value takes a byte at least, those of no length apart, and nobody writes lists of them
        if not isinstance(count, int) or not 0 <= count <= len(self._content) - self._at or kind in _WORDS:
            raise ValueError(f"a container of {count} values")
        return kind, count

    def _numbers(self, kind: bytes, count: int, takes: bool) -> list[Any]:
        width = struct.calcsize(_NUMBERS[kind])
        if takes and count > MAX_ITEMS:
            raise ValueError(f"a list of {count} numbers")
        if not takes:
            self._pass(width * count)
            return []
        return list(struct.unpack(f">{count}{_NUMBERS[kind]}", self._take(width * count)))

    def _number(self, kind: bytes) -> Any:
        form = _NUMBERS.get(kind, "")
        if not form:
            raise ValueError(f"no number at byte {self._at - 1}")
        return struct.unpack(f">{form}", self._take(struct.calcsize(form)))[0]

    def _text(self) -> str:
        length = self._number(self._take(1))
        if not isinstance(length, int) or not 0 <= length <= MAX_TAKEN:
            raise ValueError(f"a text of {length} bytes")
        return self._take(length).decode()

    def _peek(self) -> bytes:
        found = self._content[self._at : self._at + 1]
        if not found:
            raise ValueError("the end is missing")
        return bytes(found)

    def _take(self, count: int) -> bytes:
        found = bytes(self._content[self._at : self._at + count])
        if len(found) < count:
            raise ValueError("the end is missing")
        self._at += count
        return found

    def _pass(self, count: int) -> None:
        if self._at + count > len(self._content):
            raise ValueError("the end is missing")
        self._at += count
