"""Amounts as people write them."""

from __future__ import annotations

import pickle
from decimal import Decimal
from typing import Any

import pytest

from mlship.units import Cpu, Duration, Memory, Money, Secret, size_text


@pytest.mark.parametrize(
    ("unit", "text", "value", "printed"),
    [
        (Memory, "2GiB", Memory(2 * 2**30), "2GiB"),
        (Memory, "512 MiB", Memory(512 * 2**20), "512MiB"),
        (Memory, "4MB", Memory(4_000_000), "4MB"),
        (Memory, "1.5GB", Memory(1_500_000_000), "1.5GB"),
        (Memory, "1024KiB", Memory(2**20), "1MiB"),
        (Memory, "100B", Memory(100), "100B"),
        (Memory, "0B", Memory(0), "0B"),
        (Cpu, "2", Cpu(2000), "2"),
        (Cpu, "0.5", Cpu(500), "500m"),
        (Cpu, "500m", Cpu(500), "500m"),
        (Cpu, "1.25", Cpu(1250), "1250m"),
        (Duration, "250ms", Duration(0.25), "250ms"),
        (Duration, "2s", Duration(2), "2s"),
        (Duration, "90s", Duration(90), "90s"),
        (Duration, "120s", Duration(120), "2m"),
        (Duration, "5m", Duration(300), "5m"),
        (Duration, "1.5h", Duration(5400), "90m"),
        (Duration, "1d", Duration(86400), "1d"),
        (Duration, "0ms", Duration(0), "0s"),
        (Money, "150 USD", Money(Decimal(150)), "150 USD"),
        (Money, "2.00 USD", Money(Decimal("2.00")), "2.00 USD"),
    ],
)
def test_amounts_are_read_and_printed(unit: Any, text: str, value: object, printed: str) -> None:
    assert unit.parse(text) == value
    assert str(value) == printed
    assert unit.parse(printed) == value


@pytest.mark.parametrize(
    ("unit", "text", "told"),
    [
        (Memory, "2", "'2' has no known unit; write for example 2GiB or 512MiB"),
        (Memory, "2 potatoes", "'2 potatoes' has no known unit"),
        (Memory, "lots", "'lots' is not an amount of memory; write for example 2GiB"),
        (Memory, "-1GiB", "'-1GiB' is not an amount of memory"),
        (Memory, "1e3GiB", "'1e3GiB' is not an amount of memory"),
        (Memory, "٢GiB", "is not an amount of memory"),
        (Memory, "", "'' is not an amount of memory"),
        (Cpu, "0", "'0' is finer than a thousandth of a core"),
        (Cpu, "0.0001", "'0.0001' is finer than a thousandth of a core"),
        (Cpu, "2 cores", "'2 cores' is not a number of cores; write for example 0.5 or 500m"),
        (Cpu, "many", "'many' is not a number of cores; write for example 0.5 or 500m"),
        (Duration, "5", "'5' has no known unit; write for example 250ms, 30s or 5m"),
        (Duration, "5 min", "'5 min' has no known unit"),
        (Duration, "soon", "'soon' is not a length of time; write for example 5m or 250ms"),
        (Money, "150", "'150' is not in US dollars; write for example 150 USD"),
        (Money, "150 EUR", "'150 EUR' is not in US dollars"),
        (Money, "$150", "'$150' is not an amount of money; write for example 150 USD"),
    ],
)
def test_what_is_no_amount_says_what_one_looks_like(unit: Any, text: str, told: str) -> None:
    with pytest.raises(ValueError) as raised:
        unit.parse(text)
    assert told in str(raised.value)


@pytest.mark.parametrize("unit", [Memory, Cpu, Duration, Money])
def test_a_long_text_is_not_repeated(unit: Any) -> None:
    with pytest.raises(ValueError) as raised:
        unit.parse("9" * 1_000_000)
    assert len(str(raised.value)) < 150


def test_amounts_compare() -> None:
    assert Memory.parse("1GiB") > Memory.parse("1GB")
    assert Duration.parse("90s") > Duration.parse("1m")
    assert Cpu.parse("500m") < Cpu.parse("1")
    assert Money.parse("2 USD") < Money.parse("10 USD")
    assert Cpu.parse("500m").cores == 0.5


def test_money_of_two_currencies_does_not_compare() -> None:
    with pytest.raises(ValueError, match="1 USD and 1 EUR do not compare"):
        _ = Money(Decimal(1)) < Money(Decimal(1), "EUR")


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (512, "512 B"), (3_100_000, "3.1 MB"), (68_000_000, "68 MB"), (2 * 10**12, "2.0 TB")]
)
def test_sizes_are_shown_as_registries_show_them(count: int, text: str) -> None:
    assert size_text(count) == text


def test_a_secret_is_shown_to_nobody() -> None:
    secret = Secret("geheim")
    assert f"{secret} {secret!r} {[secret]} {secret:}" == "*** *** [***] ***"
    assert secret.reveal() == "geheim"
    assert secret == Secret("geheim") != Secret("other")
    assert len({secret, Secret("geheim")}) == 1


def test_a_secret_is_written_nowhere() -> None:
    with pytest.raises(TypeError, match="a secret is not written anywhere"):
        pickle.dumps(Secret("geheim"))
