"""history: one line an event, oldest first, and what can be served again."""

from __future__ import annotations

from mlship.cli.views.text import columns, day_and_time, lines, place
from mlship.flows.command_line import command_at, deploy_command
from mlship.flows.results import HistoryView


def history_text(result: HistoryView) -> str:
    where = f"{place(result.project, result.environment)}  {result.target}"
    if not result.entries:
        return lines(f"{where}  nothing was released yet", f"Next: {deploy_command(result.target, result.environment)}")
    rows = [
        [
            str(entry.generation),
            day_and_time(entry.when),
            entry.action,
            entry.release,
            entry.by.split(" pid ")[0],
            entry.git[:9],
            _one_line(entry.why),
        ]
        for entry in result.entries
    ]
    return lines(
        where,
        columns(rows),
        columns(
            [
                ["live", result.live or "nothing"],
                *([["restorable", ", ".join(_others(result))]] if _others(result) else []),
                *(["rejected", f"{release}: {_one_line(why)}"] for release, why in result.rejected.items()),
                *([["attached", _attached(result)]] if result.artifacts else []),
            ]
        ),
        *result.notes,
        f"Undo: {command_at('rollback', result)}" if result.undo else "",
    )


def _one_line(why: str) -> str:
    """What people and pipelines write may have several, which would look like events."""
    return " ".join(why.split())


def _others(result: HistoryView) -> list[str]:
    return [release.id for release in result.releases if release.id in result.restorable and release.id != result.live]


def _attached(result: HistoryView) -> str:
    """Where records lie beside their images: one name stands for all, which differ in the release alone."""
    there = [release.id for release in result.releases if release.id in result.artifacts]
    repository = next(iter(result.artifacts.values())).rpartition(":")[0]
    return f"to their images in {repository}: {', '.join(there) or 'none of these'}"
