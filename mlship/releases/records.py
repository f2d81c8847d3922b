"""The shape of records and lease on every target. Documents carry `schema`; older ones are read, newer ones refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from mlship.errors import Exit, MlshipError
from mlship.releases.history import Entry, History, Underway
from mlship.releases.release import Proof, Release, Served, ServedModel

SCHEMA = 1


@dataclass(frozen=True)
class Lease:
    """The right to change one project in one environment until `expires` (seconds since the epoch).

    token: unguessable, made at acquisition; who has it holds the lease. holder: `user@host pid 1234`, for people.
    """

    token: str
    holder: str
    expires: float
    ttl_s: float
    schema: int = SCHEMA


class LeaseHeld(MlshipError):
    """Somebody else is changing this project right now."""

    def __init__(self, holder: str, seconds_left: float) -> None:
        super().__init__(
            f"{holder} is changing this project; the lease ends in {max(seconds_left, 0):.0f} s unless it is renewed",
            fix="wait and run the same command again",
            exit=Exit.LEASE_HELD,
            code="lease-held",
        )
        self.holder = holder
        self.seconds_left = seconds_left


class LeaseLost(MlshipError):
    """Somebody else changed this project meanwhile; nothing was committed."""

    def __init__(self, what: str = "somebody else changed this project meanwhile; nothing was committed") -> None:
        super().__init__(
            what,
            fix="mlship status, then run the same command again",
            exit=Exit.LEASE_HELD,
            code="lease-lost",
        )


def history_to_json(history: History, mlship: str) -> bytes:
    """mlship: the version that writes, so that an older reader can name it. On one line: json writes that five times as fast."""
    document = {"schema": SCHEMA, "mlship": mlship, **_fields(history)}
    return json.dumps(document, ensure_ascii=False, default=_fields).encode() + b"\n"


def _fields(value: Any) -> dict[str, Any]:
    """One level of a dataclass: json asks for the next one. Unlike `asdict` it copies nothing."""
    return {field.name: getattr(value, field.name) for field in fields(value)}


def history_from_json(raw: bytes, where: str) -> History:
    """Raises MlshipError for damaged records (exit 1 never: exit 2 with the place) and for newer schemas."""
    try:
        document = json.loads(raw)
        schema = document["schema"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise damaged(where) from None
    if not isinstance(schema, int) or schema > SCHEMA:
        raise MlshipError(
            f"the records were written by mlship {document.get('mlship', 'of a newer version')}",
            where,
            "upgrade mlship: pip install --upgrade mlship",
            code="newer-records",
        )
    try:
        return History(
            project=document["project"],
            environment=document["environment"],
            target=document["target"],
            generation=document["generation"],
            live=document["live"],
            releases=tuple(release_from_dict(entry) for entry in document["releases"]),
            entries=tuple(Entry(**entry) for entry in document["entries"]),
            rejected=document["rejected"],
            operating=document["operating"],
            underway=underway_from_dict(document.get("underway")),
        )
    except (KeyError, TypeError, AttributeError):
        raise damaged(where) from None


def underway_from_dict(document: Mapping[str, Any] | None) -> Underway | None:
    """None for records from before there were rollouts by steps, and where nothing is under way."""
    if document is None:
        return None
    return Underway(**{**document, "release": release_from_dict(document["release"])})


def release_from_dict(document: Mapping[str, Any]) -> Release:
    """The inverse of `dataclasses.asdict` after a trip through JSON."""
    served = document["served"]
    return Release(
        sequence=document["sequence"],
        served=Served(**{**served, "models": tuple(ServedModel(**model) for model in served["models"])}),
        created=document["created"],
        image=document.get("image", ""),
        proofs={
            name: Proof(**{**proof, "instances": tuple(proof["instances"])})
            for name, proof in document.get("proofs", {}).items()
        },
        mlship=document.get("mlship", ""),
        engines=document.get("engines", {}),
        quality=document.get("quality", {}),
    )


def damaged(where: str) -> MlshipError:
    return MlshipError(
        "the records cannot be read",
        where,
        "restore them from a backup, or take everything away with mlship destroy; mlship does not guess what was live",
        code="damaged-records",
    )
