from pathlib import Path

import pytest
from made_elf import make_library

from mlship.errors import MlshipError
from mlship.image.system.needs import Installed, Missing, installed, missing, missing_to, remove_unloadable

TRIPLET = "usr/lib/x86_64-linux-gnu"


@pytest.fixture
def base(tmp_path: Path) -> Path:
    root = tmp_path / "base"
    for place in ("usr/lib64/ld-linux-x86-64.so.2", f"{TRIPLET}/libc.so.6"):
        make_library(root / place, place.rpartition("/")[2], machine=62)
    return root


@pytest.fixture
def env(tmp_path: Path) -> Path:
    return tmp_path / "env"


def read(env: Path, base: Path) -> Installed:
    return installed(env, base)


def test_a_library_that_neither_base_nor_wheel_has_is_missing(env, base):
    make_library(env / "lightgbm/lib/lib_lightgbm.so", needed=("libgomp.so.1", "libc.so.6"))
    assert missing(read(env, base)) == (Missing("libgomp.so.1", "lightgbm/lib/lib_lightgbm.so"),)


@pytest.mark.parametrize("where", ["rpath", "runpath"])
def test_a_wheels_own_libraries_are_found_where_it_says(env, base, where):
    make_library(env / "a/_a.so", needed=("libfoo-1a2b.so.1",), **{where: "${ORIGIN}/../a.libs"})
    make_library(env / "a.libs/libfoo-1a2b.so.1", "libfoo-1a2b.so.1", ("libc.so.6",))
    assert missing(read(env, base)) == ()


def test_rpath_counts_for_what_it_loads_and_runpath_does_not(env, base):
    make_library(env / "a/_a.so", needed=("libfoo.so.1",), rpath="$ORIGIN/libs")
    make_library(env / "b/_b.so", needed=("libfoo.so.2",), runpath="$ORIGIN/libs")
    for name, number in (("a", 1), ("b", 2)):
        make_library(env / name / f"libs/libfoo.so.{number}", f"libfoo.so.{number}", ("libx.so.1",))
    make_library(env / "a/libs/libx.so.1", "libx.so.1")
    assert missing(read(env, base)) == ()  # libx lies in the folder: a wheel may load it beforehand
    (env / "a/libs/libx.so.1").unlink()
    assert [each.file for each in missing(read(env, base))] == ["a/libs/libfoo.so.1", "b/libs/libfoo.so.2"]


def test_what_is_loaded_already_is_not_looked_for_again(env, base):
    make_library(env / "a/_a.so", needed=("libone.so", "libtwo.so"), runpath="$ORIGIN")
    make_library(env / "a/libone.so", "libone.so")
    make_library(env / "a/libtwo.so", "libtwo.so", ("libone.so",))
    assert missing_to(read(env, base), ["a/_a.so"]) == ()


def test_libraries_that_load_each_other_are_looked_at_too(env, base):
    make_library(env / "a/libone.so", "libone.so", ("libtwo.so", "libgone.so"), runpath="$ORIGIN")
    make_library(env / "a/libtwo.so", "libtwo.so", ("libone.so",), runpath="$ORIGIN")
    assert missing(read(env, base)) == (Missing("libgone.so", "a/libone.so"),)


def test_an_absolute_folder_is_looked_for_in_the_base(env, base):
    make_library(env / "a.so", needed=("libodd.so",), runpath="/usr/lib/odd")
    make_library(base / "usr/lib/odd/libodd.so", "libodd.so")
    assert missing(read(env, base)) == ()


def test_only_what_the_given_files_load_is_missing_to_them(env, base):
    make_library(env / "a/used.so", needed=("libc.so.6",))
    make_library(env / "a/plugin.so", needed=("libmpi.so.40",))
    tree = read(env, base)
    assert missing_to(tree, ["a/used.so", "/usr/lib/other.so"]) == ()
    assert missing_to(tree, ["a/plugin.so"]) == missing(tree)


def test_the_interpreters_own_library_is_never_missing(env, base):
    make_library(env / "a.so", needed=("libpython3.11.so.1.0",))
    assert missing(read(env, base)) == ()


def module(base: Path, name: str, *needed: str) -> Path:
    return make_library(base / f"usr/lib/python3.11/lib-dynload/{name}.cpython-311-x86_64-linux-gnu.so", needed=needed)


def test_modules_for_terminals_go_with_their_libraries_and_stay_with_them(base):
    kept, gone = module(base, "_dbm", "libdb-5.3.so"), module(base, "readline", "libreadline.so.8")
    make_library(base / TRIPLET / "libdb-5.3.so", "libdb-5.3.so")
    remove_unloadable(base, "python3.11")
    assert (kept.exists(), gone.exists()) == (True, False)


def test_a_module_that_servers_use_never_goes_silently(base):
    module(base, "_ssl", "libssl.so.3", "libc.so.6")
    with pytest.raises(MlshipError, match=r"python3.11's own _ssl.cpython-311-x86_64-linux-gnu.so lacks libssl.so.3"):
        remove_unloadable(base, "python3.11")
