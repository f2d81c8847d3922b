"""A layer's files as they lie on the disk already when it is written: nobody has to unpack what was just packed."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from mlship.disk import disk_errors, locked, scratch_folder
from mlship.home import Home
from mlship.oci.image import Layer
from mlship.oci.layer import Entry, complete
from mlship.oci.rootfs import contained, link_or_copy, unpacked_folder


def keep_unpacked(home: Home, layer: Layer, entries: Sequence[Entry]) -> None:
    """The folder that `rootfs.unpack_layer` would make of the layer, from the entries that it was written from.

    Files below the home are linked, and read-only from then on, like all that is unpacked; others are copied: they are somebody
    else's. Nothing happens where the layer is unpacked already.
    """
    target = unpacked_folder(home, layer)
    with locked(target.with_name(f".{target.name}.lock")):
        if target.is_dir():
            return
        with disk_errors(home.root), scratch_folder(target.parent) as folder:
            folder.chmod(0o755)
            for entry in complete(entries):
                _place(entry, folder, home)
            folder.replace(target)


def _place(entry: Entry, folder: Path, home: Home) -> None:
    """Parents come first, as `complete` orders them; no entry lies behind a link."""
    target = folder / entry.path
    if entry.folder:
        target.mkdir()
    elif entry.link:
        target.symlink_to(contained(PurePosixPath(entry.path), entry.link))
    else:
        _file(entry, target, home)
        target.chmod(0o555 if entry.mode & 0o111 else 0o444)


def _file(entry: Entry, target: Path, home: Home) -> None:
    if entry.source is None:
        target.write_bytes(entry.content)
    elif entry.source.is_relative_to(home.cache) and not entry.source.is_symlink():
        link_or_copy(entry.source, target)
    else:
        shutil.copyfile(entry.source, target)
