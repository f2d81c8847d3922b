"""What a file asks of its target. Pure."""

from __future__ import annotations

from mlship.config.project import Project


def used_keys(project: Project) -> dict[str, str]:
    """The keys that a target has to honour and that the file sets, with their places. Pure."""
    words = ("env", "labels", "resources", "scale", "cost", "rollout", "public", "slo", "secrets")
    leaves = {key for key in project.positions if key.split(".")[0] in words}
    inner = {key.rpartition(".")[0] for key in leaves}
    maps = ("env", "labels", "secrets")
    used = {key.split(".")[0] if key.split(".")[0] in maps else key for key in leaves - inner}
    return {key: project.at(key) for key in sorted(used)}
