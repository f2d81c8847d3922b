"""SageMaker's types of machines, and what they cost above the plain ones. Pure.

A price of SageMaker is written down for a few types; for others it is taken from the plain machine's price, times the premium
that the known ones have, and that is said.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

# The API's ProductionVariantInstanceType (service model of botocore 1.44.5, 2026-11), without generations that are not sold any more.
_SIZES: Mapping[str, str] = {
    **dict.fromkeys(("m5", "m5d", "r5", "r5d"), "large xlarge 2xlarge 4xlarge 12xlarge 24xlarge"),
    **dict.fromkeys(("c5", "c5d"), "large xlarge 2xlarge 4xlarge 9xlarge 18xlarge"),
    **dict.fromkeys(("c6i", "m6i", "r6i", "c6in"), "large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge 32xlarge"),
    **dict.fromkeys(("c7i", "m7i", "r7i"), "large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge 48xlarge"),
    **dict.fromkeys(
        ("c6g", "c6gd", "c6gn", "c7g", "m6g", "m6gd", "r6g", "r6gd"), "large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge"
    ),
    **dict.fromkeys(("c8g", "m8g", "r8g"), "medium large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge 48xlarge"),
    "r7gd": "medium large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge",
    "t2": "medium large xlarge 2xlarge",
    "g4dn": "xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge",
    **dict.fromkeys(("g5", "g6", "g6e"), "xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge 48xlarge"),
    **dict.fromkeys(("g7", "g7e"), "2xlarge 4xlarge 8xlarge 12xlarge 24xlarge 48xlarge"),
    "p3": "2xlarge 8xlarge 16xlarge",
    **dict.fromkeys(("p4d", "p4de", "dl1"), "24xlarge"),
    "p5": "4xlarge 48xlarge",
    **dict.fromkeys(("p5e", "p5en", "p6-b200", "p6-b300", "trn2"), "48xlarge"),
    "p6e-gb200": "36xlarge",
    "inf1": "xlarge 2xlarge 6xlarge 24xlarge",
    "inf2": "xlarge 8xlarge 24xlarge 48xlarge",
    "trn1": "2xlarge 32xlarge",
    "trn1n": "32xlarge",
}
TYPES = frozenset(f"{family}.{size}" for family, sizes in _SIZES.items() for size in sizes.split())

# Of these the price itself is written down, in one region.
PRICED_IN = "us-east-1"
PRICED = frozenset(
    ("c5.xlarge", "m5.xlarge", "g4dn.xlarge", "g5.xlarge", "g5.2xlarge", "g5.12xlarge", "g6.xlarge", "p4d.24xlarge")
)


@dataclass(frozen=True)
class Premium:
    """times: the price of the plain machine. known_from: the types whose two prices tell so."""

    times: float
    known_from: str


# From the rows of the price facts that give both prices (2025 and 2026-05).
_CPU = Premium(1.20, "ml.c5.xlarge and ml.m5.xlarge")
_GPU_XLARGE = Premium(1.40, "ml.g4dn.xlarge, ml.g5.xlarge and ml.g6.xlarge")
_GPU_LARGER = Premium(1.25, "ml.g5.2xlarge and ml.g5.12xlarge")
_NOBODY_TELLS = ("p", "inf", "trn", "dl")


def plain(name: str) -> str:
    """The machine's own name: `ml.m5.xlarge` and `m5.xlarge` are `m5.xlarge`."""
    return name.removeprefix("ml.")


def premium(name: str) -> Premium | None:
    """What a type costs more than the plain machine; None where no two prices tell it. name: `m5.xlarge`."""
    family, _, size = name.partition(".")
    if family.startswith(_NOBODY_TELLS):
        return None
    if not family.startswith("g"):
        return _CPU
    return _GPU_XLARGE if size == "xlarge" else _GPU_LARGER


def like(name: str) -> tuple[str, ...]:
    """Types in place of one that there is not: its family's, else those of its kind and size, else a few of all."""
    family, _, size = name.partition(".")
    of_family = sorted(one for one in TYPES if one.startswith(f"{family}."))
    of_kind = sorted(one for one in TYPES if one.startswith(family[:1]) and one.endswith(f".{size}"))
    return tuple(of_family or of_kind) or ("m6i.large", "c6i.large", "g6.xlarge")
