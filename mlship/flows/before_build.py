"""What keeps a project from its target whatever is built: said before a build takes its minutes."""

from __future__ import annotations

from collections.abc import Mapping

from mlship.config.project import Project
from mlship.errors import Finding
from mlship.flows.context import Context
from mlship.flows.opening import Opened
from mlship.flows.operating import deployment_from
from mlship.flows.prepared import refuse_errors
from mlship.flows.secrets import Given, first_versions, with_secrets
from mlship.flows.used_keys import used_keys
from mlship.image.manifest import serving_as_data
from mlship.releases.history import History
from mlship.releases.release import Release, Served, ServedModel
from mlship.targets.base import Deployment, JudgesFiles, JudgesImages
from mlship.targets.features import findings as feature_findings
from mlship.targets.table import ASKED_BEFORE_BUILD
from mlship.targets.unused import unused_keys

UNBUILT = "sha256:" + "0" * 64  # content of a release whose image nobody has made yet


def refuse_by_file(project: Project, opened: Opened) -> None:
    """Before anybody is asked for anything. Raises FindingsError where the file alone tells that this cannot be."""
    refuse_errors(opened, said_of_file(project, opened))


def said_of_file(project: Project, opened: Opened) -> tuple[Finding, ...]:
    """What its target says of the file, whatever is built and whatever is there. Pure."""
    found = keys_in_vain(project, opened)
    if not isinstance(opened.target, JudgesFiles):
        return found
    history = History(project.name, project.environment, project.target)
    release = unbuilt_release(project, history, 0.0, first_versions(project))
    return (*found, *opened.target.findings_of_file(deployment_from(project, release)))


def said_before_build(
    context: Context, project: Project, given: Given, opened: Opened, history: History, secrets: Mapping[str, str]
) -> tuple[Finding, ...]:
    """All that can be known by then. Raises FindingsError where an error is among it."""
    findings = keys_in_vain(project, opened)
    if opened.target_name in ASKED_BEFORE_BUILD:
        context.progress.step("preflight", opened.target_name)
        release = unbuilt_release(project, history, context.clock(), secrets)
        findings += opened.target.preflight(with_secrets(deployment_from(project, release), given))
    refuse_errors(opened, (*given.findings, *findings))
    return findings


def said_of_image(opened: Opened, deployment: Deployment, *, was_asked: bool) -> tuple[Finding, ...]:
    """was_asked: `said_before_build` has asked the target."""
    target = opened.target
    asked = () if was_asked and opened.target_name in ASKED_BEFORE_BUILD else target.preflight(deployment)
    return (*asked, *(target.findings_of_image(deployment) if isinstance(target, JudgesImages) else ()))


def keys_in_vain(project: Project, opened: Opened) -> tuple[Finding, ...]:
    """What the file asks for and the service does not have. Pure."""
    said = {key: project.at(key) for key in project.positions}
    return (
        *feature_findings(used_keys(project), opened.service, opened.target.features[opened.service]),
        *unused_keys(said, opened.target_name, opened.service),
    )


def unbuilt_release(project: Project, history: History, now: float, secrets: Mapping[str, str]) -> Release:
    """The next one, as far as the file tells it: digests of its image and models are none. Pure."""
    served = Served(
        content=UNBUILT,
        models=tuple(ServedModel(name, "") for name, _ in project.models),
        serving=serving_as_data(project),
        env=dict(project.env),
        secrets=dict(secrets),
        resources=resources_of(project),
    )
    return Release(history.next_sequence, served, now)


def resources_of(project: Project) -> dict[str, int]:
    """Of one replica: thousandths of a core, bytes, whole GPUs where there are any. Pure."""
    gpu = project.resources.gpu
    said = {"cpu": project.resources.cpu.milli, "memory": project.resources.memory.bytes}
    return {**said, "gpu": gpu.count} if gpu else said
