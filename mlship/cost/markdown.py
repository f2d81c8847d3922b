"""Plans as Markdown, for a comment on a pull request. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from mlship.cost.candidate import CostPlan
from mlship.cost.diff import Diff, change_text
from mlship.cost.figures import fleet_text, milliseconds, month_text, per_million_text, purchase_text, subject, usd

_HEAD = ("target", "region", "purchase", "replicas", "USD a month", "USD a million", "idle", "p99")
# what could begin a link, a picture, a mention, HTML, emphasis, a cell or code
_MARKS = re.compile(r"([\\`*_{}\[\]<>|~#!@&])")


def markdown(
    plans: Sequence[CostPlan], prices_as_of: str, *, chosen: int = -1, verdict: str = "", why_not: Sequence[str] = ()
) -> str:
    """One table, the chosen plan in bold; then what is unknown, and all assumptions folded away. Ends with a newline."""
    rows = [_cells(plan, is_chosen=place == chosen and len(plans) > 1) for place, plan in enumerate(plans)]
    return _joined(
        "### Cost estimate", table(_HEAD, rows, 4), *_notes(plans, prices_as_of, verdict), _folded("Why not", why_not)
    )


def diff_markdown(found: Diff, prices_as_of: str, *, base: str, verdict: str = "") -> str:
    """What changes against `base`, with the delta; rows without a change are left out."""
    rows = [[escaped(row.name), escaped(row.before), escaped(row.after), escaped(row.delta)] for row in found.rows]
    kept = [cells for cells, row in zip(rows, found.rows, strict=True) if row.is_changed or row.name == "a month"]
    head = f"### Cost estimate: {escaped(change_text(found))}"
    return _joined(head, table(("", base, "this change", "difference"), kept, 1), *_notes([found.after], prices_as_of, verdict))


def table(head: Sequence[str], rows: Iterable[Sequence[str]], first_number: int) -> str:
    """first_number: from this column on cells stand to the right. Cells are Markdown already; heads are not."""
    rule = ["---" if place < first_number else "---:" for place in range(len(head))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in ([escaped(cell) for cell in head], rule, *rows))


def escaped(text: str) -> str:
    """Text that stays text in every Markdown: on one line, no marks, no mentions of people."""
    return _MARKS.sub(r"\\\1", " ".join(text.split())).replace("\\@", "&#64;").replace("\\<", "&lt;").replace("\\&", "&amp;")


def _cells(plan: CostPlan, *, is_chosen: bool) -> list[str]:
    candidate = plan.candidate
    cells = [
        *(subject(plan), candidate.region, purchase_text(candidate.purchase), fleet_text(plan)),
        *(month_text(plan), per_million_text(plan), usd(plan.idle_usd_month)),
        "overloaded" if plan.is_overloaded else milliseconds(plan.p99_ms),
    ]
    return [f"**{escaped(cell)}**" if is_chosen else escaped(cell) for cell in cells]


def _notes(plans: Sequence[CostPlan], prices_as_of: str, verdict: str) -> list[str]:
    unknown = dict.fromkeys(name for plan in plans for name in plan.unknowns)
    excluded = dict.fromkeys(name for plan in plans for name in plan.candidate.excluded)
    assumed = dict.fromkeys(name for plan in plans for name in plan.assumptions)
    return [
        f"Budget: {escaped(verdict)}" if verdict else "",
        f"**Unknown**, so that totals are at least what they say: {escaped(', '.join(unknown))}" if unknown else "",
        f"Not included: {escaped(', '.join(excluded))}" if excluded else "",
        f"Prices as of {escaped(prices_as_of)}.",
        _folded("Assumptions", list(assumed)),
    ]


def _folded(title: str, texts: Sequence[str]) -> str:
    if not texts:
        return ""
    listed = "\n".join(f"- {escaped(text)}" for text in texts)
    return f"<details><summary>{title}</summary>\n\n{listed}\n\n</details>"


def _joined(*parts: str) -> str:
    return "\n\n".join(part for part in parts if part) + "\n"
