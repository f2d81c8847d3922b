"""What a job of GitHub Actions is told besides the terminal: a short page of its summary, and its outputs.

The one place that writes to GITHUB_STEP_SUMMARY and GITHUB_OUTPUT. What cannot be written there fails no command.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from mlship.masks import masked, masked_plain

SUMMARY, OUTPUT = "GITHUB_STEP_SUMMARY", "GITHUB_OUTPUT"
COMMANDS = ("build", "test", "plan", "deploy", "promote", "rollback", "abort", "cost-estimate", "bench")
_LONGEST = 16_000  # characters of a command's own words; a whole summary may have 1 MiB
_MARKUP = re.compile(r"([\\`*_{}\[\]<>|#~])")


def leave(environ: Mapping[str, str], command: str, payload: Mapping[str, Any], text: str, exit: int) -> None:
    """payload: as --json has it. text: for people. Raises nothing."""
    if command not in COMMANDS:
        return
    facts = _facts(masked_plain(payload))
    _append(environ.get(OUTPUT, ""), outputs_text({**facts, "exit": str(exit)}))
    _append(environ.get(SUMMARY, ""), summary_text(command, facts, masked(text), exit))


def outputs_text(facts: Mapping[str, str]) -> str:
    """`name=value` lines: a value of several would be read as more outputs. Pure."""
    return "".join(f"{name}={' '.join(value.split())}\n" for name, value in facts.items())


def summary_text(command: str, facts: Mapping[str, str], text: str, exit: int) -> str:
    """A heading, a table, and what the command said, indented: whatever stands in it stays text. Pure."""
    place = "/".join(facts[name] for name in ("project", "environment") if facts.get(name))
    ended = f"exit {exit}" if exit else ""
    heading = f"### mlship {' '.join(_escaped(part) for part in (command, place, ended) if part)}\n\n"
    rows = [f"| {name} | {_escaped(value)} |\n" for name, value in facts.items() if name not in ("project", "environment")]
    table = "".join(["| | |\n|---|---|\n", *rows, "\n"]) if rows else ""
    said = text[:_LONGEST] + ("\n... cut off" if len(text) > _LONGEST else "")
    body = "\n".join(f"    {line}" for line in said.splitlines())
    return f"{heading}{table}{body}\n\n"


def _facts(payload: Mapping[str, Any]) -> dict[str, str]:
    """Of several hosts each fact once, in their order; empty ones are left out."""
    answers = payload.get("hosts") or [payload]
    found = [_of_one(answer) for answer in answers]
    names = dict.fromkeys(name for one in found for name in one)
    return {name: " ".join(dict.fromkeys(one[name] for one in found if name in one)) for name in names}


def _of_one(answer: Mapping[str, Any]) -> dict[str, str]:
    release, image = answer.get("release"), answer.get("image")
    of_release = release if isinstance(release, Mapping) else {}
    of_image = image if isinstance(image, Mapping) else {}
    previous = answer.get("previous")
    told = {
        "project": answer.get("project"),
        "environment": answer.get("environment"),
        "content": of_release.get("content") or of_image.get("content") or answer.get("content"),
        "image": of_image.get("reference"),
        "release": of_release.get("id"),
        "previous": previous.get("id") if isinstance(previous, Mapping) else None,
        "endpoint": answer.get("endpoint"),
        "changed": _changed(answer),
        "verdict": answer.get("verdict"),
        "usd-month": _monthly(answer),
    }
    return {name: str(value) for name, value in told.items() if value not in (None, "")}


def _changed(answer: Mapping[str, Any]) -> str:
    """Whether the command changed something, or for a plan: whether its deploy would."""
    if "unchanged" in answer:
        return "false" if answer["unchanged"] else "true"
    plan = answer.get("plan")
    return str(bool(plan.get("actions"))).lower() if isinstance(plan, Mapping) else ""


def _monthly(answer: Mapping[str, Any]) -> str:
    plans, chosen = list(answer.get("plans") or []), answer.get("chosen")
    one = plans[chosen] if isinstance(chosen, int) and chosen < len(plans) else plans[0] if len(plans) == 1 else None
    price = one.get("usd_month") if isinstance(one, Mapping) else None
    return f"{price:.2f}" if isinstance(price, int | float) else ""


def _escaped(text: str) -> str:
    return _MARKUP.sub(r"\\\1", " ".join(text.split()))


def _append(path: str, text: str) -> None:
    """In one write at the end: steps of one job, and commands of one step, follow each other there."""
    if not path or not text:
        return
    with suppress(OSError, ValueError):
        handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o644)
        try:
            os.write(handle, text.encode(errors="replace"))
        finally:
            os.close(handle)
