"""Whether a revision has started, by what Azure says of it. Pure."""

from __future__ import annotations

from typing import Literal

from mlship.targets.azure.container_apps.seen import Seen
from mlship.targets.base import Outcome

RUNS, ENDED = "Running", ("Terminated",)  # ContainerAppContainerRunningState (azure-mgmt-appcontainers 5.1.0)


def judged(present: Seen | None, suffix: str, least: int, known: int) -> Outcome | None:
    """None while nobody can tell. least: copies that are kept; known: how often one had been started again before."""
    revision = present.named(suffix) if present else None
    if revision is None or not revision.active:
        return None  # what Azure tells is a moment old
    provisioned = revision.provisioning == "Provisioned" and revision.health != "Unhealthy"
    if provisioned and revision.ready >= max(1, least):
        return Outcome()
    if provisioned and not least and not revision.copies and revision.health == "Healthy":
        return Outcome()  # it was ready once, and nobody has called since
    if (ended := crashed(present, suffix, known)) is not None:
        return ended
    if revision.provisioning == "Failed" or revision.running == "Failed":
        # without a copy that ran it was an image or a secret that could not be read, or no place for it
        fault: Literal["release", "target"] = "release" if any(copy.state == RUNS for copy in revision.copies) else "target"
        return Outcome(False, f"Azure gave {revision.release} up: {revision.error}", reasons(present, suffix), fault=fault)
    return None


def crashed(present: Seen | None, suffix: str, known: int) -> Outcome | None:
    """None where no copy ended. What ends at its start does so again."""
    revision = present.named(suffix) if present else None
    ended = [copy for copy in revision.copies if copy.state in ENDED or copy.restarts > known] if revision else []
    if not ended:
        return None
    return Outcome(False, f"the copy ended: {ended[-1].detail or ended[-1].state}", reasons(present, suffix))


def restarts(present: Seen | None, suffix: str) -> int:
    """Of the copy that was started again most often."""
    revision = present.named(suffix) if present else None
    return max((copy.restarts for copy in revision.copies), default=0) if revision else 0


def reasons(present: Seen | None, suffix: str) -> tuple[str, ...]:
    """What Azure says of a revision that is not well."""
    revision = present.named(suffix) if present else None
    if revision is None:
        return ()
    found = [revision.error, *(copy.detail for copy in revision.copies)]
    return tuple(dict.fromkeys(text for text in found if text))[-3:]
