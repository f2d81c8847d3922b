"""uv, which resolves the packages of an image."""

from __future__ import annotations

from collections.abc import Iterator

from mlship.errors import Finding, MlshipError
from mlship.flows.doctor.ground import Ground
from mlship.image.packages.uv_program import find_uv
from mlship.runner import Command


def check(ground: Ground) -> Iterator[Finding]:
    try:
        program = find_uv()
        told = ground.context.runner.run(Command((program, "--version"), timeout_s=30))
    except MlshipError as error:
        yield Finding(error.what, error.where, error.fix, code="uv")
        return
    if told.ok:
        yield Finding(told.text.strip(), program, severity="note", code="uv")
    else:
        yield Finding(
            f"uv does not start: {' '.join(told.last_lines(2))}", program, "pip install --force-reinstall uv", code="uv"
        )
