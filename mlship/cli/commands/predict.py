"""mlship predict"""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer

from mlship.cli.answer import Answer
from mlship.cli.call import Call
from mlship.cli.options import ProjectName
from mlship.errors import MlshipError


def command(
    call: Call,
    name: ProjectName = "",
    data: Annotated[
        str,
        typer.Option(
            "--data",
            "-d",
            metavar="FILE",
            help='JSON: {"instances": [...]}, a list of rows, or one row; - reads standard input. Left out: the sample.',
            show_default=False,
        ),
    ] = "",
) -> Answer:
    """Ask the live service. Prints its answer as JSON."""
    from mlship.flows import predict

    result = predict.predict(call.context, call.where(name), _body(call, data) if data else None)
    answer = json.dumps(dict(result.answer), ensure_ascii=False)
    payload = {"endpoint": result.endpoint, "release": result.release, "answer": dict(result.answer)}
    return Answer(answer, payload, brief=answer)


def _body(call: Call, said: str) -> bytes:
    """The request's body: rows are put into {"instances": ...}. Raises MlshipError for what is not JSON."""
    try:
        raw = sys.stdin.buffer.read() if said == "-" else call.path(said).read_bytes()
    except OSError as error:
        raise MlshipError(
            f"{said} cannot be read: {error.strerror}", fix="name a JSON file with rows", code="no-data"
        ) from None
    try:
        rows = json.loads(raw)
    except ValueError as error:
        raise MlshipError(f"{said} is not JSON: {error}", fix='write {"instances": [...]}', code="not-json") from None
    if isinstance(rows, dict) and "instances" in rows:
        return raw
    return json.dumps({"instances": rows if isinstance(rows, list) else [rows]}).encode()
