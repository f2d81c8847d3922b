"""Everything that is wrong with one file, collected while it is read, told at once."""

from __future__ import annotations

from mlship.config.nodes import Place
from mlship.config.words import clipped
from mlship.errors import Finding, FindingsError

_TOLD = 50  # more than anyone mends before running it again


class Report:
    """Findings by place; the same finding, seen in several environments, counts once."""

    def __init__(self, file_name: str) -> None:
        self._file = clipped(file_name)
        self._found: dict[tuple[Place, str, str], Finding] = {}

    def add(self, place: Place, key: str, what: str, fix: str = "", code: str = "configuration") -> None:
        where = f"{self._file}:{place.line}:{place.column} {key}".rstrip()
        self._found.setdefault((place, key, what), Finding(what, where, fix, code=code))

    def __len__(self) -> int:
        return len(self._found)

    @property
    def is_full(self) -> bool:
        """More than are told: near matches are not worth looking for any more."""
        return len(self._found) > _TOLD

    @property
    def findings(self) -> tuple[Finding, ...]:
        """In the order of the file; at most 50, the last one then says how many more."""
        ordered = [self._found[key] for key in sorted(self._found, key=lambda key: (key[0].line, key[0].column))]
        if len(ordered) <= _TOLD:
            return tuple(ordered)
        return (*ordered[:_TOLD], Finding(f"{len(ordered) - _TOLD} more problems are not shown", self._file, code="more"))

    def error(self) -> FindingsError:
        """All of it, as what the command ends with."""
        count = len(self._found)
        return FindingsError(f"{self._file} has {count} problem{'s' if count > 1 else ''}", self.findings, code="configuration")
