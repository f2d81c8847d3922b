"""Debian's order of versions (deb-version(7); Debian Policy 5.6.12)."""

from __future__ import annotations

from functools import total_ordering


@total_ordering
class Version:
    """`1:2.36-9+deb12u10`: compares as dpkg compares."""

    __slots__ = ("_epoch", "_revision", "_upstream", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        epoch, colon, rest = text.strip().partition(":")
        self._epoch = int(epoch) if colon and epoch.isdigit() else 0
        upstream, _, revision = (rest if colon else text.strip()).rpartition("-")
        self._upstream, self._revision = (upstream, revision) if upstream else (revision, "")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Version) and self._compare(other) == 0

    def __lt__(self, other: Version) -> bool:
        return self._compare(other) < 0

    def __hash__(self) -> int:
        return hash(self._epoch)  # 1.0 and 1.00 are equal

    def __repr__(self) -> str:
        return f"Version({self.text!r})"

    def _compare(self, other: Version) -> int:
        return (
            self._epoch - other._epoch or _compare(self._upstream, other._upstream) or _compare(self._revision, other._revision)
        )

    def satisfies(self, relation: str, wanted: str) -> bool:
        """relation: one of `<<`, `<=`, `=`, `>=`, `>>`."""
        difference = self._compare(Version(wanted))
        return {
            "<<": difference < 0,
            "<=": difference <= 0,
            "=": difference == 0,
            ">=": difference >= 0,
            ">>": difference > 0,
        }[relation]


def _compare(left: str, right: str) -> int:
    i = j = 0
    while i < len(left) or j < len(right):
        while (i < len(left) and not _digit(left[i])) or (j < len(right) and not _digit(right[j])):
            first = _weight(left[i]) if i < len(left) else 0
            second = _weight(right[j]) if j < len(right) else 0
            if first != second:
                return first - second
            i, j = i + 1, j + 1
        first, i = _number(left, i)
        second, j = _number(right, j)
        if first != second:
            return first - second
    return 0


def _weight(character: str) -> int:
    """`~` sorts before the end, digits and the end as 0, letters before all other characters."""
    if character == "~":
        return -1
    if _digit(character):
        return 0
    return ord(character) if character.isalpha() else ord(character) + 256


def _number(text: str, start: int) -> tuple[int, int]:
    end = start
    while end < len(text) and _digit(text[end]):
        end += 1
    return int(text[start:end] or "0"), end


def _digit(character: str) -> bool:
    return "0" <= character <= "9"
