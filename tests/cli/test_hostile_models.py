"""Models that came as hostile archives: `check` and `build` refuse them in words, and nothing of them is left anywhere."""

from __future__ import annotations

import gzip
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from archive_parts import tar, zipped

MANIFEST = ("MAR-INF/MANIFEST.json", b'{"model": {"serializedFile": "weights.pt", "handler": "base_handler"}}')
OUT, ABSOLUTE = "holds a name that leads out of it, ../../out", "holds a name that is not relative, /"
LINK, DEVICE = "holds a link, ", "holds a device or pipe, "
OWN = {"home", "home/.in-use.lock", "home/cache", "home/cache/archives"}  # of mlship, and empty


def bomb() -> bytes:
    """66 MiB of nothing in a tar.gz of 70 KB: gzip's members follow each other, so one of a MiB is made once."""
    head = tar(MANIFEST, ("weights.pt", bytes(66 << 20)))[: 3 * 512]
    return gzip.compress(head) + gzip.compress(bytes(1 << 20)) * 66


# what is made for a name outside that nothing may stand at, and what is said of it
ARCHIVES: dict[str, tuple[Callable[[str], bytes], str]] = {
    "parent.mar": (lambda _: zipped(MANIFEST, ("../../out", b"x")), OUT),
    "absolute.mar": (lambda out: zipped(MANIFEST, (out, b"x")), ABSOLUTE),
    "link.mar": (lambda _: zipped(MANIFEST, mode=stat.S_IFLNK | 0o777), LINK),
    "device.mar": (lambda _: zipped(MANIFEST, mode=stat.S_IFCHR | 0o666), DEVICE),
    "bomb.mar": (lambda _: zipped(MANIFEST, ("weights.pt", bytes(66 << 20))), "is a bomb: "),
    "renamed.zip": (lambda _: zipped(MANIFEST, ("../../out", b"x")), OUT),
    "parent.tar.gz": (lambda _: tar(MANIFEST, ("../../out", b"x"), pack=gzip.compress), OUT),
    "absolute.tar.gz": (lambda out: tar(MANIFEST, (out, b"x"), pack=gzip.compress), ABSOLUTE),
    "link.tar.gz": (lambda out: tar(MANIFEST, ("a", f"link:{out}"), ("a", b"x"), pack=gzip.compress), LINK),
    "hard.tar.gz": (lambda _: tar(MANIFEST, ("a", "hard:/etc/passwd"), pack=gzip.compress), LINK),
    "device.tar.gz": (lambda _: tar(MANIFEST, ("sda", "blk"), pack=gzip.compress), DEVICE),
    "bomb.tar.gz": (lambda _: bomb(), "is a bomb: "),
    "other.zip": (lambda _: zipped(("../../out", b"x")), "is a zip archive with ../../out, not a model"),
    "other.tar": (lambda _: tar(("../../out", b"x")), "is a tar archive, not a model"),
}


@pytest.mark.parametrize("name", ARCHIVES)
def test_a_hostile_archive_is_refused_by_check_and_build_and_leaves_nothing(name, folder, mlship) -> None:
    made, words = ARCHIVES[name]
    outside = folder.parent / "out"
    (folder / name).write_bytes(made(str(outside)))
    (folder / "mlship.yaml").write_text(f"name: shop\nmodel: {name}\n")
    for command in ("check", "build"):
        said = mlship(command)
        assert (said.exit, said.stdout) == (2, "")
        assert f"error: {name} {words}" in said.stderr and "where  mlship.yaml:2:1 model.uri" in said.stderr
        assert "  fix    " in said.stderr and "Traceback" not in said.stderr
    assert left(folder.parent) - OWN == {"work", "work/mlship.yaml", f"work/{name}"}


def left(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}
