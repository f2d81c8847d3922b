"""A scan of a model file, remembered by what the file holds: a large pickle takes seconds to read, its digest milliseconds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mlship.frameworks.digest import FileDigests
from mlship.memo import Memo, sources_digest, state_of
from mlship.server import pickle_machine, pickle_open, pickle_scan, skops_scan
from mlship.server.pickle_scan import Scan


def remembered_scan(digests: FileDigests, memo: Memo) -> Callable[[Path], Scan]:
    """A `scan` that reads a file of known bytes no second time. Refusals are not remembered."""

    def scan(path: Path) -> Scan:
        file = digests.of(path)
        facts = sources_digest(pickle_machine, pickle_open, pickle_scan, skops_scan)
        known = memo.recall("scan", file.sha256, facts)
        if known is not None:
            return _scan(known)
        found = pickle_scan.scan(path)
        if state_of(path) == file.state:
            memo.keep("scan", file.sha256, facts, asdict(found))
        return found

    return scan


def _scan(kept: Mapping[str, Any]) -> Scan:
    pairs = {key: tuple((module, name) for module, name in kept[key]) for key in ("names", "called")}
    return Scan(**{**kept, **pairs, "root": tuple(kept["root"]), "keys": tuple(kept["keys"])})
