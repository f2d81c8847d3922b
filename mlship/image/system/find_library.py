"""`ctypes.util.find_library` for an image: Python asks ldconfig, gcc or ld, and an image has none of them.

The text below is added to the image's own ctypes/util.py, whose `find_library` asks `_findSoname_ldconfig` first (the same
name from Python 3.6 to 3.14). It reads what ldconfig would print, in that order.
"""

from __future__ import annotations

from pathlib import Path

_PLACE = "usr/lib/{python}/ctypes/util.py"
_TEXT = """

# Added by mlship (this file is not Debian's alone): an image has no ldconfig to ask, so its cache is read here.
def _findSoname_ldconfig(name):
    import struct
    try:
        # below sys.prefix, so that it is the image's own where it is run without a container
        with open(os.path.join(sys.prefix, "..", "etc", "ld.so.cache"), "rb") as file:
            cache = file.read()
    except OSError:
        return None
    if not cache.startswith(b"glibc-ld.so.cache1.1"):
        return None
    wanted = b"lib" + os.fsencode(name) + b"."
    for place in range(48, 48 + 24 * struct.unpack_from("<I", cache, 20)[0], 24):
        start = struct.unpack_from("<I", cache, place + 4)[0]
        if cache.startswith(wanted, start):
            return os.fsdecode(cache[start:cache.index(b"\\0", start)])
    return None
"""


def answer_find_library(tree: Path, python: str) -> None:
    """Changes the file below `tree`, where there is one. python: the interpreter's name, `python3.11`."""
    path = tree / _PLACE.format(python=python)
    if path.is_file():
        path.write_text(path.read_text(encoding="utf-8") + _TEXT, encoding="utf-8")
