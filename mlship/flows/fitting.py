"""Of the images that a build made, the one that a place can run."""

from __future__ import annotations

from collections.abc import Sequence

from mlship.config.project import Project
from mlship.errors import MlshipError
from mlship.flows.gather import wanted_platforms
from mlship.image.record import BuildRecord, BuildRecords
from mlship.targets.base import OnOneMachine, Target


def platform_of(target: Target) -> str:
    """`linux/amd64` of the machine that releases run on; empty for a target that takes any."""
    return target.platform() if isinstance(target, OnOneMachine) else ""


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
