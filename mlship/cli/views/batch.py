"""predict --data --out: what was answered, what was not, how fast, and where it lies."""

from __future__ import annotations

from mlship.cli.views.text import columns, lines, seconds_text, short_content
from mlship.flows.batching.results import Answered
from mlship.units import size_text


def batch_text(result: Answered) -> str:
    processes = f"{result.processes} process{'es' if result.processes != 1 else ''}" if result.processes else "finished earlier"
    return lines(
        f"{result.project}   {result.title}   image {short_content(result.content)}   model {result.model} {result.sha256[:6]}",
        columns(
            (
                ["rows", f"{result.rows:,}", f"after {result.resumed:,} of an earlier run" if result.resumed else ""],
                ["answered", f"{result.answered:,}", f"{result.out}  {size_text(result.size)}"],
                ["rejected", f"{result.rejected:,}", result.rejects],
                ["rows/s", f"{result.rows_per_second:,.0f}", f"{seconds_text(result.seconds)}, {processes}"],
            )
        ),
        f"  note  {result.note}" if result.note else "",
        f"  first reject  {result.reason}" if result.reason else "",
        f"Predicted {result.answered:,} of {result.rows:,} rows in {seconds_text(result.seconds)}",
    )
