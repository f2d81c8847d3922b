"""What the history says of one release, as a document that can lie beside its image, and a history made again of several. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from mlship.errors import MlshipError
from mlship.releases.history import Entry, History
from mlship.releases.records import release_from_dict
from mlship.releases.release import Release

SCHEMA = 1
ARTIFACT_TYPE = "application/vnd.mlship.release.v1+json"
_ID = re.compile(r"r\d+-[0-9a-f]{6}")  # what answers may say anything


@dataclass(frozen=True)
class ReleaseRecord:
    """entries: those of the history that are about the release, oldest first. rejected: why it was, else empty."""

    project: str
    environment: str
    target: str
    release: Release
    entries: tuple[Entry, ...]
    rejected: str = ""


def record_of(history: History, release: Release) -> ReleaseRecord:
    """The same history gives the same record, whoever asks: what is attached can be compared."""
    entries = tuple(entry for entry in history.entries if entry.release == release.id)
    rejected = history.rejected.get(release.id, "")
    return ReleaseRecord(history.project, history.environment, history.target, release, entries, rejected)


def record_to_json(record: ReleaseRecord) -> bytes:
    """With the version that made the release, and not the one that writes: an upgrade alone makes no other document."""
    document = {"schema": SCHEMA, "mlship": record.release.mlship, **_fields(record)}
    return json.dumps(document, ensure_ascii=False, default=_fields).encode() + b"\n"


def record_from_json(raw: bytes, where: str) -> ReleaseRecord:
    """Raises MlshipError for what is no such document, or of a newer schema."""
    try:
        document = json.loads(raw)
        schema = document["schema"]
        if isinstance(schema, int) and schema > SCHEMA:
            raise MlshipError(
                f"the release record was written by mlship {document.get('mlship') or 'of a newer version'}",
                where,
                "upgrade mlship: pip install --upgrade mlship",
                code="newer-records",
            )
        return ReleaseRecord(
            project=document["project"],
            environment=document["environment"],
            target=document["target"],
            release=release_from_dict(document["release"]),
            entries=tuple(Entry(**entry) for entry in document["entries"]),
            rejected=document["rejected"],
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise MlshipError("the release record cannot be read", where, "delete this tag", code="damaged-records") from None


def recovered(records: Sequence[ReleaseRecord], serving: str, by: str, when: float) -> History:
    """The history as far as the records of its releases tell it, with an entry that says what is missing.

    records: of one project and environment, at least one. serving: the release that callers reach, as it says itself; it is live
    where it is among them, else the one that was committed last.
    """
    first = records[0]
    entries = tuple(sorted((entry for record in records for entry in record.entries), key=lambda entry: entry.generation))
    served = {entry.release: entry.generation for entry in entries if entry.action in ("deploy", "rollback")}
    releases = sorted((record.release for record in records), key=lambda one: (served.get(one.id, 0), one.sequence))
    last = max(served, key=lambda release: served[release], default="")
    live = serving if any(release.id == serving for release in releases) else last
    operating = [entry.operating for entry in entries if entry.operating]
    found = History(
        project=first.project,
        environment=first.environment,
        target=first.target,
        generation=max((entry.generation for entry in entries), default=0),
        live=live,
        releases=tuple(releases),
        entries=entries,
        rejected={**_later_than(live, served), **_rejected(records, live)},
        operating=operating[-1] if operating else {},
    )
    entry = Entry(found.generation + 1, live, "recover", by, when, _why(found, serving), operating=found.operating)
    return replace(found, generation=entry.generation, entries=(*entries, entry))


def with_unknown(found: History, there: Iterable[str], by: str, when: float) -> History:
    """With an entry for each release on the platform of which nothing is known: its number is given to no other one."""
    known = {entry.release for entry in found.entries} | {release.id for release in found.releases}
    for release in sorted(release for release in set(there) - known if _ID.fullmatch(release)):
        number, why = found.generation + 1, "it is on the platform, and no record tells of it"
        found = replace(found, generation=number, entries=(*found.entries, Entry(number, release, "recover", by, when, why)))
    return found


def lost_generations(entries: Sequence[Entry]) -> tuple[int, ...]:
    """Those that no entry tells of: of releases that were let go since, and what was not attached any more."""
    known = {entry.generation for entry in entries}
    return tuple(number for number in range(1, max(known, default=0)) if number not in known)


def _rejected(records: Sequence[ReleaseRecord], live: str) -> dict[str, str]:
    """What serves was taken up again since its record was written."""
    return {one.release.id: one.rejected for one in records if one.rejected and one.release.id != live}


def _later_than(live: str, served: dict[str, int]) -> dict[str, str]:
    """What was committed after the live release and serves no more was rolled back from: a plain rollback must not lead there."""
    later = [release for release, generation in served.items() if live in served and generation > served[live]]
    return dict.fromkeys(later, f"committed after {live}, which serves now: it was rolled back from")


def _why(found: History, serving: str) -> str:
    names = ", ".join(release.id for release in found.releases)
    lost = lost_generations(found.entries)
    told = [f"recovered from the records beside the images of {names}"]
    if lost:
        told.append(f"who did what in generation{'s' if len(lost) > 1 else ''} {', '.join(map(str, lost))} is lost")
    if serving and serving != found.live:
        told.append(f"{serving} answered callers then, and nothing is known of it")
    elif not serving:
        told.append("nothing answered then")
    return "; ".join(told)


def _fields(value: Any) -> dict[str, Any]:
    return {field.name: getattr(value, field.name) for field in fields(value)}
