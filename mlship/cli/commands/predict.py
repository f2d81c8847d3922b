"""mlship predict"""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer

from mlship.cli.answer import Answer
from mlship.cli.call import Call
from mlship.cli.hosts import on_each_host
from mlship.cli.options import ProjectName
from mlship.flows.context import Where


def command(
    call: Call,
    name: ProjectName = "",
    data: Annotated[
        str,
        typer.Option(
            "--data",
            "-d",
            metavar="FILE",
            help='JSON ({"instances": [...]} or a list of rows) or CSV; - reads JSON from standard input. Left out: the sample.',
            show_default=False,
        ),
    ] = "",
    model: Annotated[
        str,
        typer.Option(
            "--model",
            "-m",
            metavar="NAME",
            help="One of several models; the first of the file when left out.",
            show_default=False,
        ),
    ] = "",
) -> Answer:
    """Ask the live service. Prints its answer as JSON."""
    from mlship.flows import predict

    body = sys.stdin.buffer.read() if data == "-" else None
    file = call.path(data) if data and body is None else None

    def act(where: Where) -> Answer:
        result = predict.predict(call.context, where, data=file, body=body, model=model)
        answer = json.dumps(dict(result.answer), ensure_ascii=False)
        payload = {"endpoint": result.endpoint, "release": result.release, "answer": dict(result.answer)}
        return Answer(answer, payload, brief=answer)

    return on_each_host(call, name, act)
