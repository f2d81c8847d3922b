"""mlship init"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from mlship.cli import payloads
from mlship.cli.answer import Answer
from mlship.cli.call import Call, Common
from mlship.cli.options import Python
from mlship.errors import MlshipError


def command(
    call: Call,
    model: Annotated[
        str,
        typer.Option(
            "--model",
            "-m",
            metavar="PATH",
            help="The trained model: a file, a folder, or an address such as s3://BUCKET/KEY; left out: the only one in this folder.",
            show_default=False,
        ),
    ] = "",
    data: Annotated[
        str,
        typer.Option(
            "--data", "-d", metavar="FILE", help="CSV, JSON or Parquet; the sample is taken from it.", show_default=False
        ),
    ] = "",
    name: Annotated[
        str,
        typer.Option(
            "--name",
            metavar="NAME",
            help="Name of the project; left out: of the model file, or of the folder for names such as model.joblib.",
            show_default=False,
        ),
    ] = "",
    loader: Annotated[
        str,
        typer.Option(
            "--loader",
            metavar="MODULE:CLASS",
            help="A class of your own with load(path) and predict(rows), for files of no framework that mlship knows; of PyTorch's "
            "weights alone, the module that they belong to.",
            show_default=False,
        ),
    ] = "",
    trust: Annotated[
        list[str] | None,
        typer.Option(
            "--trust",
            metavar="NAME",
            help="A class or function of an installed package that the model file may load, such as package.module.Class; "
            "once for each. Those of your own folder are found.",
            show_default=False,
        ),
    ] = None,
    framework: Annotated[
        str,
        typer.Option(
            "--framework",
            metavar="NAME",
            help="Where the file alone does not say it: mlflow, for a python_function folder whose code you trust.",
            show_default=False,
        ),
    ] = "",
    python: Python = "",
    force: Annotated[bool, typer.Option("--force", help="Replace files that are there.")] = False,
) -> Answer:
    """Write mlship.yaml and a sample for a trained model.

    Framework, own code and the names to trust are proposed; the model file is only loaded in a locked-down process of its
    own. --target NAME, and --region of a cloud, are written into the file; left out: docker where an engine answers, else
    local.
    """
    if call.common.file or call.common.env:
        said = "-f" if call.common.file else "--env"
        raise MlshipError(
            f"{said} means nothing to init: it writes mlship.yaml into one folder", fix="name the folder with -C", code="usage"
        )
    from mlship.cli.views.init import init_text
    from mlship.config.addresses import is_address
    from mlship.flows import init

    result = init.init(
        call.context,
        model if not model or is_address(model) else call.path(model),
        name=name,
        data=call.path(data) if data else None,
        loader=loader,
        trust=tuple(trust or ()),
        framework=framework,
        python=python,
        force=force,
        target=call.common.target,
        region=call.common.region,
    )
    from_now_on = replace(call, common=Common(directory=call.common.directory))  # the file that was written says the rest
    text = init_text(result, call.context.cwd, from_now_on.hint("check"))
    return Answer(text, payloads.initialised(result), brief=str(result.file), is_verbatim=True)
