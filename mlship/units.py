"""Amounts with their units: parsed from what people write, compared, printed back."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import total_ordering

from mlship.masks import learn

_MEMORY = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12,
           "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}  # fmt: skip
_SECONDS = {"ms": Decimal("0.001"), "s": Decimal(1), "m": Decimal(60), "h": Decimal(3600), "d": Decimal(86400)}
_AMOUNT = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z%/]*)\s*", re.ASCII)


def _split(text: str, kind: str, example: str) -> tuple[Decimal, str]:
    found = _AMOUNT.fullmatch(text) if len(text) <= 40 else None
    if not found:
        raise ValueError(f"{text[:40]!r} is not {kind}; write for example {example}")
    try:
        return Decimal(found[1]), found[2]
    except InvalidOperation:
        raise ValueError(f"{text[:40]!r} is not {kind}; write for example {example}") from None


@dataclass(frozen=True, order=True)
class Memory:
    """An amount of memory or data, in bytes."""

    bytes: int

    @classmethod
    def parse(cls, text: str) -> Memory:
        """`2GiB`, `512MiB`, `4MB`, `1.5GB`. Raises ValueError."""
        number, unit = _split(text, "an amount of memory", "2GiB")
        if unit not in _MEMORY or not unit:
            raise ValueError(f"{text!r} has no known unit; write for example 2GiB or 512MiB")
        return cls(int(number * _MEMORY[unit]))

    def __str__(self) -> str:
        for unit in ("TiB", "GiB", "MiB", "KiB"):
            if self.bytes and self.bytes % _MEMORY[unit] == 0:
                return f"{self.bytes // _MEMORY[unit]}{unit}"
        for unit in ("TB", "GB", "MB", "KB"):
            if self.bytes >= _MEMORY[unit]:
                return f"{_trim(Decimal(self.bytes) / _MEMORY[unit])}{unit}"
        return f"{self.bytes}B"


def size_text(count: int) -> str:
    """Bytes for people, decimal units as registries show them: `68 MB`, `3.1 MB`, `512 B`."""
    for unit in ("TB", "GB", "MB", "KB"):
        if count >= _MEMORY[unit]:
            value = count / _MEMORY[unit]
            return f"{value:.1f} {unit}" if value < 10 else f"{value:.0f} {unit}"
    return f"{count} B"


@dataclass(frozen=True, order=True)
class Cpu:
    """Processor share in thousandths of a core."""

    milli: int

    @classmethod
    def parse(cls, text: str) -> Cpu:
        """`2`, `0.5`, `500m`. Raises ValueError."""
        number, unit = _split(text, "a number of cores", "0.5 or 500m")
        if unit not in ("", "m"):
            raise ValueError(f"{text!r} is not a number of cores; write for example 0.5 or 500m")
        milli = number if unit == "m" else number * 1000
        if milli < 1 or milli != int(milli):
            raise ValueError(f"{text!r} is finer than a thousandth of a core; write for example 0.5 or 500m")
        return cls(int(milli))

    @property
    def cores(self) -> float:
        return self.milli / 1000

    def __str__(self) -> str:
        return str(self.milli // 1000) if self.milli % 1000 == 0 else f"{self.milli}m"


@dataclass(frozen=True, order=True)
class Duration:
    """A length of time in seconds."""

    seconds: float

    @classmethod
    def parse(cls, text: str) -> Duration:
        """`250ms`, `2s`, `5m`, `1h`, `1d`, `0ms`. Raises ValueError."""
        number, unit = _split(text, "a length of time", "5m or 250ms")
        if unit not in _SECONDS:
            raise ValueError(f"{text!r} has no known unit; write for example 250ms, 30s or 5m")
        return cls(float(number * _SECONDS[unit]))

    def __str__(self) -> str:
        if self.seconds and self.seconds < 1:
            return f"{self.seconds * 1000:g}ms"
        for unit in ("d", "h", "m"):
            if self.seconds and self.seconds % float(_SECONDS[unit]) == 0:
                return f"{self.seconds / float(_SECONDS[unit]):g}{unit}"
        return f"{self.seconds:g}s"


@total_ordering
@dataclass(frozen=True)
class Money:
    """An amount of money; amounts of different currencies do not compare."""

    amount: Decimal
    currency: str = "USD"

    @classmethod
    def parse(cls, text: str) -> Money:
        """`150 USD`, `2.00 USD`. Raises ValueError."""
        number, currency = _split(text, "an amount of money", "150 USD")
        if currency != "USD":
            raise ValueError(f"{text!r} is not in US dollars; write for example 150 USD")
        return cls(number, currency)

    def __lt__(self, other: Money) -> bool:
        if self.currency != other.currency:
            raise ValueError(f"{self} and {other} do not compare")
        return self.amount < other.amount

    def __str__(self) -> str:
        return f"{self.amount} {self.currency}"


class Secret:
    """A value that prints as ***, and is covered where it is printed otherwise; `reveal` is the only way to read it."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value
        learn(value)

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __reduce__(self) -> str:
        raise TypeError("a secret is not written anywhere")


def _trim(number: Decimal) -> str:
    return f"{number:f}".rstrip("0").rstrip(".") if "." in f"{number:f}" else f"{number:f}"
