"""What `bench` loads: the live release, or the image of the project as it is now; and what was asked for."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from mlship.config.project import Project
from mlship.errors import MlshipError
from mlship.flows.build import built_records
from mlship.flows.context import Context, Where
from mlship.flows.fitting import fitting, refuse_unbuilt
from mlship.flows.gather import own_platform
from mlship.flows.hosts import endpoint_of
from mlship.flows.opening import history_or_error, opened, project_if_any, project_of
from mlship.flows.secrets import read_here
from mlship.image.record import BuildRecord
from mlship.releases.release import Proof, Release
from mlship.targets.base import OPERATOR_KEY
from mlship.targets.table import MODULES
from mlship.targets.verify import predict_path
from mlship.units import Duration

STARTUP_S = 60.0


@dataclass(frozen=True)
class Wishes:
    """seconds: of each measurement. p99_s: in the place of mlship.yaml's slo.p99. model: one of several; the first without.

    rows: of the sample in each request, 0: all. built: a server of the built image, though a release is live. key: the name of
    the variable with a caller's key.
    """

    seconds: float = 3.0
    p99_s: float | None = None
    model: str = ""
    rows: int = 1
    built: bool = False
    key: str = ""
    python: str = ""


@dataclass(frozen=True)
class Subject:
    """What is loaded. endpoint, release: of what is live; empty for a server that is to be started from the image `content`.

    path: where the model is asked. workers: of the server, 0: one a core. settings: its environment. key: a caller's.
    """

    project: str
    environment: str
    target: str
    content: str
    model: str
    proof: Proof
    path: str
    workers: int = 0
    endpoint: str = ""
    release: str = ""
    p99_s: float | None = None
    settings: Mapping[str, str] = field(default_factory=dict, repr=False)
    startup_s: float = STARTUP_S
    key: str = field(default="", repr=False)

    @property
    def is_far(self) -> bool:
        """The load would leave this machine."""
        return bool(self.endpoint) and not _is_loopback(urlsplit(self.endpoint).hostname or "")


def promise(said: str) -> float | None:
    """`p99=40ms` -> 0.04. Raises MlshipError with exit 2."""
    if not said:
        return None
    name, _, text = said.partition("=")
    try:
        seconds = Duration.parse(text).seconds
    except ValueError as error:
        raise MlshipError(f"--slo {said[:60]}: {error}", fix="write --slo p99=40ms") from None
    if name.strip() != "p99" or not seconds:
        raise MlshipError(f"--slo {said[:60]} is no promise that can be measured", fix="write --slo p99=40ms")
    return seconds


def find(context: Context, where: Where, wishes: Wishes) -> Subject:
    """What is live, else the image of the project as it is now, which is built where needed. Puts no load on anything."""
    project = project_if_any(context, where)
    is_deployable = project is None or project.target in MODULES
    if not wishes.built and is_deployable:
        found = _live(context, where, wishes)
        if found is not None:
            return found
    return _built(context, project_of(context, where), wishes)


def _live(context: Context, where: Where, wishes: Wishes) -> Subject | None:
    place = opened(context, where)
    observed = place.target.observe()
    if place.project is None:
        history_or_error(place, observed.history)
    live = observed.history.live_release if observed.history else None
    if live is None:
        return None
    endpoint = endpoint_of(place, observed)
    if urlsplit(endpoint).scheme not in ("http", "https"):
        raise MlshipError(f"{place.name} answers at {endpoint or 'no address'}", fix="mlship bench --built", code="unreachable")
    model = _chosen(wishes.model, [served.name for served in live.served.models], place.name)
    return Subject(
        project=place.name,
        environment=place.environment,
        target=place.target_name,
        content=live.served.content,
        model=model,
        proof=_with_sample(live.proofs.get(model, Proof()), model),
        path=predict_path(live, model),
        workers=_workers(live.served.serving),
        endpoint=endpoint,
        release=live.id,
        p99_s=wishes.p99_s or _promised(place.project),
        key=_key(context, wishes, live),
    )


def _built(context: Context, project: Project, wishes: Wishes) -> Subject:
    here = own_platform()
    refuse_unbuilt(project, here, "this machine")
    record = fitting(built_records(context, project, wishes.python), here)
    names = [model.name for model in record.models]
    model = _chosen(wishes.model, names, project.name)
    given = read_here(context, project)
    startup = project.serve.startup_timeout
    return Subject(
        project=project.name,
        environment=project.environment,
        target="",
        content=record.content,
        model=model,
        proof=_with_sample(_proof(record, model), model),
        path=f"/predict/{model}" if len(names) > 1 else "/predict",
        workers=_workers(record.serving),
        p99_s=wishes.p99_s or _promised(project),
        settings={"MLSHIP_RELEASE": "r0-bench", **project.env, **given.values},
        startup_s=startup.seconds if startup else STARTUP_S,
        key=given.values.get(OPERATOR_KEY, ""),
    )


def _proof(record: BuildRecord, name: str) -> Proof:
    model = next(model for model in record.models if model.name == name)
    return Proof(model.sample, model.answers or {}, model.tolerance)


def _promised(project: Project | None) -> float | None:
    return project.slo.p99.seconds if project is not None and project.slo.p99 is not None else None


def _workers(serving: Mapping[str, object]) -> int:
    said = serving.get("workers", 0)
    return said if isinstance(said, int) else 0


def _chosen(wanted: str, names: list[str], project: str) -> str:
    if wanted and wanted not in names:
        raise MlshipError(
            f"{project} has no model {wanted}; it has {', '.join(names)}", fix="name one of them, or leave --model out"
        )
    return wanted or names[0]


def _with_sample(proof: Proof, model: str) -> Proof:
    """Without rows there is nothing to ask, and without answers nothing would be checked."""
    if proof.instances and proof.answers:
        return proof
    raise MlshipError(
        f"{model} was built without a sample", fix="set model.sample in mlship.yaml, then build", code="no-sample"
    )


def _key(context: Context, wishes: Wishes, live: Release) -> str:
    if wishes.key and not context.environ.get(wishes.key):
        raise MlshipError(f"the variable {wishes.key} is not set", fix=f"{wishes.key}=KEY mlship bench --key {wishes.key}")
    if not wishes.key and live.served.serving.get("auth"):
        raise MlshipError(
            "the service judges its callers (serve.auth)",
            fix="name the variable that has a caller's key: mlship bench --key NAME",
            code="key-needed",
        )
    return context.environ[wishes.key] if wishes.key else ""


def _is_loopback(host: str) -> bool:
    """A name that merely begins like an address is somebody else's."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
