"""What was measured of images on labelled rows, kept beside them, and recorded with the releases that they become."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlship.disk import write_atomic
from mlship.errors import MlshipError

SCHEMA = 1


@dataclass(frozen=True)
class Quality:
    """What was measured. rows_sha256: of the file of rows; figures are compared only where it is the same."""

    rows: int
    rows_sha256: str
    metrics: Mapping[str, float]


def quality_of(recorded: Mapping[str, Any], model: str, rows_sha256: str) -> Quality | None:
    """recorded: of a release, or of Qualities.every."""
    entry = recorded.get(model, {}).get(rows_sha256)
    return Quality(entry["rows"], rows_sha256, entry["metrics"]) if entry else None


class Qualities:
    """Beside the images: `quality/<content>.json` below Home.images, by model and file of rows."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "quality"

    def write(self, content: str, model: str, measured: Quality) -> None:
        known = self._read(content)
        entry = {"rows": measured.rows, "metrics": dict(measured.metrics)}
        models = {**known, model: {**known.get(model, {}), measured.rows_sha256: entry}}
        document = {"schema": SCHEMA, "content": content, "models": models}
        write_atomic(self._path(content), json.dumps(document, indent=1, sort_keys=True).encode() + b"\n")

    def of(self, content: str, model: str, rows_sha256: str) -> Quality | None:
        """None where it was never measured on these rows."""
        return quality_of(self._read(content), model, rows_sha256)

    def every(self, content: str) -> dict[str, Any]:
        """As a release records it: model -> digest of the rows -> {"rows", "metrics"}."""
        return self._read(content)

    def _read(self, content: str) -> dict[str, Any]:
        path = self._path(content)
        try:
            document = json.loads(path.read_bytes())
        except FileNotFoundError:
            return {}
        except ValueError:
            raise MlshipError("the measured quality is damaged", str(path), f"delete it: rm {path}", code="damaged") from None
        if document.get("schema") != SCHEMA:
            raise MlshipError(
                "the measured quality was written by another mlship", str(path), "upgrade mlship", code="newer-records"
            )
        models: dict[str, Any] = document["models"]
        return models

    def _path(self, content: str) -> Path:
        return self._folder / f"{content.removeprefix('sha256:')}.json"
