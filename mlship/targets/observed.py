"""What the world looks like: copies, what they counted, and the records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mlship.releases.history import History


@dataclass(frozen=True)
class FrontFacts:
    """What a front consists of; all empty where it does not tell, because an earlier mlship made it.

    has: `HAProxy 2.6.12-1+deb12u4, OpenSSL 3.0.17-1~deb12u3`. packages: names all of them. made: the day that they were the
    newest ones, `2026-11-22`. key: what the front can do (FrontImage.key).
    """

    has: str = ""
    packages: str = ""
    made: str = ""
    key: str = ""


@dataclass(frozen=True)
class Replica:
    """One running copy. since: seconds since the epoch. detail: last exit code, out-of-memory flag and the like, in words."""

    name: str
    release: str
    ready: bool
    since: float = 0.0
    staged: bool = False
    detail: str = ""


@dataclass(frozen=True)
class Why:
    """What is known of a copy that is not well, or was not. exit_code: of its last end, None when it never ended.

    probe: what its readiness answered. log: its last lines. restarts: how often it was started again.
    """

    replica: str
    release: str
    state: str
    exit_code: int | None = None
    out_of_memory: bool = False
    restarts: int = 0
    probe: str = ""
    log: tuple[str, ...] = ()


@dataclass(frozen=True)
class Spread:
    """Rows by bin of one feature, or of the predictions: in model.reference, and of late.

    Bins are in the server's order, and have its names (server/drift_index.py).
    """

    reference: Mapping[str, float] = field(default_factory=dict)
    live: Mapping[str, float] = field(default_factory=dict)


Spreads = Mapping[tuple[str, str, str], Spread]  # by model, `feature` or `prediction`, and the feature's name


@dataclass(frozen=True)
class Measures:
    """What one release's copies have counted since they started; two of them are subtracted to measure a time between.

    requests, errors: answered to callers, errors those with a status of 500 and above or with no answer at all.
    buckets: latency in seconds -> requests answered within, cumulative, the last bound is infinity. seconds: of all those
    latencies together. rps: over the last seconds where the target knows it, else 0. spreads: of models with a reference, over the
    window that the server keeps.
    """

    requests: float = 0.0
    errors: float = 0.0
    buckets: Mapping[float, float] = field(default_factory=dict)
    rps: float = 0.0
    seconds: float = 0.0
    spreads: Spreads = field(default_factory=dict)


@dataclass(frozen=True)
class Observed:
    """What is there. history: the records, None where nothing was ever committed.

    serving: id of the release that really answers at the endpoint, as it says itself; empty when nothing answers.
    replicas: every running copy, staged ones too. fingerprint: changes when anything above changes.
    restorable: ids of releases that this target could serve again now. lost: id of every other one -> why not, as the end of
    a sentence.
    repair: why the live release has to be put in service again although it answers; empty when all is well.
    weights: release id -> share of the callers in [0, 1], as the target really has it; empty where it cannot tell.
    front: what callers reach the release through, where the target keeps that itself.
    """

    history: History | None
    endpoint: str = ""
    serving: str = ""
    replicas: tuple[Replica, ...] = ()
    restorable: frozenset[str] = frozenset()
    lost: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    fingerprint: str = ""
    repair: str = ""
    weights: Mapping[str, float] = field(default_factory=dict)
    front: FrontFacts | None = None
