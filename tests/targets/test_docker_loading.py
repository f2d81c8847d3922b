"""What goes to an engine, and what does not, with an engine in memory."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from mlship.oci.image import CONTENT_LABEL, Image
from mlship.oci.layer import Entry, write_layer
from mlship.oci.layout import Layout
from mlship.targets.docker.engine import EngineFacts, EngineImage, EngineRefused, Unreachable
from mlship.targets.docker.loading import Sendings, load, shared_layers
from mlship.targets.docker.seen import facts_seen


class Engine:
    """has: images that it shows. really: how many of the lowest layers it has. taken: names of the members of each load."""

    address = "unix:///memory"

    def __init__(self, has: Iterable[EngineImage] = (), really: int = 0, whole_images: bool = False) -> None:
        self.has, self.really = list(has), really
        self.whole_images = whole_images
        self.taken: list[set[str]] = []

    def facts(self) -> EngineFacts:
        return EngineFacts("20.10", "linux", "x86_64", 2, 0, whole_images=self.whole_images)

    def images(self, labels: Iterable[str]) -> list[EngineImage]:
        return [image for image in self.has if all(label in image.labels for label in labels)]

    def load(self, archive: Callable[[], Iterator[bytes]]) -> None:
        with tarfile.open(fileobj=io.BytesIO(b"".join(archive()))) as files:
            self.taken.append({member.name for member in files if member.isfile()})
        if LAYERS - sum(member in self.taken[-1] for member in self.layers) > self.really:
            raise EngineRefused("no such file or directory", 500)

    layers: tuple[str, ...] = ()


LAYERS = 3


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path)


@pytest.fixture
def image(layout: Layout) -> Image:
    layers = [write_layer(layout, [Entry(f"{n}", content=b"%d" % n * 5000)], role="model", name=str(n)) for n in range(LAYERS)]
    return layout.write_image(layers, {}, "linux/amd64")


def at(image: Image, count: int, labels: Iterable[str] = (CONTENT_LABEL,)) -> EngineImage:
    """One whose lowest layers are the same."""
    layers = (*(layer.diff_id for layer in image.layers[:count]), "sha256:other")
    return EngineImage("id", (), dict.fromkeys(labels, "x"), layers=layers)


def loaded(engine: Engine, layout: Layout, image: Image) -> tuple[list[int], Sendings]:
    """How many layers each load carried."""
    engine.layers = tuple(f"blobs/sha256/{layer.blob.digest[7:]}" for layer in image.layers)
    sendings = Sendings()
    load(engine, layout, image, sendings)  # type: ignore[arg-type]
    return [sum(name in members for name in engine.layers) for members in engine.taken], sendings


def test_layers_that_the_engine_has_stay_here(layout: Layout, image: Image) -> None:
    carried, sendings = loaded(Engine([at(image, 1), at(image, 2)], really=2), layout, image)
    assert carried == [1]
    (note,) = sendings.notes()
    assert note.startswith("sent ") and "which has the other" in note
    assert sendings.notes() == ()


def test_an_engine_that_has_nothing_gets_all(layout: Layout, image: Image) -> None:
    carried, sendings = loaded(Engine(), layout, image)
    assert carried == [3]
    assert "other" not in sendings.notes()[0]


def test_layers_of_other_peoples_images_count_where_ours_have_none(layout: Layout, image: Image) -> None:
    assert loaded(Engine([at(image, 1, labels=())], really=1), layout, image)[0] == [2]


def test_an_engine_that_has_less_than_it_shows_gets_all(layout: Layout, image: Image) -> None:
    carried, sendings = loaded(Engine([at(image, 2)], really=0), layout, image)
    assert carried == [1, 3]
    assert "other" not in sendings.notes()[0]


def test_an_engine_that_takes_only_whole_images_gets_all(layout: Layout, image: Image) -> None:
    assert loaded(Engine([at(image, 2)], really=2, whole_images=True), layout, image)[0] == [3]


def test_a_lost_engine_is_no_refusal(layout: Layout, image: Image) -> None:
    class Lost(Engine):
        def load(self, archive: Callable[[], Iterator[bytes]]) -> None:
            raise Unreachable("unix:///memory", "gone")

    with pytest.raises(Unreachable):
        loaded(Lost([at(image, 2)], really=2), layout, image)


def test_only_layers_from_the_lowest_one_up_are_shared() -> None:
    image = EngineImage("id", (), {}, layers=("a", "x", "c"))
    assert shared_layers(("a", "b", "c"), [image, EngineImage("id", (), {}, layers=("b", "c"))]) == 1
    assert shared_layers(("a",), []) == 0


@pytest.mark.parametrize(
    ("status", "whole"),
    [([["driver-type", "io.containerd.snapshotter.v1"]], True), ([["Backing Filesystem", "extfs"]], False), (None, False)],
)
def test_an_engine_with_the_containerd_image_store_takes_whole_images(status: object, whole: bool) -> None:
    assert facts_seen({"DriverStatus": status}, []).whole_images is whole
