"""What rows may hold beside the model's features: names that go through to the answer, and whether others are refused."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from mlship.server.manifest import Model
from mlship.server.problems import LIMIT, InputError, Problem, described, shown

SCALARS = (str, int, float, bool, type(None))


@dataclass(frozen=True)
class Extras:
    """kept: names that are copied from row to answer. ignored: every other unknown name is dropped, not refused."""

    kept: tuple[str, ...] = ()
    ignored: bool = False

    def may_be(self, names: Iterable[str]) -> bool:
        """True when rows may hold all these names beside the features."""
        return self.ignored or all(name in self.kept for name in names)

    def values(self, rows: Any) -> dict[str, list[Any]]:
        """The kept names as outputs, one value a row; null where a row has no such name, or no names at all.

        Raises InputError(422) for a value that is a list or an object.
        """
        if not isinstance(rows, list):
            return {}
        found = {name: [row.get(name) if isinstance(row, dict) else None for row in rows] for name in self.kept}
        problems = list(islice(_not_one_value(found), LIMIT))
        if problems:
            raise InputError(422, problems)
        return found


def _not_one_value(found: dict[str, list[Any]]) -> Iterator[Problem]:
    for name, values in found.items():
        for index, value in enumerate(values):
            if not isinstance(value, SCALARS):
                message = f'row {index}: "{name}" goes through as one value, got {described(value)}'
                yield Problem(index, name, shown(value), "one value", message)


NO_EXTRAS = Extras()


def extras_of(entry: Model) -> Extras:
    """What the manifest says of a model."""
    return Extras(entry.passthrough, entry.extra == "ignore")
