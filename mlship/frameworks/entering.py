"""Which files of a project's folders may enter an image: never what mlship and other tools keep or write there themselves."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from mlship.disk import CACHE_TAG

_OF_TOOLS = {"__pycache__", "node_modules"}
_WRITTEN = {"mlship.yaml", "mlship.lock"}  # read by builds and written by them: an image that held them would change itself
_PAPERS = (".spdx.json", ".cdx.json")  # build --sbom
_RENDERED = {"apply", "eject"}  # all that render writes into its folder
_ARCHIVE_HEADS = (b"account.json\0", b"archive.json\0")  # build --archive: how its tar begins
_TAR_MAGIC = slice(257, 262)


def files_of(
    folder: Path, own: Collection[Path] = (), is_left_out: Callable[[str], bool] = lambda name: False
) -> Iterator[Path]:
    """Files and links below the folder, in no order that matters; hidden ones not. Links to folders are told and not followed.

    own: folders and files of mlship's, with their links resolved. is_left_out: of a name, what else does not count. Raises OSError.
    """
    waiting = [folder]
    while waiting:
        here = waiting.pop()
        entries = sorted(os.scandir(here), key=lambda entry: entry.name)
        if here != folder and _is_made({entry.name for entry in entries}):
            continue
        for entry in entries:
            if entry.name.startswith(".") or entry.name in _OF_TOOLS or is_left_out(entry.name):
                continue
            if own and Path(os.path.realpath(entry.path)) in own:
                continue
            if entry.is_dir(follow_symlinks=False):
                waiting.append(Path(entry.path))
            elif (entry.is_symlink() or entry.is_file()) and not _is_written(entry):
                yield Path(entry.path)


def is_broken(file: Path) -> bool:
    """A link that leads to no file: to nothing, to a folder, or in a circle."""
    return file.is_symlink() and not file.is_file()


def leads_out(path: Path, root: Path) -> bool:
    """With all links followed, the path is outside of the folder; a circle of links is not."""
    return not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(root))


def link_leads_out(file: Path, root: Path) -> bool:
    """As leads_out, for what `files_of` gave of a folder that does not lead out."""
    return file.is_symlink() and leads_out(file, root)


def _is_made(names: Collection[str]) -> bool:
    """A folder that holds these was made by a program, and is nobody's source."""
    return CACHE_TAG in names or "pyvenv.cfg" in names or names == _RENDERED


def _is_written(entry: os.DirEntry[str]) -> bool:
    """By mlship, into whatever folder it was told."""
    return (
        entry.name in _WRITTEN
        or entry.name.endswith(_PAPERS)
        or (entry.name.endswith(".tar") and _is_archive(Path(entry.path)))
    )


def _is_archive(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        head = file.read(512)
    return head[_TAR_MAGIC] == b"ustar" and head.startswith(_ARCHIVE_HEADS)
