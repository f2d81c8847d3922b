"""Unpacked images: whole or absent, shared, and removed when nobody uses them."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlship.errors import MlshipError
from mlship.home import Home
from mlship.oci.image import Image
from mlship.oci.layer import Entry, write_layer
from mlship.oci.layout import Layout
from mlship.targets.local.rootfs import UnpackedImages

FILES = [
    Entry("usr/lib64/ld-linux-x86-64.so.2", mode=0o755, content=b"loader"),
    Entry("usr/bin/python3.11", mode=0o755, content=b"python"),
]
CONFIG = {"Entrypoint": ["/usr/bin/python3.11", "-m", "mlship.server"], "Env": ["MLSHIP_MANIFEST=/opt/m.json", "A=1=2"]}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def image(home: Home, text: str = "1") -> Image:
    layout = Layout(home.images)
    layer = write_layer(layout, [*FILES, Entry("opt/m.json", content=text.encode())], role="base", name="b", compression="gzip")
    return layout.write_image([layer], CONFIG, "linux/amd64")


def test_an_image_is_unpacked_once_and_can_be_served_without_the_layout(home: Home) -> None:
    unpacked, built = UnpackedImages(home), image(home)
    facts = unpacked.find(built.content)
    assert facts is not None and (facts.platform, facts.size) == ("linux/amd64", built.size)
    assert not unpacked.has(built.content)
    unpacked.prepare(built.content)
    unpacked.prepare(built.content)
    assert unpacked.has(built.content)
    home.images.rename(home.root / "elsewhere")
    assert unpacked.has(built.content)
    assert unpacked.find(built.content) is None
    unpacked.prepare(built.content)


def test_the_server_is_started_as_the_image_says_with_the_releases_environment_over_it(home: Home) -> None:
    unpacked, built = UnpackedImages(home), image(home)
    unpacked.prepare(built.content)
    command = unpacked.command(built.content, {"A": "2", "MLSHIP_RELEASE": "r1-000000"})
    root = home.local / "rootfs" / built.content.removeprefix("sha256:") / "root"
    assert command.argv[-3:] == (str(root / "usr/bin/python3.11"), "-m", "mlship.server")
    assert command.environ is not None
    assert command.environ["MLSHIP_MANIFEST"] == str(root / "opt/m.json")
    assert command.environ["A"] == "2"
    assert command.environ["MLSHIP_RELEASE"] == "r1-000000"


def test_half_an_unpacked_image_does_not_count(home: Home) -> None:
    unpacked, built = UnpackedImages(home), image(home)
    (home.local / "rootfs" / built.content.removeprefix("sha256:")).mkdir(parents=True)
    assert not unpacked.has(built.content)
    unpacked.prepare(built.content)
    assert unpacked.has(built.content)


def test_what_nobody_uses_is_removed_and_nothing_is_left_in_the_end(home: Home) -> None:
    unpacked, one, two = UnpackedImages(home), image(home), image(home, "2")
    for built in (one, two):
        unpacked.prepare(built.content)
    (home.local / "rootfs" / two.content.removeprefix("sha256:") / "root/usr").chmod(0o500)
    assert unpacked.collect(lambda: frozenset({one.content})) == (two.content,)
    assert unpacked.has(one.content) and not unpacked.has(two.content)
    assert unpacked.collect(frozenset) == (one.content,)
    assert not (home.local / "rootfs").exists()
    assert unpacked.collect(frozenset) == ()


def test_an_image_that_is_not_on_this_machine_is_named(home: Home) -> None:
    image(home)
    with pytest.raises(MlshipError, match=r"there is no image 'sha256:ab12.*' on this machine"):
        UnpackedImages(home).prepare("sha256:ab12" + "0" * 60)
