from __future__ import annotations

import json
import time
from pathlib import Path

from pytest import fixture, mark

from mlship.home import Home
from mlship.image.cache.prune import OldImage, Rules, old_images, removal, remove
from mlship.oci.layer import Entry, write_layer
from mlship.oci.layout import Layout
from mlship.oci.referrers import Document, attach

DAY = 86_400.0
NOW = 100 * DAY


def image(content: str, days: int, project: str = "shop", platform: str = "linux/amd64") -> OldImage:
    return OldImage(project, platform, content, NOW - days * DAY, {"digest": content})


@mark.parametrize(
    ("rules", "going"),
    [
        (Rules(1, 0, 0), ["a", "b"]),
        (Rules(2, 0, 0), ["a"]),
        (Rules(9, 0, 0), []),
        (Rules(1, 30 * DAY, 0), ["a"]),
        (Rules(1, 90 * DAY, 0), []),
    ],
)
def test_an_image_goes_when_it_is_old_and_enough_newer_ones_are_there(rules, going):
    images = (image("a", 40), image("b", 20), image("c", 1), image("d", 50, "other"), image("e", 50, platform="linux/arm64"))
    assert [old.content for old in old_images(images, rules, (), NOW)] == going


def test_what_is_deployed_stays_however_old(tmp_path):
    images = (image("a", 40), image("b", 20), image("c", 1))
    assert [old.content for old in old_images(images, Rules(1, 0, 0), {"a"}, NOW)] == ["b"]


class Store:
    """A home with two images of a project that share a layer, and papers of both."""

    def __init__(self, folder: Path) -> None:
        self.home = Home(folder)
        self.layout = Layout(self.home.images)
        shared = self.layer("base")
        self.images = [self._image(shared, name) for name in ("one", "two")]

    def layer(self, text: str):
        return write_layer(self.layout, [Entry("file", content=text.encode())], role="code", name=text)

    def _image(self, shared, name):
        made = self.layout.write_image([shared, self.layer(name)], {"Labels": {"mlship.project": "shop"}}, "linux/amd64")
        attach(self.layout, made.manifest, [Document(f"{name}.json", "application/json", name.encode())])
        return made

    def files(self) -> set[str]:
        return {str(path.relative_to(self.home.root)) for path in self.home.root.rglob("*") if path.is_file()}


@fixture
def store(tmp_path):
    return Store(tmp_path)


def test_an_old_image_goes_with_all_that_is_its_alone(store):
    old, new = store.images
    remove(store.home, removal(store.home, Rules(1, 0, 0), (), time.time()))
    assert [image.content for image in store.layout.images("shop")] == [new.content]
    left = {path.name for path in store.layout.blobs.iterdir()}
    assert not left & {old.manifest.digest[7:], old.layers[1].blob.digest[7:]}
    assert {layer.blob.digest[7:] for layer in new.layers} <= left
    again = removal(store.home, Rules(1, 0, 0), (), time.time())
    assert (again.images, again.paths) == ((), ())
    assert len(store.layout.listed()) == 2  # the image and its papers


def test_what_a_load_told_goes_with_its_image(store):
    old, new = (store.home.images / "benches" / f"{image.content.removeprefix('sha256:')}.json" for image in store.images)
    old.parent.mkdir()
    for file in (old, new):
        file.write_text("{}")
    remove(store.home, removal(store.home, Rules(1, 0, 0), (), time.time()))
    assert not old.exists() and new.exists()


def test_layers_of_a_build_that_failed_are_of_use_for_a_while(store):
    made = store.layer("half a build")
    key = store.home.cache / "layers" / f"{'a' * 64}.json"
    key.parent.mkdir(parents=True)
    key.write_text(json.dumps({"blob": {"digest": made.blob.digest}}))
    kept = removal(store.home, Rules(9, 0, DAY), (), time.time())
    assert kept.paths == ()
    gone = removal(store.home, Rules(9, 0, DAY), (), time.time() + 2 * DAY)
    assert set(gone.paths) == {key, store.layout.path(made.blob.digest)}


def test_downloads_go_when_no_build_used_them_for_long(store):
    for name in ("debs/one", "packages/two/file", "built/three/file", "packages/.lock"):
        path = store.home.cache / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (store.home.cache / "packages/two").chmod(0o500)
    what = removal(store.home, Rules(9, 0, DAY), (), time.time() + 2 * DAY)
    remove(store.home, what)
    left = {name for name in store.files() if name.startswith("cache/")}
    assert left == {"cache/built/three/file", "cache/packages/.lock"}  # wheels that were built here, nobody else has
