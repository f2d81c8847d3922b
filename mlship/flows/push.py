"""build --push: what is asked for, looked at before anything is built; then a build's images into each registry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from mlship.config.project import Project
from mlship.disk import disk_errors
from mlship.errors import Exit, Finding, MlshipError
from mlship.flows.building.results import PushedLayer, PushReport
from mlship.flows.context import Context
from mlship.flows.opening import open_project
from mlship.image.pushed import PushRecord, PushRecords
from mlship.image.variants import derived
from mlship.image.workplace import Workplace
from mlship.oci.image import Image
from mlship.oci.layout import short
from mlship.oci.referrers import TITLE, attached
from mlship.oci.registry.client import Registry, check_address
from mlship.oci.registry.connection import GREETING_S, Call
from mlship.oci.registry.credentials import Credentials, CredentialSource
from mlship.oci.registry.docker_config import docker_credentials
from mlship.oci.registry.holdings import Holdings
from mlship.oci.registry.push import Pushed, push
from mlship.oci.registry.push_referrers import push_referrers
from mlship.oci.registry.push_variant import PushVariant, push_variant
from mlship.oci.registry.reference import Reference, parse_reference
from mlship.oci.registry.upload import How

REFUSED_PAPERS = (
    "registry-protocol",
    "registry-refused",
    "registry-not-found",
)  # a registry that takes images, and no other artifacts


@dataclass(frozen=True)
class Pushing:
    """What shall be pushed, and as what. references: without a tag where it comes from the content id."""

    references: tuple[Reference, ...]
    variant: PushVariant
    credentials: CredentialSource


def pushing(context: Context, project: Project, references: Sequence[str], push_as: str) -> Pushing:
    """Nothing is sent. push_as: words as in `docker-v2s2,gzip`; what they do not say is as the project's target takes it.

    Raises MlshipError (exit 2) for a reference, words or docker credentials that are malformed.
    """
    parsed = tuple(dict.fromkeys(_reference(text) for text in references))
    own = _targets_own(context, project)
    variant = push_variant(push_as, own) if push_as else own
    source = docker_credentials(context.environ, context.runner)
    known = {registry: source(registry) for registry in dict.fromkeys(reference.registry for reference in parsed)}
    return Pushing(parsed, variant, _asked_already(known, source))


def reach(context: Context, wanted: Pushing) -> None:
    """Asks every registry for an answer, before minutes go into an image that cannot go there.

    Raises MlshipError: exit 13 for one that does not answer, 8 for credentials that it does not accept.
    """
    for reference in {each.registry: each for each in wanted.references}.values():
        with Registry(reference.registry, context.environ, wanted.credentials) as registry:
            registry.want(f"repository:{reference.repository}:pull,push")
            context.progress.step("push", f"{reference.registry} is asked")
            try:
                registry.ask(Call("GET", "/v2/", answer_s=GREETING_S), f"pushing {reference.repository}", (200,))
            except MlshipError as error:
                if error.exit not in (Exit.UNREACHABLE, Exit.DENIED):
                    continue  # the push itself asks more exactly
                error.details = (*error.details, "nothing was built")
                raise


def push_images(context: Context, workplace: Workplace, wanted: Pushing, images: Sequence[Image]) -> tuple[PushReport, ...]:
    """The images of one build, one a platform, to each reference in turn; what has been pushed is recorded at once.

    Raises MlshipError: exit 8 (credentials), 13 (a registry does not answer), 5 (it got or answers other bytes).
    """
    content = short(images[0].content)
    references = [reference if reference.tag else replace(reference, tag=content) for reference in wanted.references]
    images = sorted(images, key=lambda image: image.platform)  # the same index on every machine
    with disk_errors(workplace.home.root):
        made = tuple(derived(workplace, image, wanted.variant) for image in images)
    reports: list[PushReport] = []
    for reference in references:
        try:
            with disk_errors(workplace.home.root):
                reports.append(_pushed(context, workplace, wanted, reference, images, made))
        except MlshipError as error:
            built = f"the image is built: content {content}; the same command again only pushes"
            error.details = (*error.details, *(f"pushed already: {report.deploy}" for report in reports), built)
            raise
    return tuple(reports)


def _reference(text: str) -> Reference:
    reference = parse_reference(text, "--push")
    if reference.digest:
        raise MlshipError(
            f"--push {text}: a digest is what a push gives", fix=f"write {reference.name}:TAG, or no tag", code="bad-reference"
        )
    check_address(reference.registry)
    return reference


def _targets_own(context: Context, project: Project) -> PushVariant:
    opened = open_project(context, project)
    return opened.target.push.get(opened.service, PushVariant())


def _asked_already(known: dict[str, Credentials | None], source: CredentialSource) -> CredentialSource:
    """The credentials that were read before the build; asked for anew when the registry does not accept them any more."""

    def again(registry: str) -> Credentials | None:
        return known.pop(registry) if registry in known else source(registry)

    return again


def _pushed(
    context: Context,
    workplace: Workplace,
    wanted: Pushing,
    reference: Reference,
    images: Sequence[Image],
    made: Sequence[Image],
) -> PushReport:
    began = context.clock()
    holdings = Holdings(workplace.home.registries)
    with Registry(reference.registry, context.environ, wanted.credentials) as registry:
        done = push(
            registry,
            reference,
            workplace.layout,
            made,
            kind=wanted.variant.kind(len(made)),
            mount_from=holdings.holders(reference.registry),
            progress=workplace.progress,
            half_done_in=workplace.home.registries / "half-done",
        )
        holdings.note(reference.registry, reference.repository, (*done.sent, *done.mounted, *done.present))
        _record(workplace, reference, done, wanted.variant, context.clock())
        papers, findings = _papers(registry, workplace, done, images)
    return _report(reference, done, made, wanted.variant, papers, findings, context.clock() - began)


def _record(workplace: Workplace, reference: Reference, done: Pushed, variant: PushVariant, when: float) -> None:
    place = (reference.registry, reference.repository, reference.tag)
    record = PushRecord(*place, done.reference.digest, done.kind, str(variant), when)
    for content in done.contents:
        PushRecords(workplace.home.images).add(content, record)


def _papers(
    registry: Registry, workplace: Workplace, done: Pushed, images: Sequence[Image]
) -> tuple[tuple[str, ...], tuple[Finding, ...]]:
    """Titles of the papers that now lie beside the images. They are about the image that was built, whatever was derived."""
    titles: list[str] = []
    for image, subject in zip(images, done.manifests, strict=True):
        papers = attached(workplace.layout, image.manifest)
        if not papers:
            continue
        try:
            push_referrers(registry, done.reference.repository, workplace.layout, papers, subject, workplace.progress)
        except MlshipError as error:
            if error.code not in REFUSED_PAPERS:
                raise
            said = Finding(
                f"the papers are not in {registry.name}, which takes images only: {error.what}",
                where=done.reference.name,
                fix="keep the files of build --sbom beside the image",
                severity="warning",
                code="papers-refused",
            )
            return (), (said,)
        titles += [paper.annotations.get(TITLE, "") for paper in papers]
    return tuple(dict.fromkeys(titles)), ()


def _report(
    reference: Reference,
    done: Pushed,
    made: Sequence[Image],
    variant: PushVariant,
    papers: tuple[str, ...],
    findings: tuple[Finding, ...],
    seconds: float,
) -> PushReport:
    how: dict[str, How] = {
        **dict.fromkeys(done.sent, "sent"),
        **dict.fromkeys(done.mounted, "mounted"),
        **dict.fromkeys(done.present, "present"),
    }
    blobs = {layer.blob.digest: layer for image in made for layer in image.layers}
    layers = tuple(PushedLayer(layer.role, layer.name, digest, layer.blob.size, how[digest]) for digest, layer in blobs.items())
    return PushReport(
        reference=str(reference),
        deploy=str(done.reference),
        contents=done.contents,
        kind=done.kind,
        variant=str(variant),
        moved=done.moved,
        layers=layers,
        papers=papers,
        seconds=seconds,
        findings=findings,
    )
