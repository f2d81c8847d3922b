"""mlship ci"""

from __future__ import annotations

from typing import Annotated

import typer

from mlship.cli import payloads
from mlship.cli.answer import Answer
from mlship.cli.call import Call
from mlship.errors import MlshipError


def command(
    call: Call,
    system: Annotated[str, typer.Argument(metavar="SYSTEM", help="github, gitlab, azure or jenkins.", show_default=False)] = "",
    write: Annotated[bool, typer.Option("--write", help="Write the file where the system looks for it.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there and differs.")] = False,
    comment: Annotated[
        str,
        typer.Option(
            "--comment",
            metavar="FILE",
            help="In a job: put this report on its pull request, in place of the one of the run before.",
            show_default=False,
        ),
    ] = "",
) -> Answer:
    """Print or write a pipeline: check, build, staging, production, rollback by hand.

    For GitHub, GitLab, Azure Pipelines and Jenkins, from the environments of mlship.yaml. A file that you changed is only
    replaced with --force.
    """
    from mlship.cli.table import COMMANDS
    from mlship.cli.views.ci import comment_text, written_text
    from mlship.flows import ci

    if not system:
        raise MlshipError("which CI system?", fix="mlship ci github, gitlab, azure or jenkins", code="usage")
    if comment:
        if write or force:
            raise MlshipError("--comment writes no pipeline", fix="leave --write and --force out", code="usage")
        put = ci.comment(call.context, call.where(), system, call.path(comment))
        return Answer(comment_text(put), payloads.commented(put))
    made = ci.ci(call.context, call.where(), system, tuple(COMMANDS), write=write, force=force)
    if write:
        return Answer(written_text(made), payloads.pipeline_made(made), brief=str(made.file))
    text = made.text.rstrip("\n")
    return Answer(text, payloads.pipeline_made(made), brief=text, is_verbatim=True)
