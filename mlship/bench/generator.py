"""The load's own process: what it is told, and what it saw."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlship.bench.question import Address
from mlship.errors import Exit, MlshipError
from mlship.runner import Command, Runner

PROGRAM = Path(__file__).with_name("load.py")
MOST = 256  # connections of an open loop; what comes while all wait for answers waits, too, and its time runs
WARM = 0.1  # of an open loop's time: the queue begins empty, as it seldom is
LONGEST_S = 60.0  # of a closed loop that is to see a number of answers
_SPARE_S = 60.0  # for connections, late answers, and the machine


@dataclass(frozen=True)
class Given:
    """One answer, and how often it came. question: its place in the list."""

    question: int
    status: int
    body: bytes
    count: int


@dataclass(frozen=True)
class Seen:
    """times: seconds from when a request was due to its whole answer, of those with status 200, ascending. seconds: measured.

    lost: reason -> requests without an answer. uncompared: answers that differ from all `given`, which are too many to keep.
    busy: share of a core that the load itself took, in [0, 1]. late_s: 99 of 100 requests were sent so soon after they were due.
    """

    times: tuple[float, ...]
    seconds: float
    sent: int
    given: tuple[Given, ...] = ()
    lost: dict[str, int] = field(default_factory=dict)
    uncompared: int = 0
    busy: float = 0.0
    late_s: float = 0.0

    @property
    def throughput(self) -> float:
        """Answers a second."""
        return len(self.times) / self.seconds if self.seconds else 0.0


class Generator:
    """Asks one address the same questions, in turn. requests: whole HTTP requests, as they are sent."""

    def __init__(self, runner: Runner, address: Address, requests: Sequence[bytes]) -> None:
        self._runner = runner
        self._address = address
        self._requests = requests

    def closed(self, connections: int, seconds: float, least: int = 0, longest_s: float = LONGEST_S) -> Seen:
        """Each connection asks again as soon as it is answered. Goes on until there are `least` answers, at most longest_s.

        Raises MlshipError with exit 13 when nothing can be reached.
        """
        until = {"seconds": seconds, "least": least, "longest_s": longest_s}
        return self._run({"connections": connections, "rate": 0, "rest_s": 0, **until})

    def rested(self, rest_s: float, seconds: float, least: int = 0, longest_s: float = LONGEST_S, seed: int = 0) -> Seen:
        """One caller, who pauses rest_s on average before each request, by chance. Otherwise as `closed`."""
        until = {"seconds": seconds, "least": least, "longest_s": longest_s}
        return self._run({"connections": 1, "rate": 0, "rest_s": rest_s, **until, "seed": seed})

    def open(self, rate: float, seconds: float, seed: int) -> Seen:
        """So many requests a second on average, from callers who do not wait for each other. Raises as `closed`."""
        warm_s = seconds * WARM
        return self._run({"connections": MOST, "rate": rate, "seconds": seconds + warm_s, "warm_s": warm_s, "seed": seed})

    def _run(self, job: dict[str, Any]) -> Seen:
        address = self._address
        whole = {
            **job,
            "host": address.host,
            "port": address.port,
            "tls": address.is_tls,
            "questions": [request.decode("latin-1") for request in self._requests],
        }
        limit_s = max(job["seconds"], job.get("longest_s", 0.0)) + _SPARE_S
        argv = (sys.executable, "-I", str(PROGRAM))
        done = self._runner.run(Command(argv, stdin=json.dumps(whole).encode(), timeout_s=limit_s))
        if not done.ok:
            raise RuntimeError("the load ended by itself\n" + "\n".join(done.last_lines(20)))
        return seen_from(json.loads(done.stdout), f"{address.host}:{address.port}")


def seen_from(document: dict[str, Any], place: str) -> Seen:
    """What the program said. Raises MlshipError with exit 13 where it could not connect."""
    if "error" in document:
        raise MlshipError(
            f"nothing can be asked at {place}: {document['error'].lower()}",
            fix="mlship status, mlship logs",
            exit=Exit.UNREACHABLE,
            code="unreachable",
        )
    return Seen(
        tuple(document["times"]),
        document["seconds"],
        document["sent"],
        tuple(Given(question, status, body.encode("latin-1"), count) for question, status, body, count in document["answers"]),
        document["lost"],
        document["uncompared"],
        document["cpu_s"] / max(document["seconds"], 1e-9),
        document["late_s"],
    )
