"""status and list: what is live, as the server says it."""

from __future__ import annotations

from mlship.cli.views.text import age, columns, command_for, deploy_command, lines, place, short_content
from mlship.flows.results import Listed, ReleaseView, Status


def status_text(result: Status, now: float) -> str:
    where = f"{place(result.project, result.environment)}  {result.target}"
    if result.live is None and not result.serving:
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
        *_notes(result),
        _disagreement(result),
        _next(result),
    )


def list_text(result: Listed) -> str:
    rows = [
        [place(row.project, row.environment), row.target, row.live, "ready" if row.ready else "not ready", row.endpoint]
        for row in result.services
    ]
    return lines(
        columns(rows, indent=0) if rows else "no services" if not result.unreachable else "",
        *(f"warning: {target} could not be asked: {why}" for target, why in result.unreachable.items()),
    )


def _release_row(title: str, release: ReleaseView | None, now: float) -> list[str]:
    if release is None:
        return [title, "none"]
    models = ", ".join(f"{name} {sha256[:6]}" for name, sha256 in release.models.items())
    return [title, release.id, f"content {short_content(release.content)}", f"models {models}", age(now - release.created)]


def _notes(result: Status) -> list[str]:
    return [f"  {note}" for note in result.observed.notes]


def _disagreement(result: Status) -> str:
    live = result.live.id if result.live else "nothing"
    if result.serving == live:
        return ""
    said = f"the server says {result.serving}" if result.serving else "no server answers"
    return f"warning: the records say {live} is live, but {said}"


def _next(result: Status) -> str:
    live = result.live.id if result.live else ""
    verb = "verify" if result.serving == live else "logs"
    return f"Next: {command_for(verb, result.project, result.target, result.environment)}"
