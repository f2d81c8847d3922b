"""mlship init"""

from __future__ import annotations

from typing import Annotated

import typer

from mlship.cli import payloads
from mlship.cli.answer import Answer
from mlship.cli.call import Call
from mlship.cli.options import Python
from mlship.errors import MlshipError


def command(
    call: Call,
    model: Annotated[
        str, typer.Option("--model", "-m", metavar="PATH", help="The trained model file.", show_default=False)
    ] = "",
    data: Annotated[
        str,
        typer.Option(
            "--data", "-d", metavar="FILE", help="CSV, JSON or Parquet; the sample is taken from it.", show_default=False
        ),
    ] = "",
    name: Annotated[
        str, typer.Option("--name", help="Name of the project; from the folder when left out.", show_default=False)
    ] = "",
    python: Python = "",
    force: Annotated[bool, typer.Option("--force", help="Replace files that are there.")] = False,
) -> Answer:
    """Write mlship.yaml and a sample for a trained model.

    The model file is read, never unpickled here: framework, own code and the names that it needs are proposed.
    """
    if not model:
        raise MlshipError("which model?", fix="mlship init --model model.joblib", code="usage")
    from mlship.cli.views.init import init_text
    from mlship.flows import init

    result = init.init(
        call.context,
        call.path(model),
        name=name,
        data=call.path(data) if data else None,
        python=python,
        force=force,
        target=call.common.target,
    )
    text = init_text(result, call.context.cwd, call.hint("check"))
    return Answer(text, payloads.initialised(result), brief=str(result.file))
