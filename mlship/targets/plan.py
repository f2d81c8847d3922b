"""What has to be done, from what is wanted and what was seen. Pure, and the same for every target."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from mlship.errors import Exit, MlshipError
from mlship.releases.history import History, Underway
from mlship.releases.release import Release
from mlship.targets.base import Action, Deployment, Observed, Strategy
from mlship.targets.recorded import deployment_under_way


@dataclass(frozen=True)
class DeployPlan:
    """Actions in order, and what they mean for people. fingerprint: of what the plan was made from.

    event: what the history will say. previous: the release that serves until the shift, None when none does. by_steps: it is
    recorded while it is under way, because callers may meet both releases or a person is asked. promoted: a person said that
    it goes on; the first move needs no approval then. full: that first move is to all callers.
    """

    event: Literal["deploy", "rollback", "operate", "abort"]
    deployment: Deployment
    previous: Release | None
    actions: tuple[Action, ...]
    fingerprint: str
    by_steps: bool = False
    promoted: bool = False
    full: bool = False

    @property
    def is_empty(self) -> bool:
        return not self.actions

    @property
    def takes_back(self) -> bool:
        """What is under way goes, and nothing comes: a person wants that, or its gates judged it before."""
        return any(action.kind == "restore" for action in self.actions)


def plan(event: Literal["deploy", "rollback"], deployment: Deployment, observed: Observed) -> DeployPlan:
    """The plan that makes the world look like the deployment; empty when it does already.

    A deployment of what is under way goes on from where it stands; a rollback takes it back. Raises MlshipError with exit 12
    for any other one.
    """
    history = observed.history or History(deployment.project, deployment.environment, deployment.target)
    if history.underway is not None:
        return _beside(event, deployment, observed, history, history.underway)
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
    is_new = event == "deploy" and not is_live
    by_steps = is_new and _is_by_steps(deployment.strategy, before)
    shares = shares_before_all(deployment.strategy) if by_steps and before else ()
    mirrored = deployment.strategy.mirror if by_steps and before else 0.0
    actions = (
        *leftovers(observed, keep=release.id),
        Action("deliver", release.id),
        Action("stage", release.id, before),
        *_mirror(release.id, before, mirrored),
        *(Action("weigh", release.id, before, share=share) for share in shares),
        Action("shift", release.id, before),
        *_uncommitted(observed, {release.id, before}),
    )
    return DeployPlan(event, deployment, previous, actions, observed.fingerprint, by_steps)


def promotion(observed: Observed, *, full: bool) -> DeployPlan:
    """The plan that goes on with what is under way past the step that it waits at; with `full` straight to all callers.

    A step, or a mirror, whose command was killed waits for nobody: it is watched to its end.
    """
    history = observed.history
    assert history is not None and history.underway is not None, "the caller has looked"
    deployment = deployment_under_way(history, history.underway)
    begun = history.underway
    passed = begun.share if begun.paused else -1.0
    shares = () if full else tuple(share for share in _shares_left(deployment, begun) if share > passed)
    mirrored = 0.0 if full or (begun.mirror and begun.paused) else _mirror_left(deployment, begun)
    return replace(_onward(deployment, observed, begun, shares, mirrored), promoted=True, full=full)


def taking_back(observed: Observed) -> DeployPlan:
    """The plan that takes back what is under way."""
    history = observed.history
    assert history is not None and history.underway is not None, "the caller has looked"
    underway = history.underway
    actions = (Action("restore", underway.release.id, underway.before),)
    deployment = deployment_under_way(history, underway)
    return DeployPlan("abort", deployment, history.live_release, actions, observed.fingerprint, by_steps=True)


def shares_before_all(strategy: Strategy) -> tuple[float, ...]:
    """The shares of the callers at which a new release is watched before it is shifted to."""
    if strategy.name == "canary":
        return tuple(share for share in strategy.steps if share < 1)
    return (1.0,) if strategy.name == "blue-green" and strategy.bake_s else ()


def leftovers(observed: Observed, keep: str) -> tuple[Action, ...]:
    """Copies at 0 % that a killed command left behind; what is under way is none."""
    history = observed.history
    known = {keep}
    if history is not None:
        known |= {history.live, history.underway.release.id if history.underway else ""}
    stale = sorted({replica.release for replica in observed.replicas if replica.staged} - known)
    return tuple(Action("discard", release) for release in stale)


def same_operation(recorded: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Compared as they are written, so that tuples and lists do not differ."""
    return bool(_plain(recorded) == _plain(wanted))


def _beside(
    event: Literal["deploy", "rollback"], deployment: Deployment, observed: Observed, history: History, underway: Underway
) -> DeployPlan:
    """What a command means while a rollout is under way."""
    if event == "rollback" and deployment.release.id == underway.before:
        return taking_back(observed)
    if event == "deploy" and history.is_underway(deployment.release.served):
        same = replace(deployment, release=underway.release)
        return _onward(same, observed, underway, _shares_left(same, underway), _mirror_left(same, underway))
    project, release = history.project, underway.release.id
    raise MlshipError(
        f"{release} is under way at {underway.share * 100:g} % of the callers of {project}, beside {underway.before or 'nothing'}",
        fix=f"mlship promote {project} goes on with it, mlship abort {project} takes it back; then run the same command again",
        exit=Exit.PAUSED,
        code="underway",
    )


def _onward(
    deployment: Deployment, observed: Observed, underway: Underway, shares: tuple[float, ...], mirrored: float
) -> DeployPlan:
    """The rest of a rollout: its image is there, its copies are made sure of and asked again. One that failed is only taken back."""
    release, before = underway.release.id, underway.before
    actions: tuple[Action, ...] = (
        *leftovers(observed, keep=release),
        Action("stage", release, before),
        *_mirror(release, before, mirrored),
        *(Action("weigh", release, before, share=share) for share in shares),
        Action("shift", release, before),
    )
    if underway.failed:
        actions = (Action("restore", release, before),)
    previous = observed.history.live_release if observed.history else None
    return DeployPlan(underway.event, deployment, previous, actions, observed.fingerprint, by_steps=True)


def _shares_left(deployment: Deployment, underway: Underway) -> tuple[float, ...]:
    """From the step that was reached on, which is made sure of and watched to its end."""
    if underway.passed or not underway.before:
        return ()
    if underway.step < 0:
        return shares_before_all(deployment.strategy)
    return (underway.share, *(share for share in shares_before_all(deployment.strategy) if share > underway.share))


def _mirror_left(deployment: Deployment, underway: Underway) -> float:
    """Until the first callers move; it is made sure of and watched to its end, as a step is."""
    return deployment.strategy.mirror if underway.step < 0 and underway.before and not underway.passed else 0.0


def _mirror(release: str, before: str, share: float) -> tuple[Action, ...]:
    return (Action("mirror", release, before, share=share),) if share else ()


def _is_by_steps(strategy: Strategy, before: str) -> bool:
    """Without a release before there is nothing to share callers with, or to compare with."""
    return strategy.approve == "manual" or bool(before and (shares_before_all(strategy) or strategy.gates or strategy.mirror))


def _uncommitted(observed: Observed, known: set[str]) -> tuple[Action, ...]:
    """A release that serves although it was never committed: a command was killed between shift and commit."""
    return (Action("discard", observed.serving),) if observed.serving and observed.serving not in known else ()


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    return value
