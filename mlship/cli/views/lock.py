"""lock: what is locked now, what was before, and why it changed."""

from __future__ import annotations

from mlship.cli.views.findings import findings_text
from mlship.cli.views.text import columns, lines
from mlship.flows.results import Relocked
from mlship.image.lock_changes import LockChange


def lock_text(result: Relocked, again: str, build: str) -> str:
    """again: the same command without --dry-run and --check."""
    told = lines(
        columns(["because", reason] for reason in result.because),
        columns(_row(change, result) for change in result.changes),
        columns(["model", change] for change in result.models),
        findings_text(result.findings),
    )
    python = f"{result.packages} Python package{'' if result.packages == 1 else 's'}"
    holds = f"{python} and {result.system} of the system, of {result.made or 'an unknown day'}"
    if result.is_written:
        changed = _count(result) if result.is_changed else "nothing newer"
        return lines(told, f"Locked {result.project}: {holds}; {changed}", f"Next: {build}, and commit {result.file.name}")
    if result.is_changed:
        return lines(told, f"Nothing is written: {_count(result)}", f"Next: {again}")
    return lines(told, f"Nothing to do: {result.file.name} fits  {holds}")


def _row(change: LockChange, result: Relocked) -> list[str]:
    notes = ["security update"] if change.is_security and change.before else []
    notes += [", ".join(change.platforms)] if len(change.platforms) < len(result.platforms) else []
    return [change.kind, change.name, change.before or "-", "->", change.after or "-", "  ".join(notes)]


def _count(result: Relocked) -> str:
    """`12 packages change, 2 of them security updates`."""
    updates = sum(change.is_security and bool(change.before) for change in result.changes)
    parts = [f"{len(result.changes)} package{'s' if len(result.changes) != 1 else ''} changed"]
    parts += [f"{updates} of them {'a security update' if updates == 1 else 'security updates'}"] if updates else []
    parts += [f"{len(result.models)} model{'s' if len(result.models) != 1 else ''}"] if result.models else []
    return ", ".join(parts)
