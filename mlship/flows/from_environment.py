"""deploy --from: what is live in another environment of the same project goes here, too: the same models, the same image.

Everything else is the destination's own: env, secrets, resources, scale, rollout, the target's settings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from mlship.config.project import Project
from mlship.disk import disk_errors, locked_together
from mlship.errors import Exit, MlshipError
from mlship.flows.context import Context, Where
from mlship.flows.fitting import platform_of
from mlship.flows.hosts import hosts_of, looked_at, places
from mlship.flows.loading import project_of
from mlship.flows.opening import Opened, opened
from mlship.flows.prepared import Prepared
from mlship.frameworks.engine_choice import facts_from
from mlship.image.pushed import PushRecords
from mlship.image.record import BuildRecord, BuildRecords, RecordedModel
from mlship.oci.image import Image, content_id
from mlship.oci.layout import Layout, short
from mlship.oci.registry.reference import Reference, parse_reference
from mlship.releases.release import Release
from mlship.targets.base import Observed


@dataclass(frozen=True)
class Origin:
    """What is live there. models: name -> sha256. fetched: the registry that the image came from, empty where it was here."""

    environment: str
    target: str
    release: str
    content: str
    models: Mapping[str, str]
    fetched: str = ""


def origin(context: Context, where: Where, environment: str, registry: str = "") -> Origin:
    """What the environment serves now, its image on this machine from then on. registry: `HOST/NAME` with the image.

    Raises MlshipError where nothing is live there that can be vouched for, or where the image can be had nowhere.
    """
    project = project_of(context, where)
    if environment == project.environment:
        raise MlshipError(
            f"{environment} is where it would go",
            "--from",
            f"mlship deploy --from {environment} --env OTHER",
            code="usage",
        )
    found = places(context, replace(where, environment=environment, target="", host="", name=""))
    vouched = looked_at(hosts_of(found), lambda position: _live(opened(context, found[position])))
    release, platform = vouched[0]
    others = [one.id for one, _ in vouched if one.served.content != release.served.content]
    if others:
        raise MlshipError(
            f"the hosts of {environment} do not serve the same: {release.id} and {others[0]}",
            fix=f"mlship deploy --env {environment} makes them agree",
            code="hosts-differ",
        )
    target = project_of(context, found[0]).target
    fetched = _brought(context, project, release, platform, registry)
    models = {model.name: model.sha256 for model in release.served.models}
    return Origin(environment, target, release.id, release.served.content, models, fetched)


def prove_same(origin: Origin, prepared: Sequence[Prepared]) -> None:
    """Raises MlshipError where a place would get another image or another model than is live there. Pure."""
    for one in prepared:
        served = one.plan.deployment.release.served
        models = {model.name: model.sha256 for model in served.models}
        if (served.content, models) != (origin.content, dict(origin.models)):
            raise MlshipError(
                f"{one.opened.host or one.opened.target_name} would get the image {short(served.content)}, and {origin.environment} "
                f"serves {short(origin.content)}",
                fix="where it is of the same build for another processor, say that you mean it: "
                f"mlship deploy --image {short(served.content)}",
                code="other-image",
            )


def _live(place: Opened) -> tuple[Release, str]:
    """The release that is live there, and the platform of its machine, empty where any does. Raises MlshipError."""
    observed = place.target.observe()
    history = observed.history
    release = history.live_release if history else None
    if history is None or (release is None and history.underway is None):
        raise MlshipError(
            f"nothing is live in {place.environment}",
            fix=f"mlship deploy --env {place.environment} comes first",
            code="nothing-live",
        )
    if history.underway is not None:
        raise MlshipError(
            f"{history.underway.release.id} is still under way in {place.environment}, "
            f"at {history.underway.share * 100:g} % of its callers",
            fix=f"{place.command('promote')} goes on with it, {place.command('abort')} takes it back; then run this command again",
            exit=Exit.PAUSED,
            code="canary",
        )
    assert release is not None, "a history without one was refused above"
    _refuse_unsound(place, observed, release)
    return release, platform_of(place)


def _refuse_unsound(place: Opened, observed: Observed, release: Release) -> None:
    """What the records call live has to be good, and what answers."""
    rejected = observed.history.rejected.get(release.id, "") if observed.history else ""
    if rejected:
        raise MlshipError(
            f"{release.id} of {place.environment} was rejected ({rejected})",
            fix=f"{place.command('history')} shows what was good",
            code="rejected-release",
        )
    if observed.serving != release.id:
        raise MlshipError(
            f"{release.id} is recorded as live in {place.environment}, and {observed.serving or 'nothing'} answers there",
            fix=f"{place.command('status')}; mlship deploy --env {place.environment} mends it",
            exit=Exit.VERIFY_FAILED,
            code="not-serving",
        )


def _brought(context: Context, project: Project, release: Release, platform: str, registry: str) -> str:
    """Sees to it that image and record are on this machine; says from which registry, if from one."""
    content = release.served.content
    with locked_together(context.home.in_use):  # a prune must not take what is about to be sent
        fetched = "" if _is_here(context, content) else _fetched(context, project, content, platform, registry)
        records = BuildRecords(context.home.images)
        if records.of_content(content) is None:
            records.write(remembered(project.name, release, _image(context, content).platform))
    return fetched


def remembered(project: str, release: Release, platform: str) -> BuildRecord:
    """What a release tells of the build that its image came from: what serves it, and what proves it. Pure."""
    content, proofs = release.served.content, release.proofs
    models = tuple(
        RecordedModel(
            *(model.name, "", "", "", 0, model.sha256),
            sample=tuple(proofs[model.name].instances) if model.name in proofs else (),
            answers=proofs[model.name].answers if model.name in proofs and proofs[model.name].instances else None,
            tolerance=proofs[model.name].tolerance if model.name in proofs else {},
            engine=facts_from(release.engines.get(model.name, {})),
        )
        for model in release.served.models
    )
    inputs = f"promoted-{content.removeprefix('sha256:')}"
    return BuildRecord(
        inputs, content, project, platform, release.created, release.mlship, models, serving=release.served.serving
    )


def _is_here(context: Context, content: str) -> bool:
    layout = Layout(context.home.images)
    return any(image.content == content and all(layout.has(layer.blob) for layer in image.layers) for image in layout.images())


def _image(context: Context, content: str) -> Image:
    return next(image for image in Layout(context.home.images).images() if image.content == content)


def _fetched(context: Context, project: Project, content: str, platform: str, registry: str) -> str:
    """Asks the registry that was named, or those that this machine pushed it to. Raises MlshipError where none has it."""
    failures: list[MlshipError] = []
    for reference in _references(context, content, registry):
        try:
            _pull(context, project, reference, content, platform)
        except MlshipError as error:
            failures.append(error)
        else:
            return str(reference)
    raise MlshipError(
        f"the image {short(content)} is neither on this machine nor in a registry that it knows",
        fix="mlship cache export FILE where it was built, and mlship cache import FILE here; or mlship build --push HOST/NAME there, "
        "and --registry HOST/NAME here",
        exit=next((error.exit for error in failures), Exit.USAGE),
        code="image-not-here",
        details=tuple(f"{error.where or 'registry'}: {error.what}" for error in failures),
    )


def _references(context: Context, content: str, registry: str) -> tuple[Reference, ...]:
    if registry:
        named = parse_reference(registry, "--registry")
        return (named if named.digest or named.tag else replace(named, tag=short(content)),)
    pushed = PushRecords(context.home.images).of_content(content)
    return tuple(dict.fromkeys(Reference(one.registry, one.repository, digest=one.digest) for one in pushed))


def _pull(context: Context, project: Project, reference: Reference, content: str, platform: str) -> None:
    """Raises MlshipError where it is another image than it is called, whatever its label says."""
    # here and not above: an image that is here needs no HTTP client
    from mlship.flows.gather import own_platform
    from mlship.oci.registry.client import Registry
    from mlship.oci.registry.docker_config import docker_credentials
    from mlship.oci.registry.pull import pull
    from mlship.oci.registry.variant import oci_type

    layout = Layout(context.home.images)
    credentials = docker_credentials(context.environ, context.runner)
    with disk_errors(context.home.root), Registry(reference.registry, context.environ, credentials) as client:
        image = pull(client, reference, layout, platform=platform or own_platform(), progress=context.progress)
    found = content_id(image.platform, (layer.diff_id for layer in image.layers), image.config.get("config") or {})
    if found != content:
        raise MlshipError(
            f"it has the content {short(found)}, not {short(content)}",
            str(reference),
            "push it as it was built, without user= and other forms that change it",
            exit=Exit.BUILD_FAILED,
            code="other-image",
        )
    layers = [replace(layer, blob=replace(layer.blob, media_type=oci_type(layer.blob.media_type))) for layer in image.layers]
    layout.tag(project.name, layout.put_image(content, image.platform, layers, image.config, image.annotations))
