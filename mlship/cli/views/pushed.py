"""build --push: what moved, and what to deploy from."""

from __future__ import annotations

from mlship.cli.views.text import lines, seconds_text
from mlship.flows.building.results import PushReport
from mlship.units import size_text


def pushed_text(report: PushReport) -> str:
    """`Pushed r.io/ml/churn:1.4  3.1 MB moved: 2 layers sent, 9 there already, 0.4 s`, the digest, and the papers."""
    papers = f"  papers {', '.join(report.papers)}" if report.papers else ""
    return lines(
        f"Pushed {report.reference}  {size_text(report.moved)} moved: {_layers(report)}, {seconds_text(report.seconds)}",
        f"  as {report.deploy}",
        papers,
    )


def _layers(report: PushReport) -> str:
    """`1 layer sent, 2 mounted, 9 there already`; nothing stands where it would be 0, but that all is there."""
    counts = {how: sum(layer.how == how for layer in report.layers) for how in ("sent", "mounted", "present")}
    if counts["present"] == len(report.layers):
        return f"all {len(report.layers)} layers there already"
    words = [(counts["sent"], "sent"), (counts["mounted"], "mounted"), (counts["present"], "there already")]
    said = [(count, word) for count, word in words if count]
    first, *others = [f"{count} {word}" for count, word in said]
    noun = "layer" if said[0][0] == 1 else "layers"
    return ", ".join((first.replace(" ", f" {noun} ", 1), *others))
