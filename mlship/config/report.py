"""Everything that is wrong with one file, collected while it is read, told at once."""

from __future__ import annotations

from mlship.config.nodes import Place
from mlship.config.words import clipped
from mlship.errors import Finding, FindingsError

_MOST = 50  # more than anyone mends before running it again


class Report:
    """Findings by place; the same finding, seen in several environments, counts once. After 50 it takes no more."""

    def __init__(self, file_name: str) -> None:
        self._file = clipped(file_name)
        self._found: dict[tuple[Place, str, str], Finding] = {}

    def add(self, place: Place, key: str, what: str, fix: str = "", code: str = "configuration") -> None:
        if self.is_full:
            return
        where = f"{self._file}:{place.line}:{place.column} {key}".rstrip()
        self._found.setdefault((place, key, what), Finding(what, where, fix, code=code))

    def __len__(self) -> int:
        return len(self._found)

    @property
    def is_full(self) -> bool:
        """Nothing more needs to be looked for."""
        return len(self._found) >= _MOST

    def error(self) -> FindingsError:
        """All of it in the order of the file, as what the command ends with."""
        ordered = [self._found[key] for key in sorted(self._found, key=lambda key: (key[0].line, key[0].column))]
        count = f"{len(ordered)} problem{'s' if len(ordered) > 1 else ''}"
        title = f"{self._file} has {f'at least {count}; these are some' if self.is_full else count}"
        return FindingsError(title, ordered, code="configuration")
