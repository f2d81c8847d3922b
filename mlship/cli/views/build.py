"""build: what the image consists of, what is new in it, what was checked."""

from __future__ import annotations

from mlship.cli.views.engines import engine_rows
from mlship.cli.views.explained import explained_text
from mlship.cli.views.findings import findings_text
from mlship.cli.views.models import model_line, own_code
from mlship.cli.views.platforms import for_platforms, new_layers, platform_rows
from mlship.cli.views.pushed import pushed_text
from mlship.cli.views.sizes import largest_rows
from mlship.cli.views.text import columns, lines, seconds_text, short_content
from mlship.flows.building.results import Built
from mlship.units import size_text


def build_text(result: Built, next_command: str) -> str:
    if result.unchanged:
        return lines(
            f"Nothing to do: {result.project} is built{for_platforms(result)}  content {short_content(result.content)}  "
            f"{sizes(result)}, {seconds_text(result.seconds)}",
            columns(platform_rows(result)),
            findings_text(result.findings),
            explained_text(result),
            papers_text(result),
            archive_text(result),
            pushes_text(result),
            f"Next: {next_command}",
        )
    new = new_layers(result)
    return lines(
        *(lines(model_line(model), own_code(model)) for model in result.models),
        columns(_rows(result)),
        findings_text(result.findings),
        explained_text(result),
        f"Built {result.project}{for_platforms(result)}  content {short_content(result.content)}  {sizes(result)}, "
        f"{new} layer{'s' if new != 1 else ''} new, {seconds_text(result.seconds)}",
        papers_text(result),
        archive_text(result),
        pushes_text(result),
        f"Next: {next_command}",
    )


def pushes_text(result: Built) -> str:
    return lines(*(lines(findings_text(report.findings), pushed_text(report)) for report in result.pushed))


def papers_text(result: Built) -> str:
    """`Wrote sbom/churn.spdx.json and sbom/churn.cdx.json`; empty where none were asked for."""
    return f"Wrote {' and '.join(map(str, result.papers))}" if result.papers else ""


def archive_text(result: Built) -> str:
    """`Wrote churn.tar, 98 MB: mlship deploy --archive churn.tar, on a machine without a network`."""
    if result.archive is None:
        return ""
    path = result.archive.path
    return (
        f"Wrote {path}, {size_text(result.archive.size)}: mlship deploy --archive {path.name}, on a machine without a network"
    )


def sizes(result: Built) -> str:
    """`238 MB (68 MB compressed)`."""
    return f"{size_text(result.size)} ({size_text(result.compressed)} compressed)"


def _rows(result: Built) -> list[list[str]]:
    rows = [
        ["environment", result.environment],
        ["base", result.base],
        ["packages", f"{result.packages} locked"],
    ]
    rows += [["layer", layer.role if layer.name in ("", layer.role) else f"{layer.role} {layer.name}", _moved(layer.size, layer.compressed)]
             for layer in result.layers if layer.is_new]  # fmt: skip
    rows += [["reused", ", ".join(layer.name or layer.role for layer in result.layers if not layer.is_new)]]
    rows += largest_rows(result)
    rows += [["checks", "   ".join(result.checks)], *engine_rows({model.name: model.engine for model in result.models})]
    rows += platform_rows(result)
    return [row for row in rows if row[1]]


def _moved(size: int, compressed: int) -> str:
    return f"{size_text(size)} -> {size_text(compressed)}"
