"""The interface that every target implements, and the values that pass through it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from mlship.errors import Exit, Finding
from mlship.home import Home
from mlship.progress import Progress, Silent
from mlship.releases.history import History
from mlship.releases.records import Lease
from mlship.releases.release import Release
from mlship.runner import Runner
from mlship.units import Secret

if TYPE_CHECKING:  # every command imports this module, and few push
    from mlship.oci.image import Image
    from mlship.oci.registry.push_variant import PushVariant

Support = Literal["native", "emulated", "absent"]


@dataclass(frozen=True)
class Feature:
    """How a service honours a key. reason and instead are said to the user when support is not native."""

    support: Support
    reason: str = ""
    instead: str = ""


Meter = Literal["always", "scaled", "spot", "request", "busy", "active", "idle", "egress", "logs", "free"]


@dataclass(frozen=True)
class PriceKey:
    """Where a price stands in the book: that of a machine (`instance`), or of an `item` of a managed `service`.

    times: the price is taken so many times, such as the premium that a managed endpoint adds to its machine. Both: the item's own
    price where the book has one, else the machine's so many times. shared: what the book calls the regions that cost the same as
    this one (`tier1`), where it has no price of this one alone; `` for none.
    """

    cloud: str
    region: str
    instance: str = ""
    service: str = ""
    item: str = ""
    times: float = 1.0
    shared: str = ""


@dataclass(frozen=True)
class Resource:
    """Something that is billed, or would be if this target billed. `quantity` of `unit` is what one tick of its meter costs.

    billed: how the meter runs. `always`: an hour of the month (a monthly unit, `GB-month`: the month). `scaled`: an hour of a
    replica, however that was bought; `spot`: the same of a replica that is spot. `request`: one request. `busy`: a second of a
    replica that has at least one request, rounded as settings `round_s` says (0.1: each request to 100 ms; 0.001 to 1 ms);
    `active` and `idle`: seconds of replicas with and without a request. `egress`, `logs`: a GB. `free`: it never runs.
    price: where its price stands; None where nobody bills it.
    """

    kind: str
    name: str
    quantity: float = 1.0
    unit: str = "piece"
    billed: Meter = "always"
    settings: Mapping[str, Any] = field(default_factory=dict)
    price: PriceKey | None = None


@dataclass(frozen=True)
class Strategy:
    """How a release takes over. name: empty for the target's own default.

    steps: shares of the callers in (0, 1], rising; used by canary only, the last one is 1. bake_s: how long each step is
    watched (blue-green: how long the old copies stay warm beside the new ones). gates: as in mlship.yaml, `p95_ms < 40`;
    below min_requests the measured ones are inconclusive, which pauses. approve: `manual` pauses before all callers move.
    mirror: share of the requests, up to 0.5, of which the release gets a copy for bake_s before its first callers; 0: of none.
    """

    name: Literal["", "recreate", "rolling", "blue-green", "canary"] = ""
    steps: tuple[float, ...] = ()
    bake_s: float = 0.0
    min_requests: int = 200
    gates: tuple[str, ...] = ()
    on_fail: Literal["rollback", "pause"] = "rollback"
    approve: Literal["auto", "manual"] = "auto"
    mirror: float = 0.0


@dataclass(frozen=True)
class Certificate:
    """What a service proves itself with. chain: PEM, its own certificate first; key: PEM of its private key."""

    chain: str
    key: Secret

    @property
    def pem(self) -> Secret:
        """Both, as a front reads them."""
        return Secret(self.chain + self.key.reveal())

    @property
    def name(self) -> str:
        """sha256 of both: tells certificates apart and gives nothing away."""
        return hashlib.sha256(self.pem.reveal().encode()).hexdigest()


@dataclass(frozen=True)
class Deployment:
    """What the world should look like: one release, and how it is operated.

    environment: empty when the project has none. settings: the target's own section of mlship.yaml, as plain data with its
    defaults ({"port": 8080}). operating: scale, cost, rollout, labels as plain data. replicas: at least and at most how many
    copies; a target with autoscaling moves between them. secrets: name -> value, where the command read them; certificate: as
    read, for a service that speaks TLS, `settings["tls"]["certificate"]` is its name; both never printed, never recorded.
    references: variable -> what mlship.yaml says of it for this target, whose platform reads the value itself
    (`secretsmanager:churn/keys`); the version that a release gets is in `release.served.secrets`. `operating["public"]`: whether
    callers may come from the internet, `operating["auth"]`: whether the server of a cloud judges them; absent means no.
    """

    project: str
    environment: str
    target: str
    service: str
    release: Release
    settings: Mapping[str, Any]
    operating: Mapping[str, Any]
    labels: Mapping[str, str] = field(default_factory=dict)
    startup_timeout_s: float = 60.0
    request_timeout_s: float = 2.0
    keep: int = 5
    replicas: tuple[int, int] = (1, 1)
    strategy: Strategy = Strategy()
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    certificate: Certificate | None = None
    references: Mapping[str, str] = field(default_factory=dict)
    places: Mapping[str, str] = field(default_factory=dict)
    """dotted key -> where it stands in mlship.yaml; findings point there. Empty when there is no file."""


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


# The secret with which mlship asks a release whose callers are judged (serve.auth). The target makes it, and keeps its value.
OPERATOR_KEY = "MLSHIP_OPERATOR_KEY"

ActionKind = Literal["deliver", "stage", "mirror", "weigh", "shift", "restore", "discard", "retire", "operate", "destroy"]


@dataclass(frozen=True)
class Action:
    """One step that changes the world; every kind can be repeated without harm.

    deliver: the target holds the image. stage: new copies run at 0 %, ready to be asked. mirror: all callers reach `before`, and a
    copy of `share` of their requests goes to the release, until the next action that moves callers. weigh: `share` of the callers
    reach the release, the others `before`. shift: all callers reach the release.
    restore: callers reach `before` again after a failed shift (nothing, when `before` is empty) and the failed copy goes.
    discard: running copies of the release go, wherever they stand. retire: releases in `subjects` are no longer restorable and
    their remains go. operate: only the operating part. destroy: everything of the project goes.
    """

    kind: ActionKind
    release: str = ""
    before: str = ""
    subjects: tuple[str, ...] = ()
    share: float = 1.0


@dataclass(frozen=True)
class Outcome:
    """How an action ended. cause: one line for people when not ok; evidence: probe answer, last log lines.

    fault: whose it was. A release at fault is remembered as rejected; a target at fault (a port taken, an engine that
    refuses) says nothing about the release, and the same command may be run again. exit: of the command, where it is another one than
    that of a release that is not live: a cloud that denies (8).
    """

    ok: bool = True
    cause: str = ""
    evidence: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    fault: Literal["release", "target"] = "release"
    exit: Exit | None = None


@dataclass(frozen=True)
class Request:
    """A call to the served model. of: `live` goes the way that callers go; `staged` asks a copy at 0 %.

    replica: asks this very copy, whatever its share; `of` does not matter then. key: sent as a bearer token.
    """

    method: Literal["GET", "POST"]
    path: str
    body: bytes = b""
    of: Literal["live", "staged"] = "live"
    content_type: str = "application/json"
    accept: str = "application/json"
    timeout_s: float = 10.0
    replica: str = ""
    key: str = field(default="", repr=False)

    @property
    def headers(self) -> dict[str, str]:
        """Those that say what is wanted and who asks."""
        return {"Accept": self.accept} | ({"Authorization": f"Bearer {self.key}"} if self.key else {})


@dataclass(frozen=True)
class Answer:
    """What came back. status 0: nothing did, and `body` says why in words. headers in lower case.

    is_unreached: this machine has no way to what stands before the copies, so that no release is to blame.
    """

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    is_unreached: bool = False


@dataclass(frozen=True)
class LogLine:
    """One line of one replica. when: as the replica printed it."""

    replica: str
    release: str
    text: str
    when: str = ""


@dataclass(frozen=True)
class ServiceRow:
    """One line of `mlship list`."""

    project: str
    environment: str
    target: str
    live: str
    endpoint: str
    ready: bool


class Records(Protocol):
    """History and lease, kept with the target; one object is for one project in one environment."""

    def read(self) -> History | None:
        """None where nothing was committed. Raises MlshipError for records of a newer schema, or damaged ones."""

    def commit(self, history: History, expected: int) -> None:
        """Replaces the history if its generation still is `expected` (0: there was none), else raises LeaseLost."""

    def acquire(self, holder: str, now: float, ttl_s: float) -> Lease:
        """Takes the lease if it is free, expired or its holder is provably dead. Raises LeaseHeld with holder and expiry."""

    def holder(self, now: float) -> str:
        """Who has the lease, empty when nobody has, or its holder is provably dead. Changes nothing."""

    def renew(self, lease: Lease, now: float) -> Lease:
        """Raises LeaseLost when somebody else took it meanwhile."""

    def release(self, lease: Lease) -> None:
        """Gives it back; no error when it was lost."""


class Target(Protocol):
    """One place where releases run. An object is for one project in one environment.

    `render`, `resources` and `features` are pure and need no SDK; everything else may read the world, only `apply` and the
    records' commit and lease change it.
    """

    name: str

    @property
    def features(self) -> Mapping[str, Mapping[str, Feature]]:
        """service -> dotted key or word (`spot`, `canary`, `scale.replicas`) -> Feature."""

    @property
    def push(self) -> Mapping[str, PushVariant]:
        """service -> the form in which it takes an image from a registry; a service that is not named takes any."""

    def render(self, deployment: Deployment) -> dict[str, bytes]:
        """`apply/...`: exactly what `apply` sends; `eject/...`: what the vendor's own tool takes."""

    def resources(self, deployment: Deployment) -> tuple[Resource, ...]: ...

    def preflight(self, deployment: Deployment) -> tuple[Finding, ...]:
        """Everything that would make the deployment fail and can be known before anything is changed."""

    def observe(self) -> Observed: ...

    def apply(self, action: Action, deployment: Deployment | None) -> Outcome:
        """Carries out one action. deployment is None only for retire and destroy.

        Where this object's records took a lease that somebody else has by now, nothing is done and the outcome says so.
        """

    def ask(self, request: Request) -> Answer: ...

    def measure(self) -> Mapping[str, Measures]:
        """release id -> what its copies have counted; asked before and after each step of a canary, and by status."""

    def why(self) -> tuple[Why, ...]:
        """One entry a copy that is here, running or not: what `status --why` shows."""

    def logs(self, release: str = "", lines: int = 100, follow: bool = False) -> Iterator[LogLine]: ...

    @property
    def records(self) -> Records: ...


@dataclass(frozen=True)
class FrontImage:
    """The image of the docker target's front, made on this machine. key: the value of its label `mlship.front`.

    make: builds it for a platform (`linux/amd64`: the engine's) unless this machine's layout has it, and gives its content id.
    anew: the same, of the newest packages there are; None where that is not asked for. Both raise MlshipError.
    """

    key: str
    make: Callable[[str], str]
    anew: Callable[[str], str] | None = None


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
class NewFront:
    """A front's image that is ready on this machine, with what it consists of."""

    content: str
    facts: FrontFacts


def as_built(image: Image, variant: PushVariant) -> Image:
    """Where nobody is there to derive anything: the image as it is."""
    return image


@dataclass(frozen=True)
class Opening:
    """What a target is opened with: `open_target(opening)` in the module that targets/table.py names.

    environment: empty when the project has none. settings: the target's section as plain data, {} when there is no YAML;
    then what the records say counts. environ: the command's environment. clock: seconds since the epoch. who: for the lease.
    progress: hears of bytes that go to the target. derive: an image as a push variant has it, in this machine's layout.
    """

    project: str
    environment: str
    home: Home
    runner: Runner
    clock: Callable[[], float]
    who: str
    environ: Mapping[str, str]
    settings: Mapping[str, Any] = field(default_factory=dict)
    front: FrontImage | None = None
    progress: Progress = field(default_factory=Silent)
    derive: Callable[[Image, PushVariant], Image] = as_built


@runtime_checkable
class KeepsSecrets(Protocol):
    """A target that has a place for secrets: it alone knows which version a value is."""

    def secret_versions(self, values: Mapping[str, str], history: History | None) -> Mapping[str, str]:
        """name -> version: the one whose value this is, else the next one. Changes nothing."""


@runtime_checkable
class PinsSecrets(Protocol):
    """A target whose platform has a secret store: a release gets the versions that were the newest when it was planned."""

    def pinned(self, references: Mapping[str, str]) -> Mapping[str, str]:
        """variable -> version that is the newest now. Reads no value. references: as in Deployment.

        Raises MlshipError for a secret that is not there, or that may not be looked at.
        """


@runtime_checkable
class JudgesImages(Protocol):
    """A target that does not take every image of the right platform."""

    def findings_of_image(self, deployment: Deployment) -> tuple[Finding, ...]:
        """What `preflight` cannot know before the release's image is there. Reads only."""


@runtime_checkable
class OnOneMachine(Protocol):
    """A target whose releases run on one machine: its processor decides which image of a build fits."""

    def platform(self) -> str:
        """`linux/amd64`, as images name it. Raises MlshipError with exit 13 when the machine cannot be asked."""


@runtime_checkable
class HasFront(Protocol):
    """A target whose callers come through a program that it keeps itself, and that has security updates of its own."""

    def front_anew(self) -> NewFront:
        """Makes the front's image of the newest packages, on this machine only. Raises MlshipError when it cannot be made."""

    def renew_front(self, new: NewFront, deployment: Deployment) -> Outcome:
        """The new front in the place of the one that runs. Where it does not come up the former one serves as before.

        deployment: what is live. The outcome's notes say how long nobody could reach the service.
        """


@runtime_checkable
class InSharedPlace(Protocol):
    """Records that lie where those of other projects do."""

    def shared_place(self) -> str:
        """What stays when these records go, for people: `bucket mlship-123456789012-eu-west-1`. Empty where nothing does."""


@runtime_checkable
class OneOfSeveral(Protocol):
    """A target whose platform has several services; the object is for one of them, which records know where no YAML says it."""

    @property
    def service(self) -> str: ...


class Place(Protocol):
    """Finds every project on a target: what `mlship list` asks."""

    def services(self) -> Iterable[ServiceRow]: ...
