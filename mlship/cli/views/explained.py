"""build --explain: which layer was made again, and because of what."""

from __future__ import annotations

from mlship.cli.views.text import columns, day_and_time, lines, short_content
from mlship.flows.building.results import Built, Explanation

SHOWN = 5  # reasons of one layer; a new environment has as many as it has packages


def explained_text(result: Built) -> str:
    """Empty where nobody asked."""
    return lines(*(_one(explanation, len(result.explained) > 1) for explanation in result.explained))


def _one(explanation: Explanation, several: bool) -> str:
    of = f" for {explanation.platform}" if several else ""
    if not explanation.before:
        title = f"Why{of}: there was no image of this project before"
    else:
        when = f", built {day_and_time(explanation.when)}" if explanation.when else ""
        title = f"Why{of}, compared with {short_content(explanation.before)}{when}"
        if not explanation.whys:
            return f"{title}: the same inputs, the same image"
    whys = sorted(explanation.whys, key=lambda why: why.verdict == "kept")
    return lines(title, columns([why.verdict, f"{_short(why.layer.split(', '))}: {_short(why.reasons)}"] for why in whys))


def _short(words: list[str] | tuple[str, ...]) -> str:
    more = len(words) - SHOWN
    return ", ".join(words[:SHOWN]) + (f" and {more} more" if more > 0 else "")
