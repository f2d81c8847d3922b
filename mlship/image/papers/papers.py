"""The papers of an image in a layout: made, attached to it, and written where somebody wants them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from mlship.disk import make_folder, write_atomic
from mlship.image.papers import cyclonedx, spdx
from mlship.image.papers.facts import Facts
from mlship.image.papers.reading import Sums, read_facts
from mlship.image.papers.stamp import Stamp
from mlship.oci.image import Image
from mlship.oci.layout import Layout
from mlship.oci.referrers import Document, attach


def documents(facts: Facts, stamp: Stamp) -> tuple[Document, ...]:
    """SPDX, then CycloneDX. Pure; the same facts and stamp give the same bytes."""
    return (
        Document(f"{facts.project}.spdx.json", spdx.MEDIA_TYPE, spdx.spdx(facts, stamp)),
        Document(f"{facts.project}.cdx.json", cyclonedx.MEDIA_TYPE, cyclonedx.cyclonedx(facts, stamp)),
    )


def attach_papers(layout: Layout, image: Image, stamp: Stamp, sums: Sums | None = None) -> tuple[Document, ...]:
    """Reads the image, and lays its papers into the layout as its referrers. Raises MlshipError where it is damaged."""
    made = documents(read_facts(layout, image, sums), stamp)
    attach(layout, image.manifest, made)
    return made


def write_papers(papers: tuple[Document, ...], folder: Path) -> tuple[Path, ...]:
    """The files' paths. Raises MlshipError where the folder cannot be written."""
    make_folder(folder, "name another folder with --sbom")
    paths = tuple(folder / paper.title for paper in papers)
    for path, paper in zip(paths, papers, strict=True):
        write_atomic(path, paper.content)
    return paths


def named_for(papers: tuple[Document, ...], platform: str) -> tuple[Document, ...]:
    """As files beside those of other platforms: `churn-linux-arm64.spdx.json`. Pure."""
    told = platform.replace("/", "-")
    return tuple(replace(paper, title="{0}-{2}.{1}".format(*paper.title.split(".", 1), told)) for paper in papers)
