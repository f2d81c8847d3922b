"""The interface that every target implements, and the values that pass through it; those of a deployment and of what is there are
taken from here, too."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from mlship.errors import Exit, Finding
from mlship.home import Home
from mlship.progress import Progress, Silent
from mlship.releases.history import History
from mlship.releases.records import Lease
from mlship.releases.release_record import ReleaseRecord
from mlship.runner import Runner
from mlship.targets.deployment import Certificate as Certificate
from mlship.targets.deployment import Deployment as Deployment
from mlship.targets.deployment import Feature as Feature
from mlship.targets.deployment import Meter as Meter
from mlship.targets.deployment import PriceKey as PriceKey
from mlship.targets.deployment import Resource as Resource
from mlship.targets.deployment import Strategy as Strategy
from mlship.targets.deployment import Support as Support
from mlship.targets.observed import FrontFacts as FrontFacts
from mlship.targets.observed import Measures as Measures
from mlship.targets.observed import Observed as Observed
from mlship.targets.observed import Replica as Replica
from mlship.targets.observed import Spread as Spread
from mlship.targets.observed import Spreads as Spreads
from mlship.targets.observed import Why as Why

if TYPE_CHECKING:  # every command imports this module, and few push
    from mlship.oci.image import Image
    from mlship.oci.registry.push_variant import PushVariant

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
    that of a release that is not live: a cloud that denies (8). share: of the callers that reach the release already, where a platform
    cannot stage it beside what serves.
    """

    ok: bool = True
    cause: str = ""
    evidence: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    fault: Literal["release", "target"] = "release"
    exit: Exit | None = None
    share: float = 0.0


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

    is_unreached: this machine has no way to what stands before the copies, so that no release is to blame. is_partial: the
    platform's form of an answer has no place for all that the model says, such as probabilities beside a class. vouched: where nobody
    was reached, the release of which the platform says, by checks of its own, that it is what runs and is well.
    """

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    is_unreached: bool = False
    is_partial: bool = False
    vouched: str = ""


@dataclass(frozen=True)
class LogLine:
    """One line of one replica. when: as the replica printed it."""

    replica: str
    release: str
    text: str
    when: str = ""


@dataclass(frozen=True)
class ServiceRow:
    """One line of `mlship list`. wrong, fix, exit: why it cannot be told of, such as damaged records, what to do, and how a command for it
    would end; empty, and OK, where it can.
    """

    project: str
    environment: str
    target: str
    live: str
    endpoint: str
    ready: bool
    wrong: str = ""
    fix: str = ""
    exit: Exit = Exit.OK


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
class JudgesFiles(Protocol):
    """A target that can refuse more of a file than `features` tells, without asking its platform."""

    def findings_of_file(self, deployment: Deployment) -> tuple[Finding, ...]:
        """What `preflight` says whatever the account has. Pure. Raises MlshipError for a key that lacks another one."""


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
class BesideImages(Protocol):
    """Records of which a copy lies beside the images in their registry. The history decides; the copies outlive it."""

    def attach(self, history: History) -> tuple[str, ...]:
        """What lies there is what the history says; can be repeated. Gives what to tell the user: it fails nothing that is committed."""

    def lacks(self, history: History) -> bool:
        """Whether a release that could be served again has no record there."""

    def attached(self) -> Mapping[str, str]:
        """release id -> where its record lies, for people and tools."""

    def beside_images(self) -> tuple[ReleaseRecord, ...]:
        """All of them, read. Raises MlshipError for what cannot be read."""


@runtime_checkable
class OneOfSeveral(Protocol):
    """A target whose platform has several services; the object is for one of them, which records know where no YAML says it."""

    @property
    def service(self) -> str: ...


class Place(Protocol):
    """Finds every project on a target: what `mlship list` asks."""

    def services(self) -> Iterable[ServiceRow]: ...
