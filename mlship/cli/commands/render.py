"""mlship render"""

from __future__ import annotations

from typing import Annotated

import typer

from mlship.cli.answer import Answer
from mlship.cli.call import Call
from mlship.cli.options import ImageOption


def command(
    call: Call,
    out: Annotated[str, typer.Option("--out", "-o", metavar="DIR", help="Where the two folders go.")] = "rendered",
    image: ImageOption = "",
    part: Annotated[
        str, typer.Option("--part", metavar="NAME", help="aws: foundation (applied once) or service (what each release is).")
    ] = "",
) -> Answer:
    """Write what deploy would send, and files for the vendor's own tool.

    apply/ is exactly what deploy sends; eject/ is for leaving mlship.
    """
    from mlship.cli.views.text import lines
    from mlship.flows import render

    result = render.render(call.context, call.where(), image=image, part=part, out=call.path(out))
    text = lines(*(f"  {file}" for file in result.files), f"Wrote {len(result.files)} files below {result.folder}")
    return Answer(text, {"folder": str(result.folder), "files": list(result.files)}, brief=str(result.folder))
