"""A plan in a file: what was decided, and what it was decided from, so that a refusal can name what moved.

The file holds no time and no value of a secret: the same world and the same mlship.yaml give the same bytes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import mlship
from mlship.config.project import Project
from mlship.config.schema import Part
from mlship.disk import write_atomic
from mlship.errors import Exit, MlshipError
from mlship.flows.prepared import Prepared
from mlship.targets.base import Observed

SCHEMA = 1
KIND = "mlship-plan"
LARGEST = 4 << 20  # bytes; a plan for fifty hosts has a tenth of it
# What a file may say without changing what a release is, or how it is operated.
_OTHER_KEYS = ("file", "positions", "environment", "target", "targets", "cost", "slo")


@dataclass(frozen=True)
class SeenThen:
    """The world as it was, by names that a person knows. underway: release and share. weights: release -> share of callers."""

    fingerprint: str
    generation: int
    live: str
    underway: str
    restorable: list[str]
    weights: dict[str, float]
    staged: list[str]


@dataclass(frozen=True)
class PlannedHost:
    """What is decided for one place. host: one of several, else empty. engine: DOCKER_HOST. served: digest of the served part.

    secrets: name -> version. actions: as targets.base.Action. steps and undo: for people.
    """

    host: str
    engine: str
    service: str
    event: str
    release: str
    previous: str
    content: str
    models: dict[str, str]
    served: str
    secrets: dict[str, str]
    operating: dict[str, Any]
    actions: list[dict[str, Any]]
    by_steps: bool
    steps: list[str]
    undo: str
    seen: SeenThen


@dataclass(frozen=True)
class Planned:
    """What a file holds. again: content that was rejected before may go. configuration: as `configuration` gives it."""

    kind: str
    schema: int
    mlship: str
    project: str
    environment: str
    target: str
    again: bool
    configuration: dict[str, str]
    hosts: list[PlannedHost]


@dataclass(frozen=True)
class PlanFile:
    """A file that is whole."""

    path: Path
    plan: Planned

    @property
    def command(self) -> str:
        """That makes it again."""
        environment = f" --env {self.plan.environment}" if self.plan.environment else ""
        return f"mlship plan{environment} --out {self.path.name}"

    def stale(self, what: str, code: str, *details: str, fix: str = "") -> MlshipError:
        """What cannot be carried out any more, exit 14."""
        return _stale(self.path, what, code, *details, fix=fix or f"look at what is there now, and plan again: {self.command}")


def write(path: Path, prepared: Sequence[Prepared], *, again: bool = False) -> Path:
    """again: content that was rejected before may go. Raises MlshipError when the disk refuses."""
    project = prepared[0].opened.project
    assert project is not None, "nothing is deployed without an mlship.yaml"
    write_atomic(path, plan_bytes(planned(project, prepared, again=again)), other="name another file")
    return path


def planned(project: Project, prepared: Sequence[Prepared], *, again: bool) -> Planned:
    """Pure."""
    return Planned(
        kind=KIND,
        schema=SCHEMA,
        mlship=mlship.__version__,
        project=project.name,
        environment=project.environment,
        target=project.target,
        again=again,
        configuration=configuration(project),
        hosts=[planned_host(one) for one in prepared],
    )


def plan_bytes(plan: Planned) -> bytes:
    """With the digest by which a change is found. Pure."""
    document = asdict(plan)
    whole = {**document, "digest": digest(document)}
    return json.dumps(whole, indent=1, sort_keys=True, ensure_ascii=False).encode() + b"\n"


def planned_host(one: Prepared) -> PlannedHost:
    """As it is read back from a file: tuples are lists. Pure."""
    import msgspec

    plan, release = one.plan, one.plan.deployment.release
    decided = PlannedHost(
        host=one.opened.host,
        engine=one.opened.engine,
        service=one.opened.service,
        event=plan.event,
        release=release.id,
        previous=plan.previous.id if plan.previous else "",
        content=release.served.content,
        models={model.name: model.sha256 for model in release.served.models},
        served=release.served.digest(),
        secrets=dict(release.served.secrets),
        operating=dict(plan.deployment.operating),
        actions=[asdict(action) for action in plan.actions],
        by_steps=plan.by_steps,
        steps=list(one.view.steps),
        undo=one.view.undo,
        seen=seen_then(one.observed),
    )
    return msgspec.convert(json.loads(json.dumps(asdict(decided))), PlannedHost)


def seen_then(observed: Observed) -> SeenThen:
    """Pure."""
    history = observed.history
    underway = history.underway if history else None
    return SeenThen(
        fingerprint=observed.fingerprint,
        generation=history.generation if history else 0,
        live=history.live if history else "",
        underway=f"{underway.release.id} at {underway.share * 100:g} %" if underway else "",
        restorable=sorted(observed.restorable),
        weights={release: round(share, 2) for release, share in sorted(observed.weights.items()) if share},
        staged=sorted({replica.release for replica in observed.replicas if replica.staged}),
    )


def configuration(project: Project) -> dict[str, str]:
    """dotted key -> short digest of what stands there: who reads a plan need not learn what a variable holds. Pure."""
    said = {name: value for name, value in vars(project).items() if name not in _OTHER_KEYS}
    said["models"] = dict(project.models)
    said["targets"] = {project.target: getattr(project.targets, project.target, None)}
    return {key: digest(value)[:16] for key, value in sorted(_leaves(_plain(said)))}


def read(path: Path) -> PlanFile:
    """Raises MlshipError: exit 2 for a file that is not there, 14 for one that is cut, changed, or of a newer mlship."""
    found = _document(path)
    if found.get("kind") != KIND or not isinstance(found.get("schema"), int):
        raise _stale(path, "this is no plan that mlship wrote", "plan-damaged")
    if found["schema"] > SCHEMA:
        by = str(found.get("mlship", "of a newer version"))[:40]
        raise _stale(path, f"the plan was written by mlship {by}", "newer-plan", fix="pip install --upgrade mlship")
    if digest({name: value for name, value in found.items() if name != "digest"}) != found.get("digest"):
        raise _stale(path, "the plan was changed after it was made", "plan-damaged")
    import msgspec

    try:
        return PlanFile(path, msgspec.convert(found, Planned))
    except msgspec.ValidationError as error:
        raise _stale(path, "the plan does not hold what a plan holds", "plan-damaged", str(error)) from None


def digest(value: Any) -> str:
    """sha256 hex over canonical JSON. Pure."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


def _document(path: Path) -> Mapping[str, Any]:
    try:
        with path.open("rb") as file:
            raw = file.read(LARGEST + 1)
    except OSError as error:
        why = f"the plan cannot be read: {error.strerror}"
        raise MlshipError(why, str(path), "mlship plan --out FILE writes one", code="no-plan") from None
    try:
        found = json.loads(raw) if len(raw) <= LARGEST else None
    except (ValueError, RecursionError):
        raise _stale(path, "the plan is cut off, or is none", "plan-damaged") from None
    if not isinstance(found, dict):
        raise _stale(path, "this is no plan that mlship wrote", "plan-damaged")
    return found


def _stale(path: Path, what: str, code: str, *details: str, fix: str = "") -> MlshipError:
    told = (*details, "nothing was changed")
    return MlshipError(
        what, str(path), fix or "mlship plan --out FILE writes a new one", exit=Exit.STALE, code=code, details=told
    )


def _plain(value: Any) -> Any:
    """Sections as maps, amounts whole: memory is one key, not the bytes in it."""
    if isinstance(value, Part):
        return {name: _plain(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, Mapping):
        return {str(name): _plain(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    return value if isinstance(value, str | int | float | None) else repr(value)


def _leaves(plain: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(plain, dict) and plain:
        for name, value in plain.items():
            yield from _leaves(value, f"{key}.{name}" if key else str(name))
    elif plain not in (None, {}, [], ""):
        yield key, plain
