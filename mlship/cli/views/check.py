"""check: the models, the environment and everything that is wrong."""

from __future__ import annotations

from mlship.cli.views.engines import engine_rows
from mlship.cli.views.findings import count_text, findings_text
from mlship.cli.views.models import model_line, own_code
from mlship.cli.views.text import columns, lines
from mlship.flows.results import Checked


def check_text(result: Checked, next_command: str) -> str:
    counts = count_text(result.findings)
    has_errors = any(finding.severity == "error" for finding in result.findings)
    return lines(
        *(lines(model_line(model), own_code(model)) for model in result.models),
        columns(
            [
                ["environment", f"{result.environment} (Python {result.python})"],
                *engine_rows({model.name: model.engine for model in result.models}),
            ]
        ),
        findings_text(result.findings),
        f"{result.project}: {counts}" if counts else f"{result.project} is ready to be built",
        "" if has_errors else f"Next: {next_command}",
    )
