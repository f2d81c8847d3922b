"""The walk of a release through its steps: begin, weigh, watch, judge, and a pause where a person has to say how it goes on.

Each step is recorded after its callers moved and before it is watched, so that any machine finds out where to go on; what is
recorded is made sure of again by whoever goes on.
"""

from __future__ import annotations

from typing import Any, NoReturn

from mlship.config.gates import Gate, parse
from mlship.errors import MlshipError
from mlship.releases.history import Underway
from mlship.releases.records import LeaseLost
from mlship.targets.base import Action, ActionKind, Measures, Outcome
from mlship.targets.changing import Change
from mlship.targets.facts import Paused
from mlship.targets.gates import (
    Judged,
    Judgement,
    between,
    judge,
    judge_change,
    measures_from_plain,
    measures_to_plain,
)
from mlship.targets.proving import change_of_sample
from mlship.targets.recorded import deployment_to_plain
from mlship.targets.undo import take_back
from mlship.targets.waiting import Waiting

LOOK_S = 30.0  # between two looks at the gates; each asks every copy for its counters
LOOKS = 10  # in a short bake


def begin(change: Change) -> None:
    """Records the rollout before the first caller moves; the sample of both releases is compared before that.

    Raises Paused, or takes the release back, where the comparison says so.
    """
    if change.history.underway is None:
        moved = change_of_sample(change) if change.before else None
        begun = _beginning(change, moved)
        change.write(change.history.begun(begun, change.entry("begin")))
    underway = _underway(change)
    if underway.step < 0 and not underway.mirror and underway.before and not _is_passed(change):
        judged = judge_change(_gates(change), underway.change)
        if judged.parts:
            change.world.progress.step("compare", judged.text)
        _obey(change, "stage", judged)


def mirror(change: Change, action: Action) -> None:
    """Copies so many requests to the release, and watches how it answers what nobody gets. No caller moves, nobody is asked."""
    is_new = _underway(change).mirror != action.share
    counted = _counted(change) if is_new else {}
    outcome = change.apply(action)
    if not outcome.ok:
        take_back(change, "weigh", outcome)
    change.notes.extend(outcome.notes)
    if is_new:
        why = f"a copy of {action.share * 100:g} % of the requests"
        change.write(change.history.mirrored(action.share, counted, change.entry("step", why=why)))
    judged, news = _watch(change)
    _obey(change, "weigh", judged)
    change.notes.append(news)


def weigh(change: Change, action: Action) -> None:
    """Moves so many callers, and watches them until the gates are judged. A step that was reached before is only finished."""
    if action.share == 1:
        _wait_for_approval(change)
    underway = _underway(change)
    is_new = underway.step < 0 or underway.share != action.share
    counted = _counted(change) if is_new else {}
    outcome = change.apply(action)
    if not outcome.ok:
        take_back(change, "weigh", outcome)
    change.notes.extend(outcome.notes)
    if is_new:
        change.write(change.history.stepped(underway.step + 1, action.share, counted, change.entry("step")))
    judged, news = _watch(change)
    _obey(change, "weigh", judged)
    change.notes.append(news)


def pass_all(change: Change) -> None:
    """Records that nothing is left but to move all callers for good, which a person may have to approve."""
    underway = _underway(change)
    if not underway.passed:
        _wait_for_approval(change)
        change.write(change.history.stepped(underway.step + 1, 1.0, underway.measured, change.entry("step"), passed=True))


def pause(change: Change, why: str, details: tuple[str, ...] = ()) -> NoReturn:
    underway = _underway(change)
    if underway.paused != why:
        change.write(change.history.paused(why, change.entry("pause", why=why)))
    raise Paused(change.history.project, change.release.id, change.left or underway.reach, why, details)


def _is_passed(change: Change) -> bool:
    """Whether a person has seen what the comparison said: what was killed before it paused has told nobody."""
    return change.plan.promoted and bool(_underway(change).paused or change.plan.full)


def _beginning(change: Change, moved: float | None) -> Underway:
    return Underway(
        release=change.release,
        before=change.before,
        event="deploy",
        step=-1,
        share=0.0,
        since=change.world.clock(),
        operating=change.deployment.operating,
        deployment=deployment_to_plain(change.deployment),
        change=moved,
    )


def _wait_for_approval(change: Change) -> None:
    """Before all callers move. Where they moved already, such as to copies that are watched, it was given."""
    moved_already = _underway(change).share == 1
    if change.deployment.strategy.approve == "manual" and not moved_already and not _is_approved(change):
        pause(change, "it waits for approval (rollout.approve: manual)")


def _is_approved(change: Change) -> bool:
    """A promotion approves its first move, and with `full` it has only that one."""
    moves = (action for action in change.plan.actions if action.kind in ("weigh", "shift"))
    return change.plan.promoted and next(moves).share == 1


def _watch(change: Change) -> tuple[Judgement, str]:
    """Looks at the gates until the step has baked; one that fails ends it at once. Gives the last look and its news."""
    underway, strategy, clock = _underway(change), change.deployment.strategy, change.world.clock
    began = measures_from_plain(underway.measured, change.release.id)
    ends = min(underway.since, clock()) + strategy.bake_s
    look_s = min(LOOK_S, max(strategy.bake_s / LOOKS, 1.0))
    while True:
        judged = _judged(change, began)
        left_s = ends - clock()
        news = _news(underway, strategy.bake_s, left_s, judged)
        change.world.progress.step("bake", news)
        if judged.verdict == "fail" or left_s <= 0:
            return judged, news
        change.rest(min(left_s, look_s))


def _counted(change: Change) -> dict[str, Any]:
    """What the copies have counted so far, asked before anybody moves: where nobody can tell, a person is asked with all as it was.

    A target that is away for a moment is asked again. Whoever promotes what waits has been asked, and goes on without. Raises Paused.
    """
    if not _is_measured(change):
        return {}
    waiting = Waiting(change.world.clock, change.rest)
    try:
        return measures_to_plain(waiting.answered(change.target.measure))
    except LeaseLost:
        raise
    except MlshipError as error:
        if change.plan.promoted and _underway(change).paused:
            return {}
        pause(change, f"it cannot be measured: {error.what}", error.details)


def _judged(change: Change, began: Measures) -> Judgement:
    """A look that the target does not allow right now is no verdict."""
    strategy, gates = change.deployment.strategy, _gates(change)
    if not _is_measured(change):
        return Judgement()
    try:
        counted = change.target.measure().get(change.release.id, Measures())
    except LeaseLost:
        raise
    except MlshipError as error:
        return Judgement((Judged("inconclusive", "not measured", f"it cannot be measured: {error.what}"),))
    return judge(gates, between(began, counted), strategy.min_requests)


def _obey(change: Change, reached: ActionKind, judged: Judgement) -> None:
    """What a judgement means: go on, wait for a person, or take it back."""
    if judged.verdict == "pass":
        return
    details = tuple(part.text for part in judged.parts)
    if judged.verdict == "fail" and change.deployment.strategy.on_fail == "rollback":
        take_back(change, reached, Outcome(False, judged.why, (*details, *change.last_lines())))
    pause(change, judged.why, details)


def _news(underway: Underway, bake_s: float, left_s: float, judged: Judgement) -> str:
    """`5 %  bake 5:00  p95 22 ms < 40   errors 0/812 < 0.5 %  pass`; `mirror 10 %  bake ...`."""
    done_s = bake_s - max(left_s, 0.0)
    is_over = left_s <= 0 or judged.verdict == "fail"
    clock = _minutes(bake_s) if left_s <= 0 else f"{_minutes(done_s)} of {_minutes(bake_s)}"
    parts = "   ".join(part.text for part in judged.parts)
    where = f"mirror {underway.mirror * 100:g} %" if underway.mirror else f"{underway.share * 100:g} %"
    said = [where, f"bake {clock}", parts, judged.verdict if is_over else ""]
    return "  ".join(part for part in said if part)


def _minutes(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def _is_measured(change: Change) -> bool:
    return any(gate.is_measured for gate in _gates(change))


def _gates(change: Change) -> tuple[Gate, ...]:
    return tuple(parse(text) for text in change.deployment.strategy.gates)


def _underway(change: Change) -> Underway:
    underway = change.history.underway
    assert underway is not None, "it was begun"
    return underway
