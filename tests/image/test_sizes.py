"""What makes an image big: parts by owner, from the layers themselves, read once."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import tarfile
from pathlib import Path

import pytest

from mlship.home import Home
from mlship.image.sizes import Part, largest, layer_parts
from mlship.oci.image import Layer
from mlship.oci.layer import MEDIA_TYPES, Entry, write_layer
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


def test_a_base_of_others_is_told_apart_the_same_way_packed_and_unpacked(tmp_path: Path):
    home, layout = Home(tmp_path / "home"), Layout(tmp_path / "images")
    packages = [f"p{number:02}" for number in range(20)]
    lists = {f"{STATUS}/{name}.md5sums": b"0" * 32 + f"  usr/{name}\n{'0' * 32}  usr/all\n".encode() for name in packages}
    files = {**lists, "usr/all": b"a" * 700, **{f"usr/{name}": b"x" * 600 for name in packages}, "usr/\udcff": b"y" * 600}
    base = of_others(layout, files, {"usr/same": "usr/all", "usr/p99": "usr/p05"})
    packed = layer_parts(layout, (base,), home, {})
    shutil.rmtree(home.cache)
    unpack_layer(layout, base, home)
    assert layer_parts(layout, (base,), home, {}) == packed
    assert [part.name for part in packed if part.size == 2 * (512 + 1024)] == ["p19"]  # of those that want usr/all the last


def test_a_cache_that_is_deleted_meanwhile_is_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    home, layout = Home(tmp_path / "home"), Layout(tmp_path / "images")
    light = write_layer(layout, LIGHT, role="packages", name="packages")
    packed = layer_parts(layout, (light,), home, {})
    shutil.rmtree(home.cache)
    keep_unpacked(home, light, LIGHT)
    walk = os.walk

    def deleted_behind(folder, **how):
        for found in walk(folder, **how):
            yield found
            shutil.rmtree(folder, ignore_errors=True)

    monkeypatch.setattr(os, "walk", deleted_behind)
    assert layer_parts(layout, (light,), home, {}) == packed


def of_others(layout: Layout, files: dict[str, bytes], links: dict[str, str]) -> Layer:
    """A layer as other builders write it. links: hard ones."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for path, content in files.items():
            member = tarfile.TarInfo(f"./{path}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        for path, target in links.items():
            member = tarfile.TarInfo(f"./{path}")
            member.type, member.linkname = tarfile.LNKTYPE, f"./{target}"
            archive.addfile(member)
    tar = stream.getvalue()
    digest = f"sha256:{hashlib.sha256(tar).hexdigest()}"
    return Layer(layout.put_blob(tar, MEDIA_TYPES["none"]), digest, len(tar), "base", "theirs")


def test_never_one_alone_is_called_others():
    parts = tuple(Part("python", name, "", 1) for name in "abcd")
    assert largest(parts, 4) == (parts, ())
    assert largest(parts, 3) == (parts[:2], parts[2:])
