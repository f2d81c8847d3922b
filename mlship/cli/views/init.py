"""init: what was written, what was learned about the model, what is next."""

from __future__ import annotations

from pathlib import Path

from mlship.cli.views.findings import findings_text
from mlship.cli.views.models import model_line, own_code
from mlship.cli.views.text import lines
from mlship.flows.results import Initialised


def init_text(result: Initialised, folder: Path, next_command: str) -> str:
    """folder: paths below it are shown relative to it."""
    written = ", ".join(_short(path, folder) for path in result.written)
    kept = ", ".join(_short(path, folder) for path in result.kept)
    return lines(
        model_line(result.model),
        own_code(result.model),
        findings_text(result.findings),
        f"  kept as they are: {kept}; --force writes them anew" if kept else "",
        f"Wrote {written}" if written else "Nothing to write: everything is there",
        f"Next: {next_command}",
    )


def _short(path: Path, folder: Path) -> str:
    return str(path.relative_to(folder)) if path.is_relative_to(folder) else str(path)
