"""plan, deploy and rollback: what will be done, what was done, how to try it and how to undo it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlship.cli.views.findings import findings_text
from mlship.cli.views.text import age, columns, curl, lines, place, seconds_text, short_content
from mlship.flows.command_line import MANAGED, command_at
from mlship.flows.results import Aborted, Deployed, PlanView, TakenIn

if TYPE_CHECKING:
    from mlship.flows.from_environment import Origin


def plan_text(view: PlanView) -> str:
    """The plan, as it is shown before the question."""
    where = " ".join(
        part for part in (place(view.project, view.environment), "->", view.target, view.service, view.host) if part
    )
    if view.is_empty:
        live = view.release.id if view.release else "nothing"
        return lines(f"Plan  {where}: nothing to change, {live} is live", findings_text(view.findings))
    return lines(
        f"Plan  {where}          {_from_to(view)}",
        *(f"  {line}" for line in view.takeover),
        *(f"  {step}" for step in view.steps),
        columns(
            [["+", item] for item in view.create]
            + [["~", item] for item in view.update]
            + [["-", item] for item in view.delete]
        ),
        f"  cost: {view.cost.text}" if view.cost.text else "",
        f"  takes: {view.duration}" if view.duration else "",
        findings_text(view.findings),
        f"  undo: {view.undo}" if view.undo else "",
    )


def taken_text(result: TakenIn) -> str:
    """`Taken in  churn.tar, content c41e07a1b2c3, with the mlship.yaml in it`."""
    file = f"with {result.configuration}" if result.configuration else "with the mlship.yaml in it"
    return f"Taken in  {result.archive}, content {short_content(result.content)}, {file}"


def origin_text(origin: Origin | None) -> str:
    """`From  staging, local r3-12bd90: content c41e07a1b2c3, model churn 9f2c01d4`; empty where it does not come from elsewhere."""
    if origin is None:
        return ""
    models = ", ".join(f"{name} {sha256[:8]}" for name, sha256 in origin.models.items())
    fetched = f", fetched from {origin.fetched}" if origin.fetched else ""
    content = short_content(origin.content)
    return f"From  {origin.environment}, {origin.target} {origin.release}: content {content}, {models}{fetched}"


def deploy_text(result: Deployed) -> str:
    """What is live now; with the lines to paste."""
    if result.unchanged:
        head = f"Nothing to do: {result.release.id} is live at {result.endpoint}"
    else:
        proof = f"   {result.verified.text}" if result.verified else ""
        head = f"Live: {result.release.id}  {result.endpoint}{proof}   {seconds_text(result.seconds)}"
    return lines(
        head,
        *(f"  {note}" for note in result.notes),
        _try(result),
        _undo(result),
    )


def rollback_plan_text(view: PlanView, now: float) -> str:
    """Which release gives way to which; with their ages."""
    if view.is_empty:
        return plan_text(view)
    previous = f"{view.previous.id} ({age(now - view.previous.created)})" if view.previous else "nothing"
    release = f"{view.release.id} ({age(now - view.release.created)})" if view.release else "nothing"
    where = " ".join(part for part in (place(view.project, view.environment), view.target, view.host) if part)
    return lines(
        f"Plan  {where}    {previous} -> {release}",
        *(f"  {step}" for step in view.steps),
        findings_text(view.findings),
    )


def rollback_text(result: Deployed) -> str:
    view = result.plan
    if result.unchanged:
        return f"Nothing to do: {result.release.id} is live at {result.endpoint}"
    rejected = (
        f"{result.previous.id} is marked rejected: deploying it again needs --again." if result.previous is not None else ""
    )
    proof = f"   {result.verified.text}" if result.verified else ""
    return lines(
        f"Rolled back to {result.release.id} in {seconds_text(result.seconds)}.  {result.endpoint}{proof}",
        *(f"  {note}" for note in result.notes),
        f"  {rejected}" if rejected else "",
        f"Next: {command_at('history', view)}",
    )


def abort_text(result: Aborted) -> str:
    """What serves again, and what becomes of the release that was taken back."""
    serves = f"{result.live.id} serves all callers.  {result.endpoint}" if result.live else "nothing serves."
    return lines(
        f"Taken back: {result.release.id} in {seconds_text(result.seconds)}.  {serves}",
        *(f"  {note}" for note in result.notes),
        f"  {result.release.id} is marked rejected ({result.reason}): deploying it again needs --again.",
        f"Next: {command_at('history', result)}",
    )


def _from_to(view: PlanView) -> str:
    new = view.release.id if view.release else "nothing"
    if view.takes_back and view.previous is not None:
        return f"{view.previous.id} is taken back, {f'live {new} stays' if view.release else 'nothing is live'}"
    if view.previous is None:
        return f"first release {new}"
    if view.release is not None and view.release.id == view.previous.id:
        return f"live {new} stays"
    return f"live {view.previous.id} -> new {new}"


def _try(result: Deployed) -> str:
    """A managed endpoint takes signed calls at one route alone, which no curl makes."""
    if not result.endpoint:
        return ""
    if result.endpoint.endswith(MANAGED):
        return f"Try:  {command_at('predict', result.plan)}"
    return f"Try:  {curl(result.endpoint, result.sample_body, result.is_closed)}"


def _undo(result: Deployed) -> str:
    """`destroy` is proposed where nothing was served before, and never beside a release that only goes on, or that replaced another."""
    if result.unchanged or result.plan.replaces:
        return ""
    if result.previous is None:
        return f"Undo: {command_at('destroy', result.plan)}"
    if result.previous.id != result.release.id:
        return f"Undo: {command_at('rollback', result.plan)}"
    if any(action.kind == "operate" for action in result.plan.actions):
        return "Undo: write the former settings into mlship.yaml again, then mlship deploy"
    return ""
