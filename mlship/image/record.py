"""What a build learned about its image, kept beside the images: reports, checks, and the model's own answers.

The answers are evidence about an image, not a part of it: they may differ in the last bits between two processors.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from mlship.disk import write_atomic
from mlship.errors import MlshipError
from mlship.frameworks.engine_choice import EngineFacts, facts_from

SCHEMA = 1


@dataclass(frozen=True)
class RecordedModel:
    """A model for reports. inputs: one line for people; sample: number of rows. answers: None without a sample.

    engine: what computes it, and what was measured of that. source_version: what pins a fetched model at its source. row_s: seconds
    that one row took at the build, 0 unknown. peak_memory: bytes that loading it took, 0 unknown.
    """

    name: str
    framework: str
    title: str
    path: str
    size: int
    sha256: str
    inputs: str = ""
    code: tuple[str, ...] = ()
    trust: tuple[str, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    sample: tuple[Any, ...] = ()
    answers: Mapping[str, Any] | None = None
    tolerance: Mapping[str, float] = field(default_factory=dict)
    engine: EngineFacts = EngineFacts()
    source_version: str = ""
    row_s: float = 0.0
    peak_memory: int = 0


@dataclass(frozen=True)
class BuildRecord:
    """inputs: digest over everything that the build depended on; content: `sha256:<hex>` of the image that it gave.

    manifest: digest of the image's manifest: one content has several, by compression; empty in older records.
    created: seconds since the epoch. environment, base: for people. serving: the manifest's serving section as plain data.
    to_run_at_deploy: what could not be proved here, because no program of the platform runs here. platforms: platform -> content
    of all images that were built together, empty for one alone.
    """

    inputs: str
    content: str
    project: str
    platform: str
    created: float
    mlship: str
    models: tuple[RecordedModel, ...]
    serving: Mapping[str, Any] = field(default_factory=dict)
    environment: str = ""
    base: str = ""
    packages: int = 0
    checks: tuple[str, ...] = ()
    manifest: str = ""
    to_run_at_deploy: tuple[str, ...] = ()
    platforms: Mapping[str, str] = field(default_factory=dict)
    schema: int = SCHEMA


class BuildRecords:
    """The records of one image store. folder: Home.images."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def write(self, record: BuildRecord) -> None:
        """The record first, then the pointer from its inputs: a killed build leaves no pointer to nothing."""
        raw = json.dumps(asdict(record), indent=1, ensure_ascii=False).encode() + b"\n"
        write_atomic(self._record(record.content), raw)
        write_atomic(self._pointer(record.inputs), f"{record.content} {record.manifest}".strip().encode())

    def of_content(self, content: str) -> BuildRecord | None:
        """None when this store never built it. Raises MlshipError for records of a newer mlship."""
        path = self._record(content)
        try:
            document = json.loads(path.read_bytes())
        except FileNotFoundError:
            return None
        except ValueError:
            raise _damaged(path) from None
        if document.get("schema", 0) > SCHEMA:
            raise MlshipError(
                f"the build record was written by mlship {document.get('mlship')}",
                str(path),
                "upgrade mlship, or build again",
                code="newer-records",
            )
        try:
            return BuildRecord(**{**document, "models": tuple(_model(entry) for entry in document["models"]),
                                  "checks": tuple(document["checks"]),
                                  "to_run_at_deploy": tuple(document.get("to_run_at_deploy", ()))})  # fmt: skip
        except (KeyError, TypeError):
            raise _damaged(path) from None

    def of_inputs(self, inputs: str) -> BuildRecord | None:
        """The build that had the same inputs, if there was one; with the manifest that it made."""
        try:
            content, _, manifest = self._pointer(inputs).read_text().partition(" ")
        except FileNotFoundError:
            return None
        found = self.of_content(content)
        return found and replace(found, manifest=manifest)

    def _record(self, content: str) -> Path:
        return self._folder / "records" / f"{content.removeprefix('sha256:')}.json"

    def _pointer(self, inputs: str) -> Path:
        return self._folder / "inputs" / inputs


def _model(entry: Mapping[str, Any]) -> RecordedModel:
    lists = {key: tuple(entry[key]) for key in ("code", "trust", "sample")}
    return RecordedModel(**{**entry, **lists, "engine": facts_from(entry.get("engine", {}))})


def _damaged(path: Path) -> MlshipError:
    return MlshipError("the build record is damaged", str(path), f"delete it and build again: rm {path}", code="damaged")
