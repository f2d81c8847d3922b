"""What load told about an image, kept beside it: `benches/<content>.json` below Home.images, an entry a model."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mlship.bench.machine import Processor
from mlship.bench.search import Attempt
from mlship.disk import write_atomic
from mlship.errors import MlshipError

SCHEMA = 2  # 2: with times after rests


@dataclass(frozen=True)
class Measured:
    """What one model of an image did under load, on one machine.

    where: `this machine` for a server of bench's own, else the live release's endpoint. measured: seconds since the epoch. mlship:
    the version that measured. machine, workers: of the server. rows: in each request.
    mean_s, service_time_sample: seconds from request to answer of a caller who is alone, ascending and equally weighted; they hold
    the model, the server's reading, checking and writing, and the way over loopback and back. requests: as many were measured.
    rested_mean_s, rested_sample: the same of a caller who pauses before each request: a processor that rested is slower for a while.
    0 and empty where an earlier mlship measured.
    throughput: answers a second, all callers asking again at once; throughput_one_core: the same of a server that may use one
    core, None where it could not be started so. connections: that asked at the peak.
    slo_p99_s, highest_rate: what was promised, and the highest rate (requests a second) at which it was kept; None where nothing
    is promised, or no rate keeps it. curve: rates of an open loop, ascending. memory_bytes: of all processes of the server after
    the load. cold_start_s: from its start to the first right answer; both None where the server was there before.
    busy: the share of a core that the load itself took at the peak.
    """

    model: str
    where: str
    measured: float
    mlship: str
    machine: Processor
    workers: int
    rows: int
    requests: int
    mean_s: float
    service_time_sample: tuple[float, ...]
    throughput: float
    throughput_one_core: float | None = None
    connections: int = 0
    slo_p99_s: float | None = None
    highest_rate: float | None = None
    curve: tuple[Attempt, ...] = ()
    memory_bytes: int | None = None
    cold_start_s: float | None = None
    busy: float = 0.0
    rested_mean_s: float = 0.0
    rested_sample: tuple[float, ...] = ()


class Benches:
    """The benches of one image store. folder: Home.images."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def of_content(self, content: str, model: str = "") -> Measured | None:
        """The last one of that model, or of the image's first measured one; None where there is none.

        Raises MlshipError for what a newer mlship wrote, and for what is damaged.
        """
        found = self._read(content)
        return found.get(model) if model else next(iter(found.values()), None)

    def write(self, content: str, measured: Measured) -> None:
        """In the place of what was known of that model. Raises MlshipError as of_content does, and where the disk refuses."""
        models = {**self._read(content), measured.model: measured}
        document = {"schema": SCHEMA, "content": content, "models": [asdict(one) for one in models.values()]}
        write_atomic(self._path(content), json.dumps(_plain(document), indent=1, allow_nan=False).encode() + b"\n")

    def _read(self, content: str) -> Mapping[str, Measured]:
        path = self._path(content)
        try:
            document = json.loads(path.read_bytes())
            if document["schema"] > SCHEMA:
                raise MlshipError(
                    "what a load told was written by a newer mlship",
                    str(path),
                    "upgrade mlship, or mlship bench again",
                    code="newer-records",
                )
            entries = [_measured(entry) for entry in document["models"]]
        except FileNotFoundError:
            return {}
        except (ValueError, KeyError, TypeError):
            raise MlshipError("what a load told is damaged", str(path), f"delete it: rm {path}", code="damaged") from None
        return {entry.model: entry for entry in entries}

    def _path(self, content: str) -> Path:
        return self._folder / "benches" / f"{content.removeprefix('sha256:')}.json"


def _measured(entry: Mapping[str, Any]) -> Measured:
    samples = {name: tuple(map(float, entry.get(name, ()))) for name in ("service_time_sample", "rested_sample")}
    if any(not all(map(math.isfinite, sample)) or list(sample) != sorted(sample) for sample in samples.values()):
        raise ValueError
    curve = tuple(Attempt(**{**one, **{key: _endless(one[key]) for key in ("p50_s", "p99_s")}}) for one in entry["curve"])
    return Measured(**{**entry, **samples, "machine": Processor(**entry["machine"]), "curve": curve})


def _endless(seconds: float | None) -> float:
    return math.inf if seconds is None else float(seconds)


def _plain(value: Any) -> Any:
    """JSON has no infinity: null stands for it."""
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
