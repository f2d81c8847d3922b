"""build, of several platforms: a row for each image, what they share, and what only a deployment can prove."""

from __future__ import annotations

from mlship.cli.views.text import short_content
from mlship.flows.building.results import Built, ImageReport
from mlship.units import size_text


def platform_rows(result: Built) -> list[list[str]]:
    """`linux/arm64   content a23edefda418   252 MB (81 MB compressed), 6 layers new, shares 3 (1.5 MB)`; none for one platform."""
    several = [[image.platform, _summary(image, result.images[0])] for image in result.images] if len(result.images) > 1 else []
    return several + [["at deploy", f"{image.platform}: {line}"] for image in result.images for line in image.to_run_at_deploy]


def for_platforms(result: Built) -> str:
    """` for linux/amd64 and linux/arm64`; empty for one platform."""
    names = [image.platform for image in result.images]
    return f" for {', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else ""


def new_layers(result: Built) -> int:
    """Each once, whichever platforms have it."""
    others = {layer.digest for image in result.images[1:] for layer in image.layers if layer.is_new}
    return sum(layer.is_new for layer in result.layers) + len(others - {layer.digest for layer in result.layers})


def _summary(image: ImageReport, first: ImageReport) -> str:
    said = f"content {short_content(image.content)}   {size_text(image.size)} ({size_text(image.compressed)} compressed)"
    new = sum(layer.is_new for layer in image.layers)
    told = [f"{new} layer{'s' if new != 1 else ''} new"] if new else []
    if image is not first:
        theirs = {layer.digest for layer in first.layers}
        shared = [layer for layer in image.layers if layer.digest in theirs]
        told += [f"shares {len(shared)} ({size_text(sum(layer.compressed for layer in shared))})"] if shared else []
    return ", ".join((said, *told))
