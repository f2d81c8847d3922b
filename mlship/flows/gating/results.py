"""What gates say: three values, what was measured against what, and the fix. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mlship.errors import Exit
from mlship.targets.gates import Verdict

# in their order; how to ask for each, where nobody did
GATES: Mapping[str, str] = {
    "sample": "set model.sample in mlship.yaml, then build",
    "golden": "write model: {golden: golden.jsonl}",
    "holdout": "write model: {holdout: {data: FILE, label: COLUMN, min: {accuracy: 0.9}}}",
    "change": 'mlship test --max-change 0.1, or write rollout: {gates: ["prediction_change < 0.1"]}',
    "schema": "mlship test",
    "memory": "mlship test --max-memory 500MB",
    "start": "mlship test --max-start 5s",
    "slo": "mlship test --slo p95_ms=40",
    "drill": "mlship test --drill",
}


@dataclass(frozen=True)
class Result:
    """One thing that was looked at. of: which protocol, metric or model. measured, limit: for people. fix: where it did not pass."""

    gate: str
    verdict: Verdict
    of: str = ""
    measured: str = ""
    limit: str = ""
    why: str = ""
    fix: str = ""

    @property
    def name(self) -> str:
        """`golden v2`."""
        return f"{self.gate} {self.of}".strip()


@dataclass(frozen=True)
class NotAsked:
    """A gate that nobody asked for, or that cannot be asked here. how: to ask for it, or why it cannot be."""

    gate: str
    how: str


@dataclass(frozen=True)
class Report:
    """subject: `the built image, on this machine`, or `r12-7f3a9c at https://...`. strict: what is not known counts as failed."""

    project: str
    environment: str
    subject: str
    content: str
    results: tuple[Result, ...]
    not_asked: tuple[NotAsked, ...] = ()
    live: bool = False
    strict: bool = False
    seconds: float = 0.0

    @property
    def verdict(self) -> Verdict:
        """One that fails outweighs one that is inconclusive."""
        found = {result.verdict for result in self.results}
        return "fail" if "fail" in found else "inconclusive" if "inconclusive" in found else "pass"

    @property
    def exit(self) -> Exit:
        """11 where the live service's promised latency alone is crossed."""
        failed = {result.gate for result in self.results if result.verdict == "fail"}
        if self.live and failed == {"slo"}:
            return Exit.DRIFTED
        if failed or (self.strict and self.verdict == "inconclusive"):
            return Exit.BUILD_FAILED
        return Exit.OK
