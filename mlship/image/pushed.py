"""Where an image has been pushed to from this machine, and in which form: kept beside its build record."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from mlship.disk import locked, write_atomic
from mlship.errors import MlshipError

SCHEMA = 1
_KEPT = 100


@dataclass(frozen=True)
class PushRecord:
    """One variant of a content id in a registry. variant: `docker-v2s2,gzip`. digest: what a tag pointed at then.

    kind: of the manifest. when: seconds since the epoch.
    """

    registry: str
    repository: str
    tag: str
    digest: str
    kind: str
    variant: str
    when: float


class PushRecords:
    """folder: Home.images, as of BuildRecords."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def of_content(self, content: str) -> tuple[PushRecord, ...]:
        """The newest first; empty for what was never pushed. Raises MlshipError for records of a newer mlship."""
        path = self._path(content)
        try:
            document = json.loads(path.read_bytes())
            if document["schema"] > SCHEMA:
                raise MlshipError(
                    "the list of pushes was written by a newer mlship", str(path), "upgrade mlship", code="newer-records"
                )
            return tuple(PushRecord(**entry) for entry in document["pushed"])
        except FileNotFoundError:
            return ()
        except (ValueError, KeyError, TypeError):
            raise MlshipError("the list of pushes is damaged", str(path), f"delete it: rm {path}", code="damaged") from None

    def add(self, content: str, record: PushRecord) -> None:
        """What was pushed to the same tag, or in the same form by digest, gives way."""
        with locked(self._path(content).with_suffix(".lock")):
            others = [known for known in self.of_content(content) if _place(known) != _place(record)]
            document = {"schema": SCHEMA, "pushed": [asdict(each) for each in (record, *others)[:_KEPT]]}
            write_atomic(self._path(content), json.dumps(document, indent=1).encode() + b"\n")

    def _path(self, content: str) -> Path:
        return self._folder / "records" / f"{content.removeprefix('sha256:')}.pushed.json"


def _place(record: PushRecord) -> tuple[str, str, str, str]:
    return record.registry, record.repository, record.tag, record.variant
