"""mlship logs"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from mlship.cli import payloads
from mlship.cli.answer import Answer
from mlship.cli.call import Call
from mlship.cli.hosts import on_each_host
from mlship.cli.options import ProjectName
from mlship.errors import MlshipError
from mlship.flows.context import Where

if TYPE_CHECKING:
    from mlship.targets.base import LogLine


def command(
    call: Call,
    name: ProjectName = "",
    release: Annotated[str, typer.Option("--release", metavar="ID", help="Only this release.", show_default=False)] = "",
    lines: Annotated[
        int, typer.Option("--lines", "-n", metavar="N", min=1, max=100_000, help="How many of the last lines.")
    ] = 100,
    follow: Annotated[bool, typer.Option("--follow", help="Go on until Ctrl-C.")] = False,
) -> Answer:
    """What the replicas say."""
    from mlship.flows import logs

    if follow and call.common.json:
        raise MlshipError(
            "--follow has no end, so there is no one JSON object", fix="leave out --json or --follow", code="usage"
        )
    if follow:
        _refuse_several(call, name)

    def act(where: Where) -> Answer:
        said = logs.logs(call.context, where, release=release, lines=lines, follow=follow)
        if call.common.json:
            return Answer(payload={"lines": [payloads.log_payload(line) for line in said]})
        call.terminal.say(where.host)
        _print(call, said)
        return Answer()

    try:
        return on_each_host(call, name, act)
    except KeyboardInterrupt:
        if not follow:
            raise
    return Answer()


def _refuse_several(call: Call, name: str) -> None:
    """Raises MlshipError where mlship.yaml names several engines: lines of one would hold back those of the others."""
    from mlship.flows.hosts import places

    found = places(call.context, call.where(name))
    if len(found) > 1:
        raise MlshipError(
            f"--follow reads one host, and mlship.yaml names {len(found)}",
            fix=f"DOCKER_HOST={found[0].host} mlship logs NAME --target docker --follow, in a folder without that mlship.yaml",
            code="usage",
        )


def _print(call: Call, said: Iterator[LogLine]) -> None:
    for line in said:
        call.terminal.say("  ".join(part for part in (line.when, line.replica, line.text) if part))
        if call.terminal.reader_is_gone:
            return
