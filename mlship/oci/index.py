"""One name for the images of a build that has several platforms: an OCI index in the layout, the same bytes that a push sends."""

from __future__ import annotations

from collections.abc import Sequence

from mlship.oci.image import Descriptor, Image
from mlship.oci.layout import INDEX_TYPE, Layout, short
from mlship.oci.registry.variant import variant


def index_of(layout: Layout, images: Sequence[Image]) -> bytes:
    """In the order of their platforms' names, so that every machine makes the same. Writes nothing."""
    made = variant(layout, sorted(images, key=lambda image: image.platform), "oci-index").index
    assert made is not None, "the kind has an index"
    return made.content


def write_index(layout: Layout, project: str, images: Sequence[Image]) -> Descriptor:
    """Puts the index into the layout and lists it as `<project>-<12 digits of its digest>`; programs that read layouts choose
    the platform through it."""
    blob = layout.put_blob(index_of(layout, images), INDEX_TYPE)
    layout.name(f"{project}-{short(blob.digest)}", blob)
    return blob
