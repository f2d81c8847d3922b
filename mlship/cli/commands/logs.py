"""mlship logs"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from mlship.cli import payloads
from mlship.cli.answer import Answer
from mlship.cli.call import Call
from mlship.cli.options import ProjectName
from mlship.errors import MlshipError

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
    said = logs.logs(call.context, call.where(name), release=release, lines=lines, follow=follow)
    if call.common.json:
        return Answer(payload={"lines": [payloads.log_payload(line) for line in said]})
    try:
        _print(call, said)
    except KeyboardInterrupt:
        if not follow:
            raise
    return Answer()


def _print(call: Call, said: Iterator[LogLine]) -> None:
    for line in said:
        call.terminal.say("  ".join(part for part in (line.when, line.replica, line.text) if part))
        if call.terminal.reader_is_gone:
            return
