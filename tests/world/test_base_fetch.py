"""A base image is asked for once: resolved, pinned, and found again without its registry."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from foreign_base import push_files
from made_base import workplace
from registry_parts import real_registry

from mlship.errors import MlshipError
from mlship.image.base_image.fetch import locked_base, newest_base
from mlship.oci.registry.holdings import Holdings

pytestmark = pytest.mark.world

FILES = {
    "usr/bin/python3.11": b"\x7fELF\x02\x01" + bytes(12) + b"\x3e\x00" + bytes(60),
    "usr/lib/python3.11/os.py": b"",
    "usr/lib/libc.so.6": b"GNU C Library (made) stable release version 2.36.",
}


def test_a_base_is_pinned_and_found_again_without_its_registry(tmp_path: Path) -> None:
    place = workplace(tmp_path / "home")
    with real_registry(tmp_path / "registry") as port:
        name = f"127.0.0.1:{port}/team/python:3.11"
        push_files(tmp_path / "made", name, FILES)
        found = newest_base(place, name, "linux/amd64")
        locked = found.locked("3.11")
        push_files(tmp_path / "moved", name, {**FILES, "new": b"x"})
        moved = newest_base(place, name, "linux/amd64")
        assert moved.digest != found.digest
        assert locked_base(workplace(tmp_path / "other"), locked, "linux/amd64") == found, "by digest, whatever the tag means"
        holders = Holdings(place.home.registries).holders(f"127.0.0.1:{port}")
        assert holders(found.layers[0].blob.digest) == ("team/python",)
        gone = replace(locked, digest="sha256:" + "0" * 64)
        with pytest.raises(MlshipError, match="has the locked image sha256:000000000000 no more"):
            locked_base(place, gone, "linux/amd64")
        with pytest.raises(MlshipError, match=r"other layers, or another Python or C library, than mlship\.lock says"):
            locked_base(place, replace(locked, glibc="2.40"), "linux/amd64")
    assert locked_base(place, locked, "linux/amd64") == found
    assert newest_base(place, f"{name.rpartition(':')[0]}@{found.digest}", "linux/amd64").layers == found.layers
    place.layout.path(found.layers[0].blob.digest).unlink()
    with pytest.raises(MlshipError, match=r"mlship\.lock  the base cannot be had: the registry .* does not answer") as raised:
        locked_base(place, locked, "linux/amd64")
    assert raised.value.exit == 13
