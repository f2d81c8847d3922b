"""renew: which front gives way to which, and what that costs."""

from __future__ import annotations

from mlship.cli.views.text import columns, lines, place
from mlship.flows.results import Renewed, RenewView


def renew_plan_text(view: RenewView) -> str:
    where = " ".join(part for part in (place(view.project, view.environment), "->", view.target, view.host) if part)
    before = f"{view.before.has}, packages of {view.before.made}" if view.before.has else "made by an earlier mlship"
    return lines(
        f"Plan  {where}          another front",
        columns([["now", before], ["then", f"{view.after.has}, packages of {view.after.made}"]]),
        "  the new one reads the present configuration first; a front that cannot changes nothing",
        "  then it takes the other's place: nobody reaches the service for 1 to 2 seconds, and what is being answered longer",
        "  than 1 s is cut off; release, replicas, weights, counters and records stay",
        "  undo: where the new one does not come up, the former one serves again",
    )


def renewed_text(result: Renewed) -> str:
    view = result.view
    if view.is_empty:
        return f"Nothing to do: {view.before.has} are the newest packages   {result.endpoint}"
    return lines(f"Renewed: {view.after.has}   {result.endpoint}", *(f"  {note}" for note in result.notes))
