"""mlship render"""

from __future__ import annotations

import shlex
from typing import Annotated

import typer

from mlship.cli.answer import Answer
from mlship.cli.call import Call
from mlship.cli.options import ImageOption
from mlship.errors import MlshipError


def command(
    call: Call,
    out: Annotated[str, typer.Option("--out", "-o", metavar="DIR", help="Where the folders go.")] = "rendered",
    image: ImageOption = "",
    part: Annotated[
        str, typer.Option("--part", metavar="NAME", help="aws: foundation (applied once) or service (what each release is).")
    ] = "",
) -> Answer:
    """Write what deploy would send, files for the vendor's own tool, or monitoring.

    apply/ is exactly what deploy sends; eject/ is for leaving mlship. With --target monitoring, no image is needed: monitoring/ is
    for Prometheus, Alertmanager and Grafana.
    """
    from mlship.cli.views.text import lines
    from mlship.config.load import MONITORING

    if call.common.target == MONITORING:
        return _monitoring(call, out, image)
    from mlship.flows import render

    result = render.render(call.context, call.where(), image=image, part=part, out=call.path(out))
    text = lines(*(f"  {file}" for file in result.files), f"Wrote {len(result.files)} files below {result.folder}")
    return Answer(text, {"folder": str(result.folder), "files": list(result.files)}, brief=str(result.folder))


def _monitoring(call: Call, out: str, image: str) -> Answer:
    from mlship.cli.views.text import lines
    from mlship.flows.monitoring.watching import render_monitoring

    if image:
        raise MlshipError("monitoring files are of the project, not of an image", "--image", "leave it out", code="usage")
    result = render_monitoring(call.context, call.where(), call.path(out))
    folder = result.folder / "monitoring"
    text = lines(
        *(f"  {file}" for file in result.files),
        *(f"  left out  {reason}" for reason in result.left_out),
        f"Wrote {len(result.files)} files below {result.folder}",
        f"Next: prometheus --config.file {shlex.quote(str(folder / 'prometheus.yml'))}",
    )
    payload = {"folder": str(result.folder), "files": list(result.files), "left_out": list(result.left_out)}
    return Answer(text, payload, brief=str(result.folder))
