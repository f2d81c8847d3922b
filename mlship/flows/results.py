"""What each flow gives back; `cli/views.py` prints these and `--json` writes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlship.errors import Finding
from mlship.image.lock_changes import LockChange
from mlship.image.pushed import PushRecord
from mlship.releases.history import Entry
from mlship.targets.base import Action, FrontFacts, Observed, ServiceRow, Why

if TYPE_CHECKING:
    from mlship.image.explain import LayerWhy
    from mlship.image.sizes import Part


@dataclass(frozen=True)
class Initialised:
    """init. written: files made, in order. kept: files that were there already and differ from what init would write."""

    file: Path
    written: tuple[Path, ...]
    kept: tuple[Path, ...]
    model: ModelReport
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class ModelReport:
    """A model for people. inputs: one line such as `4 features (2 text, 1 nullable)`. sample: number of rows."""

    name: str
    framework: str
    title: str
    path: str
    size: int
    sha256: str
    inputs: str = ""
    sample: int = 0
    code: tuple[str, ...] = ()
    trust: tuple[str, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Checked:
    """check: everything that can be known without building."""

    project: str
    models: tuple[ModelReport, ...]
    environment: str
    python: str
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class LayerReport:
    """One layer. size: uncompressed bytes; compressed: bytes moved. is_new: was not in the store before this build.

    digest: of its blob; equal ones are one blob, whichever images have it.
    """

    role: str
    name: str
    size: int
    compressed: int
    is_new: bool
    digest: str = ""


@dataclass(frozen=True)
class ImageReport:
    """The image of one platform. to_run_at_deploy: what no program here could prove, for people, one each."""

    reference: str
    content: str
    digest: str
    platform: str
    size: int
    compressed: int
    layers: tuple[LayerReport, ...]
    base: str
    packages: int
    checks: tuple[str, ...]
    to_run_at_deploy: tuple[str, ...] = ()


@dataclass(frozen=True)
class PushedLayer:
    """A layer as it is in a registry. size: of its blob there. how: `sent`, `mounted` from another repository, or `present`."""

    role: str
    name: str
    digest: str
    size: int
    how: str


@dataclass(frozen=True)
class PushReport:
    """What went to one place. reference: by tag; deploy: by digest. moved: bytes of blobs over the line, repeated ones counted.

    contents: content ids, one a platform. kind: of the manifest. variant: as `--push-as` takes it. papers: their titles.
    """

    reference: str
    deploy: str
    contents: tuple[str, ...]
    kind: str
    variant: str
    moved: int
    layers: tuple[PushedLayer, ...]
    papers: tuple[str, ...] = ()
    seconds: float = 0.0
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True)
class ArchiveReport:
    """A build in one file. size: its bytes."""

    path: Path
    size: int


@dataclass(frozen=True)
class Explanation:
    """build --explain, of one platform's image. before: the content id that it is compared with, empty where there was none.

    when: that was built, seconds since the epoch, 0 where nobody knows. whys: empty where all inputs are those of before.
    """

    platform: str
    before: str
    when: float
    whys: tuple[LayerWhy, ...]


@dataclass(frozen=True)
class Built:
    """build. reference: what `deploy --image` takes. unchanged: an image of this content existed; nothing was done.

    papers: the files that were written for `--sbom`. pushed: now; variants: ever, from this machine.
    images: one a platform; what stands beside them is of the first. parts: everything in it, the biggest first.
    archive: the file of `--archive`.
    """

    project: str
    models: tuple[ModelReport, ...]
    environment: str
    base: str
    packages: int
    reference: str
    content: str
    digest: str
    platform: str
    size: int
    compressed: int
    layers: tuple[LayerReport, ...]
    checks: tuple[str, ...]
    findings: tuple[Finding, ...]
    engine: str
    unchanged: bool
    seconds: float
    papers: tuple[Path, ...] = ()
    pushed: tuple[PushReport, ...] = ()
    variants: tuple[PushRecord, ...] = ()
    images: tuple[ImageReport, ...] = ()
    parts: tuple[Part, ...] = ()
    explained: tuple[Explanation, ...] = ()
    archive: ArchiveReport | None = None


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
class ReleaseView:
    """A release as every command shows it. models: name -> sha256 hex."""

    id: str
    content: str
    models: Mapping[str, str]
    created: float


@dataclass(frozen=True)
class PlanView:
    """What deploy would do. steps: lines for people, with the gap or cost that each has; undo: how to take it back.

    takeover: how the release takes over and what it costs, for people. host: the engine, where mlship.yaml names several.
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

    @property
    def is_empty(self) -> bool:
        return not self.actions


@dataclass(frozen=True)
class Verified:
    """verify. text: `release id and 20 predictions ok` or `release id and readiness only`."""

    release: str
    endpoint: str
    predictions: int
    text: str


@dataclass(frozen=True)
class Deployed:
    """deploy and rollback. unchanged: what is live is what was wanted."""

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
    it is paused.
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
    """

    project: str
    environment: str
    target: str
    endpoint: str
    live: ReleaseView | None
    previous: ReleaseView | None
    serving: str
    observed: Observed
    engine: str = "original"
    generation: int = 0
    since: float = 0.0
    traffic: tuple[Traffic, ...] = ()
    underway: UnderwayView | None = None
    why: tuple[Why, ...] = ()

    @property
    def weights(self) -> Mapping[str, float]:
        """release id -> share of the callers in [0, 1]; where the target cannot tell, all reach what answers."""
        return self.observed.weights or ({self.serving: 1.0} if self.serving else {})


@dataclass(frozen=True)
class HistoryView:
    """history: entries oldest first; restorable and rejected by release id. undo: what a plain rollback would serve, or empty."""

    project: str
    environment: str
    target: str
    live: str
    entries: tuple[Entry, ...]
    releases: tuple[ReleaseView, ...]
    rejected: Mapping[str, str]
    restorable: frozenset[str]
    undo: str = ""


@dataclass(frozen=True)
class Listed:
    """list. unreachable: target -> why it could not be asked."""

    services: tuple[ServiceRow, ...]
    unreachable: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Destroyed:
    """destroy. removed: lines for people; empty when there was nothing."""

    project: str
    environment: str
    target: str
    removed: tuple[str, ...]


@dataclass(frozen=True)
class Predicted:
    """predict: the live service's answer to the sample or to the given body."""

    endpoint: str
    release: str
    answer: Mapping[str, Any]


@dataclass(frozen=True)
class Rendered:
    """render: files written below the folder."""

    folder: Path
    files: tuple[str, ...]


@dataclass(frozen=True)
class Diagnosis:
    """doctor: one finding a check; severity note means fine."""

    findings: tuple[Finding, ...]
