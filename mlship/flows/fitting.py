"""Of the images that a build made, the one that a place can run."""

from __future__ import annotations

from collections.abc import Sequence

from mlship.config.project import Project
from mlship.config.secrets import STORES
from mlship.errors import MlshipError
from mlship.flows.gather import wanted_platforms
from mlship.flows.opening import Opened, settings_of
from mlship.image.record import BuildRecord, BuildRecords
from mlship.targets.base import OnOneMachine


def platform_of(opened: Opened) -> str:
    """`linux/amd64` of the machine that releases run on, or of those that a cloud has for this project; empty where any will do."""
    if isinstance(opened.target, OnOneMachine):
        return opened.target.platform()
    if opened.project is None or opened.target_name not in STORES:
        return ""
    return "linux/arm64" if settings_of(opened.project).get("arch") == "arm64" else "linux/amd64"


def refuse_unbuilt(project: Project, platform: str, place: str) -> None:
    """Before anything is built. place: for people, `docker`. Raises MlshipError, exit 2, where no image would fit. Pure."""
    wanted = wanted_platforms(project)
    if platform and platform not in wanted:
        raise MlshipError(
            f"{place} runs {platform}, and a build of {project.name} has {', '.join(wanted)}",
            project.at("build.platforms"),
            f"write build: {{platforms: [{', '.join(sorted((*wanted, platform)))}]}}",
            code="wrong-platform",
        )


def fitting(records: Sequence[BuildRecord], platform: str) -> BuildRecord:
    """The first where none fits, or any does: a target refuses by itself what it cannot run. Pure."""
    return next((record for record in records if record.platform == platform), records[0])


def built_together(records: BuildRecords, named: BuildRecord) -> tuple[BuildRecord, ...]:
    """The record with those of the other platforms of its build that are still here, itself first."""
    others = (records.of_content(content) for content in named.platforms.values() if content != named.content)
    return (named, *(record for record in others if record is not None))
