"""Archives with members of every kind, hostile ones among them, as bytes."""

from __future__ import annotations

import io
import tarfile
import warnings
import zipfile
from collections.abc import Callable


def tar(*members: tuple[str, bytes | str], pack: Callable[[bytes], bytes] = bytes) -> bytes:
    """Members: (name, content), or (name, `link:TARGET`, `hard:TARGET`, `chr`, `blk`, `fifo`, `folder`)."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as opened:
        for name, content in members:
            info = tarfile.TarInfo(name)
            if isinstance(content, bytes):
                info.size, info.mode = len(content), 0o4777
                opened.addfile(info, io.BytesIO(content))
                continue
            kind, _, info.linkname = content.partition(":")
            info.type = {
                "link": tarfile.SYMTYPE, "hard": tarfile.LNKTYPE, "chr": tarfile.CHRTYPE, "blk": tarfile.BLKTYPE,
                "fifo": tarfile.FIFOTYPE, "folder": tarfile.DIRTYPE, "odd": b"Z", "sparse": tarfile.GNUTYPE_SPARSE,
            }[kind]  # fmt: skip
            opened.addfile(info)
    return pack(raw.getvalue())


def zipped(*members: tuple[str, bytes], mode: int = 0, deflate: bool = True) -> bytes:
    raw = io.BytesIO()
    with warnings.catch_warnings(action="ignore"), zipfile.ZipFile(raw, "w") as opened:
        for name, content in members:
            info = zipfile.ZipInfo("placeholder")
            info.filename = name
            info.external_attr = mode << 16
            info.compress_type = zipfile.ZIP_DEFLATED if deflate else zipfile.ZIP_STORED
            opened.writestr(info, content)
    return raw.getvalue()
