"""What a file asks of its target. Pure."""

from __future__ import annotations

from mlship.config.project import Project
from mlship.errors import Finding
from mlship.flows.opening import settings_of
from mlship.targets.features import findings
from mlship.targets.priced import MODULES, priced
from mlship.targets.table import SERVICES


def used_keys(project: Project) -> dict[str, str]:
    """The keys that a target has to honour and that the file sets, with their places. Pure."""
    words = ("env", "labels", "resources", "scale", "cost", "rollout", "public", "slo", "secrets")
    leaves = {key for key in project.positions if key.split(".")[0] in words}
    inner = {key.rpartition(".")[0] for key in leaves}
    maps = ("env", "labels", "secrets")
    used = {key.split(".")[0] if key.split(".")[0] in maps else key for key in leaves - inner}
    return {key: project.at(key) for key in sorted(used)}


def impossible(project: Project) -> tuple[Finding, ...]:
    """Keys that the target's service does not have, each at its place: known before anything is built or anybody is asked. Pure."""
    if project.target not in MODULES:
        return ()
    service = str(settings_of(project).get("service") or SERVICES[project.target])
    found = findings(used_keys(project), service, priced(project.target).FEATURES.get(service, {}))
    return tuple(finding for finding in found if finding.severity == "error")
