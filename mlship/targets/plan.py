"""What has to be done, from what is wanted and what was seen. Pure, and the same for every target."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from mlship.releases.history import History
from mlship.releases.release import Release
from mlship.targets.base import Action, Deployment, Observed


@dataclass(frozen=True)
class DeployPlan:
    """Actions in order, and what they mean for people. fingerprint: of what the plan was made from.

    event: what the history will say. previous: the release that serves until the shift, None when none does.
    """

    event: Literal["deploy", "rollback", "operate"]
    deployment: Deployment
    previous: Release | None
    actions: tuple[Action, ...]
    fingerprint: str

    @property
    def is_empty(self) -> bool:
        return not self.actions


def plan(event: Literal["deploy", "rollback"], deployment: Deployment, observed: Observed) -> DeployPlan:
    """The plan that makes the world look like the deployment; empty when it does already."""
    history = observed.history or History(deployment.project, deployment.environment, deployment.target)
    release = deployment.release
    previous = history.live_release
    is_live = previous is not None and previous.id == release.id
    serves = is_live and observed.serving == release.id and not observed.repair
    if serves and same_operation(history.operating, deployment.operating):
        return DeployPlan(event, deployment, previous, leftovers(observed, keep=release.id), observed.fingerprint)
    if serves:
        actions: tuple[Action, ...] = (Action("operate", release.id),)
        return DeployPlan("operate", deployment, previous, actions, observed.fingerprint)
    before = previous.id if previous else ""
    actions = (
        *leftovers(observed, keep=release.id),
        Action("deliver", release.id),
        Action("stage", release.id, before),
        Action("shift", release.id, before),
        *_uncommitted(observed, {release.id, before}),
    )
    return DeployPlan(event, deployment, previous, actions, observed.fingerprint)


def leftovers(observed: Observed, keep: str) -> tuple[Action, ...]:
    """Copies at 0 % that a killed command left behind."""
    live = observed.history.live if observed.history else ""
    stale = sorted({replica.release for replica in observed.replicas if replica.staged} - {keep, live})
    return tuple(Action("discard", release) for release in stale)


def _uncommitted(observed: Observed, known: set[str]) -> tuple[Action, ...]:
    """A release that serves although it was never committed: a command was killed between shift and commit."""
    return (Action("discard", observed.serving),) if observed.serving and observed.serving not in known else ()


def same_operation(recorded: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Compared as they are written, so that tuples and lists do not differ."""
    return bool(_plain(recorded) == _plain(wanted))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    return value
