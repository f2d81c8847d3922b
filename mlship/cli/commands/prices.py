"""mlship prices"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated

import typer

from mlship.cli import payloads
from mlship.cli.answer import Answer
from mlship.cli.call import Call
from mlship.errors import MlshipError


class Act(StrEnum):
    """What is done with the prices."""

    coverage = "coverage"
    take = "import"


class Cloud(StrEnum):
    """Whose prices."""

    aws = "aws"
    gcp = "gcp"
    azure = "azure"


def command(
    call: Call,
    act: Annotated[Act, typer.Argument(metavar="[ACT]", help="coverage or import.", show_default=False)] = Act.coverage,
    folder: Annotated[str, typer.Argument(metavar="[FOLDER]", help="For import: has instances.csv, managed.csv.")] = "",
    cloud: Annotated[Cloud | None, typer.Option("--cloud", help="coverage: of one cloud.", show_default=False)] = None,
    as_of: Annotated[
        str, typer.Option("--as-of", metavar="DAY", help="import: the day of the tables.", show_default=False)
    ] = "",
    out: Annotated[str, typer.Option("--out", metavar="FILE", help="import: write the book there.", show_default=False)] = "",
) -> Answer:
    """Which prices mlship knows, and of which day: coverage, import FOLDER.

    `prices coverage` shows for each region how many types of machines have a price, and for each service where it has one and what
    of it is unknown. import reads your own tables over the shipped book: negotiated rates, regions that it lacks.
    """
    return _taken(call, folder, as_of, out) if act is Act.take else _covered(call, folder, cloud)


def _covered(call: Call, folder: str, cloud: Cloud | None) -> Answer:
    if folder:
        raise MlshipError("prices coverage takes no folder", fix=call.hint("prices coverage"), code="usage")
    from mlship.cli.views.prices import coverage_text
    from mlship.flows import prices

    found = prices.covered(call.context, cloud.value if cloud else "")
    return Answer(coverage_text(found), payloads.price_coverage(found), brief=found.as_of)


def _taken(call: Call, folder: str, as_of: str, out: str) -> Answer:
    if not folder:
        raise MlshipError(
            "prices import needs a folder", fix=call.hint("prices import tables --as-of 2026-11-21"), code="usage"
        )
    if not re.fullmatch(r"\d{4}-\d\d-\d\d", as_of):
        fix = call.hint(f"prices import {folder} --as-of 2026-11-21")
        raise MlshipError(
            f"--as-of {as_of or 'is missing'}: the day of the tables has the form 2026-11-21", fix=fix, code="usage"
        )
    from mlship.cli.views.prices import imported_text
    from mlship.flows import prices

    done = prices.import_tables(call.context, call.path(folder), as_of, call.path(out) if out else None)
    return Answer(imported_text(done), payloads.prices_imported(done), brief=str(done.path))
