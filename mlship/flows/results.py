"""What each flow gives back; `cli/views.py` prints these and `--json` writes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlship.flows.building.results import ArchiveReport as ArchiveReport
from mlship.flows.building.results import Built as Built
from mlship.flows.building.results import Explanation as Explanation
from mlship.flows.building.results import ImageReport as ImageReport
from mlship.flows.building.results import LayerReport as LayerReport
from mlship.flows.building.results import ModelReport as ModelReport
from mlship.flows.building.results import PushedLayer as PushedLayer
from mlship.flows.building.results import PushReport as PushReport
from mlship.frameworks.engine_choice import ORIGINAL, EngineFacts

if TYPE_CHECKING:
    from mlship.errors import Finding
    from mlship.image.lock_changes import LockChange
    from mlship.releases.history import Entry
    from mlship.targets.base import Action, FrontFacts, Observed, ServiceRow, Why


@dataclass(frozen=True)
class Initialised:
    """init. written: files made, in order. kept: files that were there already and differ from what init would write."""

    file: Path
    written: tuple[Path, ...]
    kept: tuple[Path, ...]
    model: ModelReport
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class Checked:
    """check: everything that can be known without building."""

    project: str
    models: tuple[ModelReport, ...]
    environment: str
    python: str
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class Relocked:
    """lock. made: the day of its packages. because: why the lock that was there did not do. models: changes, in words.

    packages, system: how many are locked, for the platform with the most. is_written: the file is another one now. is_changed:
    more than the day is other than before.
    """

    project: str
    file: Path
    platforms: tuple[str, ...]
    made: str
    changes: tuple[LockChange, ...]
    models: tuple[str, ...]
    because: tuple[str, ...]
    findings: tuple[Finding, ...]
    packages: int
    system: int
    is_written: bool
    is_changed: bool


@dataclass(frozen=True)
class TakenIn:
    """What came from an archive. content: of the image, of one of several platforms. configuration: the mlship.yaml that counts,

    None for the archive's own.
    """

    archive: Path
    content: str
    configuration: Path | None


@dataclass(frozen=True)
class ReleaseView:
    """A release as every command shows it. models: name -> sha256 hex."""

    id: str
    content: str
    models: Mapping[str, str]
    created: float


@dataclass(frozen=True)
class CostChange:
    """text: `$81.40 -> $122.10 a month (prices of 2026-11-21)`, `` where nobody bills. prices: for the history entry."""

    text: str = ""
    prices: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class PlanView:
    """What deploy would do. steps: lines for people, with the gap or cost that each has; undo: how to take it back.

    takeover: how the release takes over and what it costs, for people. host: the engine, where mlship.yaml names several.
    cost: what changes on the bill. duration: how long it usually takes, where the platform is known for it. replaces: the service
    of the cloud that goes first, with all that it served.
    """

    project: str
    environment: str
    target: str
    service: str
    release: ReleaseView | None
    previous: ReleaseView | None
    actions: tuple[Action, ...]
    create: tuple[str, ...]
    update: tuple[str, ...]
    delete: tuple[str, ...]
    steps: tuple[str, ...]
    findings: tuple[Finding, ...]
    undo: str
    fingerprint: str
    takeover: tuple[str, ...] = ()
    host: str = ""
    cost: CostChange = CostChange()
    duration: str = ""
    region: str = ""
    account: str = ""
    replaces: str = ""

    @property
    def is_empty(self) -> bool:
        return not self.actions

    @property
    def takes_back(self) -> bool:
        """What is under way (`previous`) goes, and what is live all the while (`release`) stays."""
        return any(action.kind == "restore" for action in self.actions)


@dataclass(frozen=True)
class Verified:
    """verify. text: `release id and 20 predictions ok` or `release id and readiness only`."""

    release: str
    endpoint: str
    predictions: int
    text: str


@dataclass(frozen=True)
class Deployed:
    """deploy and rollback. unchanged: what is live is what was wanted. is_closed: callers are judged (serve.auth)."""

    plan: PlanView
    release: ReleaseView
    previous: ReleaseView | None
    endpoint: str
    verified: Verified | None
    generation: int
    unchanged: bool
    seconds: float
    sample_body: Mapping[str, Any] | None = None
    notes: tuple[str, ...] = ()
    is_closed: bool = False


@dataclass(frozen=True)
class Aborted:
    """abort. release: what was taken back; live: what serves all callers again, None when nothing did before."""

    project: str
    environment: str
    target: str
    release: ReleaseView
    live: ReleaseView | None
    endpoint: str
    reason: str
    generation: int
    seconds: float
    notes: tuple[str, ...] = ()
    region: str = ""
    account: str = ""


@dataclass(frozen=True)
class RenewView:
    """renew, before it is agreed to. before: the front that runs; after: the one that is ready on this machine."""

    project: str
    environment: str
    target: str
    host: str
    before: FrontFacts
    after: FrontFacts

    @property
    def is_empty(self) -> bool:
        """The front that runs has the newest packages, and can do what this mlship's can."""
        return (self.before.packages, self.before.key) == (self.after.packages, self.after.key)


@dataclass(frozen=True)
class Renewed:
    """renew."""

    view: RenewView
    endpoint: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class UnderwayView:
    """A rollout that is not committed. share: of the callers, in [0, 1]. since: when this step began, seconds since the epoch.

    strategy: its name. paused: why it waits for a person. attended_by: who holds the lease; empty when no command does, or when
    it is paused. mirror: share of the requests of which the release gets a copy. failed: why it is being taken back.
    """

    release: str
    before: str
    event: str
    strategy: str
    step: int
    share: float
    since: float
    paused: str = ""
    attended_by: str = ""
    mirror: float = 0.0
    failed: str = ""


@dataclass(frozen=True)
class Traffic:
    """What one release's copies answered since they started. Latencies in milliseconds, None where nothing was counted.

    requests, errors: errors are answers of 500 and above, and requests without one. rps: over the last seconds.
    """

    release: str
    requests: int
    errors: int
    rps: float
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None


@dataclass(frozen=True)
class Status:
    """status. observed: as the target saw it; live is what the records say, serving what the server says.

    since: when the live release was committed, seconds since the epoch; 0 when none is. why: only where it was asked for.
    engines: of the live release, by model.
    """

    project: str
    environment: str
    target: str
    endpoint: str
    live: ReleaseView | None
    previous: ReleaseView | None
    serving: str
    observed: Observed
    engines: Mapping[str, EngineFacts] = field(default_factory=dict)
    generation: int = 0
    since: float = 0.0
    traffic: tuple[Traffic, ...] = ()
    underway: UnderwayView | None = None
    why: tuple[Why, ...] = ()
    region: str = ""
    account: str = ""

    @property
    def engine(self) -> str:
        """Of the model that /predict asks."""
        return next((engine.name for engine in self.engines.values()), ORIGINAL)

    @property
    def weights(self) -> Mapping[str, float]:
        """release id -> share of the callers in [0, 1]; where the target cannot tell, all reach what answers."""
        return self.observed.weights or ({self.serving: 1.0} if self.serving else {})


@dataclass(frozen=True)
class HistoryView:
    """history: entries oldest first; restorable and rejected by release id. undo: what a plain rollback would serve, or empty.

    artifacts: release id -> its record beside the image, where the target's registry has one.
    """

    project: str
    environment: str
    target: str
    live: str
    entries: tuple[Entry, ...]
    releases: tuple[ReleaseView, ...]
    rejected: Mapping[str, str]
    restorable: frozenset[str]
    undo: str = ""
    region: str = ""
    account: str = ""
    artifacts: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Listed:
    """list. unreachable: target -> why it could not be asked."""

    services: tuple[ServiceRow, ...]
    unreachable: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Destroyed:
    """destroy. removed: lines for people; empty when there was nothing. stays: what is not mlship's, or others use, too."""

    project: str
    environment: str
    target: str
    removed: tuple[str, ...]
    stays: tuple[str, ...] = ()


@dataclass(frozen=True)
class Predicted:
    """predict: the live service's answer to the sample or to the given body."""

    endpoint: str
    release: str
    answer: Mapping[str, Any]


@dataclass(frozen=True)
class Rendered:
    """render: files written below the folder. left_out: what of monitoring could not be, and why."""

    folder: Path
    files: tuple[str, ...]
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class Diagnosis:
    """doctor: one finding a check; severity note means fine."""

    findings: tuple[Finding, ...]
