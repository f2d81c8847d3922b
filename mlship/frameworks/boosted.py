"""What the reader of every kind of boosted trees tells."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from mlship.errors import Finding
from mlship.frameworks.base import Asked, Read
from mlship.server.boosted_header import Header, example_rows
from mlship.server.pickle_open import Refused


def read_boosted(
    asked: Asked, library: str, header: Callable[[Path], Header], oddities: Callable[[Header, Asked], Iterator[Finding]]
) -> Read:
    """library: its module, which is its package, too. A damaged file is a finding. Raises OSError."""
    try:
        found = header(asked.path)
    except Refused as refused:
        what = f"{asked.path.name}: {refused.what}"
        return Read(asked.format, findings=(Finding(what, asked.where, refused.fix, code=refused.kind),))
    return Read(
        format=asked.format,
        versions={library: found.version} if found.version else {},
        modules=frozenset({library}),
        findings=tuple(oddities(found, asked)),
        rows=example_rows(found),
    )
