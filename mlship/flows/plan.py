"""plan: Project, Image -> Deployment; Observed -> DeployPlan. Changes nothing on the target."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from mlship.config.project import Project
from mlship.errors import Exit, Finding, FindingsError, MlshipError
from mlship.flows.before_build import keys_in_vain, refuse_by_file, resources_of, said_before_build, said_of_image
from mlship.flows.build import built_now
from mlship.flows.commit import git_commit
from mlship.flows.context import Context, Where
from mlship.flows.fitting import built_together, fitting, platform_of, refuse_unbuilt
from mlship.flows.gating.qualities import Qualities
from mlship.flows.hosts import hosts_of, looked_at
from mlship.flows.loading import with_region
from mlship.flows.measured_concurrency import with_measured
from mlship.flows.model_memory import size_findings
from mlship.flows.opening import Opened, open_project, project_of
from mlship.flows.operating import deployment_from, deployment_from_operating
from mlship.flows.prepared import Prepared, prepared
from mlship.flows.replacing import former_service
from mlship.flows.results import CostChange
from mlship.flows.secrets import Given, read_secrets, refuse_missing, with_secrets
from mlship.image.record import BuildRecord, BuildRecords, RecordedModel
from mlship.releases.history import History
from mlship.releases.release import Proof, Release, Served, ServedModel
from mlship.targets.base import Deployment, KeepsSecrets, Observed, PinsSecrets
from mlship.targets.plan import plan
from mlship.targets.rollout import Facts

# A proof travels with the records of the release: enough rows to notice a wrong model, few enough to read them every time.
MAX_PROOF_ROWS = 100


def prepare(context: Context, where: Where, *, image: str = "", again: bool = False, python: str = "") -> Prepared:
    """Decides what deploying means now; builds first unless `image` names an image that was built.

    Raises MlshipError when the content was rejected before (unless `again`), and FindingsError when the target cannot do it.
    """
    [only] = prepare_each(context, (where,), image=image, again=again, python=python)
    return only


def prepare_each(
    context: Context,
    places: tuple[Where, ...],
    *,
    image: str = "",
    again: bool = False,
    python: str = "",
    replaces: bool = False,
    looked: Callable[[Sequence[Seen]], None] | None = None,
) -> tuple[Prepared, ...]:
    """One build for every place, of it the image that its machine runs, and the same number for the release as far as their
    records allow it.

    All are seen before anything is built: one that cannot be reached is said at once, and so is what a target would refuse whatever
    is built. replaces: another service of the cloud that
    serves now may go first. looked: judges what was seen, before anything is decided. Raises what `prepare` raises, for the first
    place that has a reason.
    """
    project = with_region(context, project_of(context, places[0]))
    given = read_secrets(context, project)
    refuse_missing(project, given)
    hosts = hosts_of(places)
    seen = looked_at(hosts, lambda position: _seen(context, project, places[position].host, replaces=replaces))
    if looked is not None:
        looked(seen)
    platforms = looked_at(hosts, lambda position: _platform(project, seen[position].opened, is_built=bool(image)))
    versions = looked_at(hosts, lambda position: secret_versions(seen[position].opened, given, seen[position].history))
    said = looked_at(hosts, lambda position: _said(context, project, given, seen[position], versions[position], image))
    built, notes = _recorded(context, project, image) if image else built_now(context, project, python)
    records = [fitting(built, platform) for platform in platforms]
    served = [served_from(record, project, secrets) for record, secrets in zip(records, versions, strict=True)]
    sequence = shared_sequence([one.history for one in seen], served)
    releases = [
        release_from(
            *(record, project, one.history, context.clock(), secrets, sequence),
            quality=Qualities(context.home.images).every(record.content),
        )
        for record, one, secrets in zip(records, seen, versions, strict=True)
    ]
    git = git_commit(context, project.root) if places[0].git is None else places[0].git
    return looked_at(
        hosts,
        lambda position: _prepared(
            *(context, project, given, seen[position], releases[position], git),
            *((*said[position], *notes), again, not image),
        ),
    )


def _said(
    context: Context, project: Project, given: Given, seen: Seen, secrets: Mapping[str, str], image: str
) -> tuple[Finding, ...]:
    """Of an image that is here the target is asked once that is read."""
    if image:
        return keys_in_vain(project, seen.opened)
    return said_before_build(context, project, given, seen.opened, seen.history, secrets)


def _recorded(context: Context, project: Project, image: str) -> tuple[tuple[BuildRecord, ...], tuple[Finding, ...]]:
    """With what a build would have said of the resources that the file wants now."""
    records = recorded_images(context, project, image)
    return records, size_findings(project, ((model.name, model.framework, model.size) for model in records[0].models))


@dataclass(frozen=True)
class Seen:
    """One place before anything is decided. former: the service that goes first."""

    opened: Opened
    observed: Observed
    history: History
    former: Opened | None = None


def _seen(context: Context, project: Project, host: str, *, replaces: bool) -> Seen:
    """What another service of the cloud has is not this one's: where that is replaced, nothing is here yet."""
    opened = open_project(context, project, host)
    refuse_by_file(project, opened)
    former = former_service(context, opened, is_wanted=replaces)
    if former is not None:
        return Seen(opened, Observed(None), History(project.name, project.environment, project.target), former)
    observed = opened.target.observe()
    return Seen(opened, observed, observed.history or History(project.name, project.environment, project.target))


def _platform(project: Project, opened: Opened, *, is_built: bool) -> str:
    """Of the machine that the releases will run on. Raises MlshipError where a build, if there is none yet, would not fit it."""
    platform = platform_of(opened)
    if not is_built:
        refuse_unbuilt(project, platform, opened.target_name)
    return platform


def _prepared(
    context: Context,
    project: Project,
    given: Given,
    seen: Seen,
    release: Release,
    git: str,
    said: tuple[Finding, ...],
    again: bool,
    is_built: bool,
) -> Prepared:
    """said: what is known by now, the build's own notes too. is_built: by this command."""
    opened = seen.opened
    if not again:
        refuse_rejected(seen.history, release.served)
    deployment = with_measured(context, with_secrets(deployment_from(project, release), given), seen.history)
    findings = (*given.findings, *said, *said_of_image(opened, deployment, was_asked=is_built))
    decided = plan("deploy", deployment, seen.observed)
    cost = CostChange() if decided.takes_back else _cost(context, project, seen, deployment)
    facts = Facts(by=context.who, git=git, prices=cost.prices)
    ready = prepared(opened, decided, seen.observed, findings, facts)
    view = replace(ready.view, cost=cost)
    if seen.former is not None:
        undo = f"none: deploying to {seen.former.service} again begins anew there"
        takeover = (_gap(seen.former, opened), *view.takeover)
        view = replace(view, takeover=takeover, undo=undo, replaces=seen.former.service)
    return replace(ready, view=view, former=seen.former)


def _gap(former: Opened, opened: Opened) -> str:
    return (
        f"replaces service {former.service}: all of it goes first, its releases and history too, and nobody is served until"
        f" {opened.service} is ready"
    )


def _cost(context: Context, project: Project, seen: Seen, wanted: Deployment) -> CostChange:
    """Nothing where nobody bills."""
    if not any(resource.price for resource in seen.opened.target.resources(wanted)):
        return CostChange()
    # here and not above: machines that nobody bills by the hour need no prices
    from mlship.flows.costing.change import cost_change

    history = seen.history
    live = history.live_release
    before = (
        None
        if live is None
        else deployment_from_operating(project.name, project.environment, project.target, live, history.operating, None)
    )
    return cost_change(context, project, seen.opened.target, before, wanted)


def shared_sequence(histories: Sequence[History], served: Sequence[Served]) -> int:
    """The one that this release has on a host already, else the first that is free on all of them. Pure.

    Each host has records of its own; one id for one release lets a person name it for all of them.
    """
    known = [release for history, part in zip(histories, served, strict=True) if (release := known_release(history, part))]
    return known[0].sequence if known else max(history.next_sequence for history in histories)


def recorded_images(context: Context, project: Project, image: str) -> tuple[BuildRecord, ...]:
    """What `recorded_image` finds, then the images of the same build for other platforms."""
    return built_together(BuildRecords(context.home.images), recorded_image(context, project, image))


def recorded_image(context: Context, project: Project, image: str) -> BuildRecord:
    """The build record of a content id, a prefix of one, or a project's name. Raises MlshipError when there is none."""
    from mlship.oci.layout import Layout

    found = Layout(context.home.images).find(image)
    record = BuildRecords(context.home.images).of_content(found.content)
    if record is None:
        raise MlshipError(f"the image {image} was not built on this machine", fix="mlship build", code="unknown-image")
    if record.project != project.name:
        raise MlshipError(
            f"the image {image} is of the project {record.project}, not of {project.name}",
            fix="mlship build shows the content id of this project's image",
            code="other-project",
        )
    return record


def secret_versions(opened: Opened, given: Given, history: History) -> Mapping[str, str]:
    """name -> version, as the target knows them: it alone can tell whether a value is one that it has.

    Raises FindingsError with every secret that the target's store does not have.
    """
    if given.references:
        return _pinned(opened, given)
    if not given.values:
        return {}
    assert isinstance(opened.target, KeepsSecrets), "read_secrets reads none for another target"
    return opened.target.secret_versions(given.values, history)


def _pinned(opened: Opened, given: Given) -> dict[str, str]:
    """Each is asked for alone, so that all that is wrong is said at once, each at its place."""
    target, found, findings = opened.target, dict[str, str](), list[Finding]()
    if not isinstance(target, PinsSecrets):
        what = f"secrets for the target {opened.target_name}, service {opened.service}, are not yet built"
        others = [name for name, has in target.features.items() if "secrets" in has and has["secrets"].support == "native"]
        instead = f"use service {' or '.join(others)}, or leave" if others else "leave"
        raise MlshipError(what, next(iter(given.places.values())), f"{instead} out what needs them", code="not-yet")
    for name, reference in given.references.items():
        try:
            found |= target.pinned({name: reference})
        except MlshipError as error:
            if error.exit is not Exit.USAGE:
                raise
            findings.append(Finding(error.what, given.places[name], error.fix, code="missing-secret"))
    if findings:
        raise FindingsError(f"{opened.name} cannot be deployed: a secret is not as needed", findings, code="missing-secret")
    return found


def release_from(
    record: BuildRecord,
    project: Project,
    history: History,
    now: float,
    secrets: Mapping[str, str] | None = None,
    sequence: int = 0,
    quality: Mapping[str, Any] | None = None,
) -> Release:
    """What is under way or live when it is the same served part, else the next in the sequence. Pure.

    sequence: a later one to take, where that is free. quality: what `test` measured of the image.
    """
    served = served_from(record, project, secrets)
    known = known_release(history, served)
    if known is not None:
        return known
    proofs = {model.name: proof_from(model) for model in record.models}
    number = max(sequence, history.next_sequence)
    engines = {model.name: asdict(model.engine) for model in record.models}
    return Release(
        number,
        served,
        now,
        image=record.content,
        proofs=proofs,
        mlship=record.mlship,
        engines=engines,
        quality=quality or {},
    )


def known_release(history: History, served: Served) -> Release | None:
    """What is under way or live, when it is the same served part. Pure."""
    underway = history.underway.release if history.underway else None
    digest = served.digest()
    return next((known for known in (underway, history.live_release) if known and known.served.digest() == digest), None)


def served_from(record: BuildRecord, project: Project, secrets: Mapping[str, str] | None = None) -> Served:
    """Pure."""
    return Served(
        content=record.content,
        models=tuple(ServedModel(model.name, model.sha256) for model in record.models),
        serving=record.serving,
        env=dict(project.env),
        secrets=dict(secrets or {}),
        resources=resources_of(project),
    )


def proof_from(model: RecordedModel) -> Proof:
    """The first rows of the sample with the build's own answers to them."""
    if model.answers is None:
        return Proof()
    rows = model.sample[:MAX_PROOF_ROWS]
    answers = {
        name: values[: len(rows)] if isinstance(values, list) and len(values) == len(model.sample) else values
        for name, values in model.answers.items()
    }
    return Proof(rows, answers, model.tolerance)


def refuse_rejected(history: History, served: Served) -> None:
    """Raises MlshipError for content that was rolled back from or failed before; what is live is never refused."""
    reason = history.rejection(served)
    if reason and not history.same_as_live(served):
        raise MlshipError(
            f"this very content was rejected before ({reason})",
            fix="change the model or its configuration, or deploy it all the same with --again",
            code="rejected-release",
        )
