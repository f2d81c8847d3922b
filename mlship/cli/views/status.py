"""status and list: what is live, as the server says it."""

from __future__ import annotations

from collections.abc import Iterator

from mlship.cli.views.engines import engine_rows
from mlship.cli.views.text import (
    age,
    columns,
    day_and_time,
    day_began,
    lines,
    percent,
    place,
    short_content,
    time_of_day,
)
from mlship.cli.views.why import why_text
from mlship.flows.command_line import command_at, deploy_command
from mlship.flows.results import Listed, ReleaseView, Status, Traffic, UnderwayView
from mlship.targets.base import ServiceRow


def status_text(result: Status, now: float) -> str:
    where = f"{place(result.project, result.environment)}  {result.target}"
    if result.live is None and not result.serving and result.underway is None:
        return lines(
            f"{where}  nothing is deployed", *_notes(result), f"Next: {deploy_command(result.target, result.environment)}"
        )
    replicas = result.observed.replicas
    ready = sum(replica.ready and not replica.staged for replica in replicas)
    return lines(
        f"{where}  {result.endpoint}",
        columns(
            [
                _release_row("live", result.live, now),
                _release_row("previous", result.previous, now),
                *_since(result, now),
                *_front(result, now),
                *engine_rows(result.engines),
                ["replicas", f"{ready}/{sum(not replica.staged for replica in replicas)} ready"],
            ]
        ),
        columns(
            [
                [
                    replica.name,
                    replica.release,
                    "ready" if replica.ready else "not ready",
                    "staged" if replica.staged else "",
                    age(now - replica.since) if replica.since else "",
                    replica.detail,
                ]
                for replica in replicas
            ],
            indent=4,
        ),
        columns([["traffic".ljust(8), *row] for row in _traffic_rows(result)]),
        _rollout(result.underway, now),
        *_notes(result),
        _disagreement(result),
        why_text(result.why),
        _next(result),
    )


def list_text(result: Listed) -> str:
    rows = [
        [place(row.project, row.environment), row.target, _live(row), "ready" if row.ready else "not ready", row.endpoint]
        for row in result.services
    ]
    return lines(
        columns(rows, indent=0) if rows else "no services",
        *(_untold(row) for row in result.services if row.wrong),
        *(f"{target} is left out: {why}" for target, why in result.unreachable.items()),
    )


def _live(row: ServiceRow) -> str:
    return "unknown" if row.wrong else row.live


def _untold(row: ServiceRow) -> str:
    return lines(f"{place(row.project, row.environment)} is unknown: {row.wrong}", f"  fix    {row.fix}" if row.fix else "")


def _release_row(title: str, release: ReleaseView | None, now: float) -> list[str]:
    if release is None:
        return [title, "none"]
    models = ", ".join(f"{name} {sha256[:6]}" for name, sha256 in release.models.items())
    return [title, release.id, f"content {short_content(release.content)}", f"models {models}", age(now - release.created)]


def _since(result: Status, now: float) -> list[list[str]]:
    """Since when the live release is live, and how often anything was committed."""
    if not result.since:
        return []
    return [["since", f"{day_and_time(result.since)} ({age(now - result.since)})  generation {result.generation}"]]


def _front(result: Status, now: float) -> list[list[str]]:
    front = result.observed.front
    if front is None or not front.has:
        return []
    return [["front", f"{front.has}, packages of {front.made} ({age(now - day_began(front.made))})"]]


def _traffic_rows(result: Status) -> Iterator[list[str]]:
    """A row a release that gets callers or has had some; none where the target knows no more than what is live."""
    counted = {row.release: row for row in result.traffic}
    shares = dict(result.weights)
    if not counted and len(shares) < 2:
        return
    for release in sorted({*counted, *shares}):
        row = counted.get(release)
        yield [release, percent(shares.get(release, 0.0)), *(_counts(row) if row else [])]


def _counts(row: Traffic) -> list[str]:
    latency = [f"{name} {value:.3g} ms" for name, value in (("p50", row.p50_ms), ("p95", row.p95_ms)) if value is not None]
    errors = f"errors {row.errors}/{row.requests}" + (f" ({percent(row.errors / row.requests)})" if row.errors else "")
    return [f"{row.rps:g} rps", " ".join(latency) or "no requests yet", errors]


def _rollout(view: UnderwayView | None, now: float) -> str:
    if view is None:
        return ""
    name = view.strategy or "rollout"
    if view.failed:
        by = f"attended by {view.attended_by.split(' pid ')[0]}" if view.attended_by else "its command ended before it was done"
        return f"  rollout   {name} {view.release} is being taken back, {by}: {view.failed}"
    mirrored = f" with a mirror of {percent(view.mirror)}" if view.mirror else ""
    spot = f"  rollout   {name} {view.release} at {percent(view.share)}{mirrored}"
    when = f"{time_of_day(view.since)} ({age(now - view.since)})"
    if view.attended_by:
        return f"{spot} since {when}, attended by {view.attended_by.split(' pid ')[0]}"
    if view.paused:
        return f"{spot}, paused since {when}: {view.paused}"
    return f"{spot}, unattended since {when}: its command ended; callers stay where they are"


def _notes(result: Status) -> list[str]:
    return [f"  {note}" for note in result.observed.notes]


def _disagreement(result: Status) -> str:
    """Of the records and what is there. While a rollout is under way, either of its releases may be the one that answers."""
    live = result.live.id if result.live else ""
    if result.serving in (live, result.underway.release if result.underway else live):
        wrong = result.observed.repair if result.underway is None else ""
        return f"warning: {wrong}; mlship deploy puts it right" if wrong else ""
    said = f"the server says {result.serving}" if result.serving else "no server answers"
    return f"warning: the records say {live or 'nothing'} is live, but {said}"


def _next(result: Status) -> str:
    live = result.live.id if result.live else ""
    if result.underway is not None and not result.underway.attended_by:
        promote, abort = (command_at(verb, result) for verb in ("promote", "abort"))
        if result.underway.failed:
            return f"Next: {abort}   # ends that"
        return lines(f"Next: {promote}   # goes on", f"  or  {abort}   # takes it back")
    verb = "verify" if live and result.serving == live else "logs"
    return f"Next: {command_at(verb, result)}"
