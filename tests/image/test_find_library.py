import ctypes.util
import inspect
import sys

from made_elf import make_library

from mlship.image.system.find_library import answer_find_library
from mlship.image.system.ld_cache import ld_cache

TRIPLET = "usr/lib/x86_64-linux-gnu"


def answers(tmp_path, monkeypatch):
    """The changed copy of this Python's own ctypes/util.py, run as if it lay in an image."""
    path = tmp_path / "usr/lib/python3.11/ctypes/util.py"
    path.parent.mkdir(parents=True)
    path.write_text(inspect.getsource(ctypes.util))
    answer_find_library(tmp_path, "python3.11")
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "usr"))
    names = {"__name__": "changed"}
    exec(compile(path.read_text(), str(path), "exec"), names)
    return names["_findSoname_ldconfig"]


def test_a_library_is_found_in_the_images_own_cache(tmp_path, monkeypatch):
    for name in ("libgomp.so.1", "libgomp-plugin.so.1", "libz.so.1", "libz.so.2"):
        make_library(tmp_path / TRIPLET / name, name)
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/ld.so.cache").write_bytes(ld_cache(tmp_path, (TRIPLET,)))
    find = answers(tmp_path, monkeypatch)
    assert (find("gomp"), find("z"), find("go"), find("nowhere")) == ("libgomp.so.1", "libz.so.2", None, None)


def test_without_a_cache_nothing_is_found(tmp_path, monkeypatch):
    find = answers(tmp_path, monkeypatch)
    assert find("c") is None
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/ld.so.cache").write_bytes(b"ld.so-1.7.0")
    assert find("c") is None


def test_python_asks_that_first():
    assert "_findSoname_ldconfig(name)" in inspect.getsource(ctypes.util.find_library)


def test_a_base_without_ctypes_stays_as_it_is(tmp_path):
    answer_find_library(tmp_path, "python3.11")
    assert list(tmp_path.iterdir()) == []
