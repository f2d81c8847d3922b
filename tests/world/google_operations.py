"""Long-running operations: each takes several looks, may fail late, and does its work only when it ends.

operation = operations.begin("projects/p/locations/l/endpoints/7", work, metadata)   # {"name": ...}: answered at once
operations.look(name)                                                                 # each look brings it on
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from google_world import No

_CODES = {"INVALID_ARGUMENT": 3, "NOT_FOUND": 5, "ALREADY_EXISTS": 6, "RESOURCE_EXHAUSTED": 8, "FAILED_PRECONDITION": 9}
_CODES |= {"ABORTED": 10, "INTERNAL": 13, "UNAVAILABLE": 14, "PERMISSION_DENIED": 7}


@dataclass
class Operation:
    """work: gives the response, or raises No, when it ends. left: looks until then. of: the resource that it is about."""

    name: str
    of: str
    work: Callable[[], Mapping[str, Any]]
    metadata: Mapping[str, Any]
    left: int
    ended: Mapping[str, Any] | None = None

    @property
    def told(self) -> dict[str, Any]:
        said: dict[str, Any] = {"name": self.name, "metadata": dict(self.metadata)}
        return {**said, "done": True, **self.ended} if self.ended is not None else said


@dataclass
class Operations:
    """looks: how many it takes until an operation ends. stands: none comes on, as while a command is away."""

    looks: int = 2
    stands: bool = False
    known: dict[str, Operation] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1_000_000))

    def begin(
        self,
        of: str,
        work: Callable[[], Mapping[str, Any]],
        metadata: Mapping[str, Any],
        *,
        under: str = "",
        looks: int | None = None,
    ) -> dict[str, Any]:
        """under: what its name begins with, where that is not the resource. metadata: with its `@type`."""
        name = f"{under or of}/operations/{next(self._numbers)}"
        made = self.known[name] = Operation(name, of, work, metadata, self.looks if looks is None else looks)
        return made.told

    def running(self, of: str) -> list[Operation]:
        """On this resource, and not ended yet."""
        return [one for one in self.known.values() if one.of == of and one.ended is None]

    def look(self, name: str) -> dict[str, Any]:
        """name: its last part is enough; the resource before it may have the project's id or its number."""
        found = next((one for known, one in self.known.items() if known.rpartition("/")[2] == name.rpartition("/")[2]), None)
        if found is None:
            raise No("NOT_FOUND", f"Operation {name} does not exist.")
        if found.ended is None and not self.stands:
            found.left -= 1
            if found.left <= 0:
                found.ended = _ended(found.work)
        return found.told


def _ended(work: Callable[[], Mapping[str, Any]]) -> dict[str, Any]:
    try:
        return {"response": dict(work())}
    except No as no:
        return {"error": {"code": _CODES[no.said], "message": no.message}}


def typed(kind: str, **said: Any) -> dict[str, Any]:
    """A message inside another one: its type goes with it. kind: `google.cloud.aiplatform.v1.Endpoint`."""
    return {"@type": f"type.googleapis.com/{kind}", **said}
