"""No archive writes outside of its folder, or leaves anything when it is refused."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import stat
import struct
import tarfile
import zipfile
from pathlib import Path

import pytest
from archive_parts import tar, zipped

from mlship.archives import Limits, unpack
from mlship.errors import MlshipError

SMALL = Limits(members=50, size=4_000_000, ratio=50, free=100_000, listing=10_000)


def encrypted() -> bytes:
    """The bit alone: what it says is not believed further."""
    raw = bytearray(zipped(("a", b"x")))
    for magic, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        raw[raw.index(magic) + place] |= 1
    return bytes(raw)


def large_header() -> bytes:
    """A pax header that says it has a gigabyte."""
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.XHDTYPE, 2**30
    return info.tobuf(tarfile.USTAR_FORMAT) + b"\0" * 2048


OUT = "a name that leads out of it"
ABSOLUTE = "a name that is not relative"
ATTACKS = {
    "tar: parent": (tar(("../out", b"x")), OUT),
    "tar: parent inside": (tar(("a/../../out", b"x")), OUT),
    "tar: parent folder": (tar(("..", "folder")), OUT),
    "tar: absolute": (tar(("/tmp/out", b"x")), ABSOLUTE),
    "tar: backslash": (tar(("..\\out", b"x")), ABSOLUTE),
    "tar: drive": (tar(("C:/out", b"x")), ABSOLUTE),
    "tar: link": (tar(("a", "link:/etc"), ("a/passwd", b"x")), "a link, a"),
    "tar: link to itself": (tar(("a", "link:a")), "a link, a"),
    "tar: hard link": (tar(("a", "hard:/etc/passwd")), "a link, a"),
    "tar: character device": (tar(("null", "chr")), "a device or pipe"),
    "tar: block device": (tar(("sda", "blk")), "a device or pipe"),
    "tar: pipe": (tar(("p", "fifo")), "a device or pipe"),
    "tar: unknown kind": (tar(("p", "odd")), "a device or pipe"),
    "tar: twice": (tar(("a", b"1"), ("./a", b"2")), "a twice"),
    "tar: file as folder": (tar(("a", b"1"), ("a/b", b"2")), "a file and a folder of one name"),
    "tar: folder as file": (tar(("a/b", b"1"), ("a", b"2")), "a twice"),
    "tar: control character": (tar(("a\x1b[31m", b"1")), "a name that is none"),
    "tar: long part": (tar(("a" * 300, b"1")), "a name that is too long"),
    "tar: deep": (tar(("a/" * 40 + "b", b"1")), "a name that is too long"),
    "tar: many": (tar(*((f"f{n}", b"") for n in range(60))), "more than 50 files"),
    "tar: header of a gigabyte": (large_header(), "a header that is too large"),
    "tar.gz: bomb": (tar(("a", bytes(3_000_000)), pack=gzip.compress), "is a bomb"),
    "tar.bz2: bomb": (tar(("a", bytes(3_000_000)), pack=bz2.compress), "is a bomb"),
    "tar.xz: bomb": (tar(("a", bytes(3_000_000)), pack=lzma.compress), "is a bomb"),
    "tar: too large": (tar(("a", os.urandom(5_000_000))), "unpacks to more than"),
    "zip: parent": (zipped(("../out", b"x")), OUT),
    "zip: parent inside": (zipped(("a/../../out", b"x")), OUT),
    "zip: absolute": (zipped(("/tmp/out", b"x")), ABSOLUTE),
    "zip: backslash": (zipped(("a\\..\\..\\out", b"x")), ABSOLUTE),
    "zip: link": (zipped(("a", b"/etc/passwd"), mode=stat.S_IFLNK | 0o777), "a link, a"),
    "zip: device": (zipped(("a", b""), mode=stat.S_IFCHR | 0o666), "a device or pipe"),
    "zip: pipe": (zipped(("a", b""), mode=stat.S_IFIFO | 0o666), "a device or pipe"),
    "zip: encrypted": (encrypted(), "an encrypted file"),
    "zip: twice": (zipped(("a", b"1"), ("a", b"2")), "a twice"),
    "zip: file as folder": (zipped(("a", b"1"), ("a/b", b"2")), "a file and a folder of one name"),
    "zip: folder as file": (zipped(("a", b"1"), ("a/", b"")), "a file and a folder of one name"),
    "zip: no name": (zipped((" ", b"1")), "a name that is none"),
    "zip: many": (zipped(*((f"f{n}", b"") for n in range(60))), "more than 50 files"),
    "zip: long list": (zipped(*((f"{n:0200}", b"") for n in range(45))), "more than 50 files"),
    "zip: bomb": (zipped(("a", bytes(3_000_000))), "is a bomb"),
    "zip: too large": (zipped(("a", os.urandom(5_000_000)), deflate=False), "unpacks to more than"),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_hostile_archive_is_refused_and_leaves_nothing(attack: str, tmp_path: Path) -> None:
    content, words = ATTACKS[attack]
    archive = tmp_path / "model.mar"
    archive.write_bytes(content)
    (tmp_path / "out").write_bytes(b"mine")
    with pytest.raises(MlshipError) as caught:
        unpack(archive, tmp_path / "cache" / "opened", "mlship.yaml:2 model.uri", SMALL)
    assert words in caught.value.what and caught.value.what.startswith("model.mar ")
    assert caught.value.code == "hostile-archive" and caught.value.where == "mlship.yaml:2 model.uri"
    assert "\x1b" not in caught.value.what
    assert sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")) == ["cache", "model.mar", "out"]
    assert (tmp_path / "out").read_bytes() == b"mine"


@pytest.mark.parametrize(
    "content",
    [b"", b"PK\x03\x04", b"PK\x05\x06" + bytes(10), zipped(("a", b"x" * 99))[:-30], tar(("a", b"x" * 999))[:700],
     gzip.compress(tar(("a", os.urandom(5000))))[:900], b"\x1f\x8b\x08", b"BZh9xx", b"nothing", os.urandom(2000)],
)  # fmt: skip
def test_a_damaged_archive_is_refused(content: bytes, tmp_path: Path) -> None:
    archive = tmp_path / "model.mar"
    archive.write_bytes(content)
    with pytest.raises(MlshipError) as caught:
        unpack(archive, tmp_path / "opened")
    assert caught.value.code == "damaged-archive" and not (tmp_path / "opened").exists()


@pytest.mark.parametrize(
    "content",
    [
        zipped(("MAR-INF/MANIFEST.json", b"{}"), ("model.pt", b"weights"), ("code/", b"")),
        zipped(("MAR-INF/MANIFEST.json", b"{}"), ("model.pt", b"weights"), ("code/", b""), deflate=False),
        tar((".", "folder"), ("./MAR-INF/MANIFEST.json", b"{}"), ("model.pt", b"weights"), ("code", "folder")),
        *(
            tar(("MAR-INF/MANIFEST.json", b"{}"), ("model.pt", b"weights"), ("code/", "folder"), pack=pack)
            for pack in (gzip.compress, bz2.compress, lzma.compress)
        ),
    ],
)
def test_a_whole_archive_comes_out_as_plain_files_of_ours(content: bytes, tmp_path: Path) -> None:
    archive = tmp_path / "model.mar"
    archive.write_bytes(content)
    folder = unpack(archive, tmp_path / "cache" / "opened")
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))
    assert names == ["MAR-INF", "MAR-INF/MANIFEST.json", "code", "model.pt"]
    assert (folder / "model.pt").read_bytes() == b"weights"
    assert not (folder / "model.pt").stat().st_mode & 0o7133
    archive.write_bytes(b"gone")
    assert unpack(archive, folder) == folder


def test_headers_of_headers_without_end_are_damage_and_no_trace(tmp_path: Path) -> None:
    long = tarfile.TarInfo("././@LongLink")
    long.type, long.size = tarfile.GNUTYPE_LONGNAME, 2
    (tmp_path / "a.tar").write_bytes((long.tobuf() + b"a".ljust(512, b"\0")) * 2000 + tar(("a", b"x")))
    with pytest.raises(MlshipError, match=r"a\.tar is damaged"):
        unpack(tmp_path / "a.tar", tmp_path / "out")


def test_the_longer_of_two_lists_of_a_zip_counts(tmp_path: Path) -> None:
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w") as opened:
        for number in range(40):
            opened.writestr(f"{number}{'x' * 400}", "")
    whole = raw.getvalue()
    at, (size, start) = len(whole) - 22, struct.unpack_from("<LL", whole, len(whole) - 10)
    more = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, 40, 40, size, start) + struct.pack(
        "<4sLQL", b"PK\6\7", 0, at, 1
    )
    (tmp_path / "a.zip").write_bytes(whole[:at] + more + whole[at : at + 12] + struct.pack("<L", 46) + whole[at + 16 :])
    with pytest.raises(MlshipError, match="holds more than 50 files"):
        unpack(tmp_path / "a.zip", tmp_path / "out", limits=SMALL)
