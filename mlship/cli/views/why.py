"""status --why: what is known of each copy that is not well."""

from __future__ import annotations

from collections.abc import Iterable

from mlship.cli.views.text import columns, lines
from mlship.targets.base import Why


def why_text(found: Iterable[Why]) -> str:
    """A heading and its evidence for each copy; empty when all are well."""
    return "\n".join(_why(entry) for entry in found)


def _why(entry: Why) -> str:
    return lines(
        f"  why  {entry.replica}  {entry.release}  {entry.state}",
        columns(
            [
                ["ended", _ending(entry)] if _ending(entry) else [],
                ["probe", f"GET /readyz -> {entry.probe}"] if entry.probe else [],
                *([title, line] for title, line in zip(["log", *[""] * len(entry.log)], entry.log, strict=False)),
            ],
            indent=7,
        ),
    )


def _ending(entry: Why) -> str:
    """`exit 137, out of memory, started again 3 times`."""
    again = f"started again {entry.restarts} time{'s' if entry.restarts > 1 else ''}" if entry.restarts else ""
    code = f"exit {entry.exit_code}" if entry.exit_code is not None else ""
    return ", ".join(part for part in (code, "out of memory" if entry.out_of_memory else "", again) if part)
