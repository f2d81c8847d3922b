"""What makes an image big: parts by owner, from the layers themselves, read once."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from mlship.home import Home
from mlship.image.sizes import Part, largest, layer_parts
from mlship.oci.layer import Entry, write_layer
from mlship.oci.layout import Layout
from mlship.oci.rootfs import unpack_layer
from mlship.oci.unpacked import keep_unpacked

STATUS = "var/lib/dpkg/status.d"
BASE = [
    Entry(f"{STATUS}/libc6", content=b"Package: libc6\nVersion: 2.36-9\n"),
    Entry(f"{STATUS}/libc6.md5sums", content=b"0" * 32 + b"  usr/lib/libc.so.6\n"),
    Entry("usr/lib/libc.so.6", content=b"c" * 5000),
    Entry("etc/passwd", content=b"root"),
]
LIGHT = [
    Entry("opt/mlship/env/six.py", content=b"s" * 3000),
    Entry("opt/mlship/env/__pycache__/six.cpython-311.pyc", content=b"p" * 2000),
    Entry("opt/mlship/env/six-1.17.0.dist-info/RECORD", content=b"six.py,,\nsix-1.17.0.dist-info/RECORD,,\n"),
]


@pytest.mark.parametrize("lie", ["packed", "as they were packed", "as they are unpacked"])
def test_a_layer_of_several_packages_is_told_apart_by_what_it_holds(tmp_path: Path, lie: str):
    home = Home(tmp_path / "home")
    layout = Layout(tmp_path / "images")
    base = write_layer(layout, BASE, role="base", name="bookworm")
    light = write_layer(layout, LIGHT, role="packages", name="packages")
    heavy = write_layer(layout, [Entry("opt/mlship/env/scipy.so", content=b"x" * 9000)], role="packages", name="scipy")
    layers = (base, light, heavy)
    for layer, entries in ((base, BASE), (light, LIGHT)):
        if lie == "as they were packed":
            keep_unpacked(home, layer, entries)
        elif lie == "as they are unpacked":
            unpack_layer(layout, layer, home)
    if lie != "packed":
        layout.path(base.blob.digest).unlink()
    parts = layer_parts(layout, layers, home, {"scipy": "1.17.0"})
    assert {(part.kind, part.name, part.version) for part in parts} == {
        ("python", "scipy", "1.17.0"),
        ("system", "libc6", "2.36-9"),
        ("python", "six", "1.17.0"),
        ("base", "bookworm", ""),
        ("packages", "packages", ""),
    }
    assert sum(part.size for part in parts) == sum(layer.size for layer in layers)
    assert next(part.size for part in parts if part.name == "six") == 3072 + 2048 + 512 + 3 * 512  # with the tar's headers
    layout.path(base.blob.digest).unlink(missing_ok=True)
    shutil.rmtree(home.cache / "unpacked", ignore_errors=True)
    assert layer_parts(layout, layers, home, {"scipy": "1.17.0"}) == parts  # known: nothing is read again


def test_never_one_alone_is_called_others():
    parts = tuple(Part("python", name, "", 1) for name in "abcd")
    assert largest(parts, 4) == (parts, ())
    assert largest(parts, 3) == (parts[:2], parts[2:])
