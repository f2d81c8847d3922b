"""mlship predict"""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

import typer

from mlship.cli.answer import Answer
from mlship.cli.call import Call
from mlship.cli.hosts import on_each_host
from mlship.cli.options import ProjectName
from mlship.errors import MlshipError
from mlship.flows.context import Where

OF_A_FILE = "only with --out"


def command(
    call: Call,
    name: ProjectName = "",
    data: Annotated[
        str,
        typer.Option(
            "--data",
            "-d",
            metavar="FILE",
            help='JSON ({"instances": [...]} or a list of rows) or CSV; - reads JSON from standard input. Left out: the sample. '
            "With --out: a .csv, .jsonl or .parquet file of any size, also s3://, gs://, az://, hf://.",
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
    out: Annotated[
        str,
        typer.Option(
            "--out",
            "-o",
            metavar="FILE",
            help="Answer every row of --data with the image, on this machine, into this .csv, .jsonl or .parquet file, also s3://. "
            "The same command goes on after it was stopped.",
            show_default=False,
        ),
    ] = "",
    image: Annotated[
        str,
        typer.Option(
            "--image",
            metavar="CONTENT",
            help=f"An image that was built before; the project as it is now when left out; {OF_A_FILE}.",
            show_default=False,
        ),
    ] = "",
    limit: Annotated[
        int | None,
        typer.Option("--limit", metavar="N", min=1, help=f"The first N rows alone; {OF_A_FILE}.", show_default=False),
    ] = None,
    chunk: Annotated[
        int | None,
        typer.Option(
            "--chunk",
            metavar="N",
            min=1,
            max=1_000_000,
            help=f"Rows in one call of the model; 10000 when left out; {OF_A_FILE}.",
            show_default=False,
        ),
    ] = None,
    header: Annotated[
        str,
        typer.Option(
            "--header",
            metavar="YES|NO",
            help=f"Whether the CSV has a header line; left out, its first line tells; {OF_A_FILE}.",
            show_default=False,
        ),
    ] = "",
    processes: Annotated[
        int | None,
        typer.Option(
            "--processes",
            metavar="N",
            min=1,
            max=256,
            help=f"How many load the model and answer; one a core when left out; {OF_A_FILE}.",
            show_default=False,
        ),
    ] = None,
) -> Answer:
    """Ask the live service, or answer a file of rows with the image. Prints one answer as JSON, or where many lie."""
    if out:
        return _file(
            call, name, data, out, model=model, image=image, limit=limit, chunk=chunk, header=header, processes=processes
        )
    for option, said in (("image", image), ("limit", limit), ("chunk", chunk), ("header", header), ("processes", processes)):
        if said:
            raise MlshipError(f"--{option} is for the rows of a file", fix="name the file of the answers: --out answers.csv")
    from mlship.flows import predict
    from mlship.flows.batching.wishes import refuse_unanswered

    refuse_unanswered(data)
    body = sys.stdin.buffer.read() if data == "-" else None
    file = call.path(data) if data and body is None else None

    def act(where: Where) -> Answer:
        result = predict.predict(call.context, where, data=file, body=body, model=model)
        answer = json.dumps(dict(result.answer), ensure_ascii=False)
        payload = {"endpoint": result.endpoint, "release": result.release, "answer": dict(result.answer)}
        return Answer(answer, payload, brief=answer, is_verbatim=True)

    return on_each_host(call, name, act)


def _file(call: Call, name: str, data: str, out: str, *, header: str, chunk: int | None, **said: Any) -> Answer:
    from mlship.cli.payloads import batch
    from mlship.cli.views.batch import batch_text
    from mlship.flows.batch import predict_file
    from mlship.flows.batching.wishes import ROWS, Wishes, address_of, form_of, header_from

    if data in ("", "-"):
        raise MlshipError("--out is for the rows of a file", fix="name it: --data rows.csv")
    source, into = address_of(data, "--data"), address_of(out, "--out")
    wishes = Wishes(
        data=Path(PurePosixPath(source).name) if source else call.path(data).resolve(),
        out=Path(PurePosixPath(into).name) if into else call.path(out).resolve(),
        form=form_of(data, "--data"),
        out_form=form_of(out, "--out"),
        data_address=source,
        out_address=into,
        header=header_from(header),
        chunk=chunk or ROWS,
        **{option: value for option, value in said.items() if value is not None},
    )
    options = {"data": data, "out": out, "header": header, "model": said["model"], "limit": said["limit"]}
    words = [
        *([name] if name else []),
        *(word for option, value in options.items() if value for word in (f"--{option}", str(value))),
    ]
    again = f"{call.hint('predict')} {shlex.join(words)}"
    result = predict_file(call.context, call.where(name), wishes, again)
    return Answer(batch_text(result), batch(result), brief=result.out)
