"""mlship run"""

from __future__ import annotations

from typing import Annotated

import typer

from mlship.cli.answer import Answer
from mlship.cli.call import Call
from mlship.cli.options import Python


def command(
    call: Call,
    source: Annotated[
        bool, typer.Option("--source", help="From your own environment instead of the image (macOS too).")
    ] = False,
    port: Annotated[
        int | None,
        typer.Option(
            "--port", "-p", metavar="N", min=1, max=65535, help="The port to listen on; 8080 when left out.", show_default=False
        ),
    ] = None,
    python: Python = "",
) -> Answer:
    """Serve in the foreground, from the image or from your environment, until Ctrl-C."""
    from mlship.flows import run

    return Answer(exit=run.run(call.context, call.where(), source=source, port=port, python=python))
