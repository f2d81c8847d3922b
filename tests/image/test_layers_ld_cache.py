import shutil
import struct
import subprocess

import pytest
from made_elf import make_library

from mlship.image.system import elf
from mlship.image.system.ld_cache import ld_cache

TRIPLET = "usr/lib/x86_64-linux-gnu"


def read_cache(content: bytes) -> list[tuple[str, str]]:
    count = struct.unpack_from("<I", content, 20)[0]

    def text(offset: int) -> str:
        return content[offset : content.index(b"\0", offset)].decode()

    entries = [struct.unpack_from("<iIIIQ", content, 48 + 24 * number) for number in range(count)]
    return [(text(key), text(value)) for _, key, value, _, _ in entries]


def test_a_library_says_its_name_and_what_it_needs(tmp_path):
    found = elf.library(make_library(tmp_path / "a.so", "liba.so.1", ("libc.so.6", "libm.so.6")))
    assert found == elf.Library(elf.X86_64, "liba.so.1", ("libc.so.6", "libm.so.6"))


def test_a_library_says_where_it_looks_and_which_symbols_it_must_have(tmp_path):
    wanted = {"libc.so.6": ("GLIBC_2.34", "GLIBC_2.2.5"), "libm.so.6": ("GLIBC_2.29",)}
    path = make_library(tmp_path / "a.so", rpath="$ORIGIN/../a.libs:/opt/x", runpath="$ORIGIN", versions=wanted)
    found = elf.library(path)
    assert found == elf.Library(elf.X86_64, "", (), ("$ORIGIN/../a.libs", "/opt/x"), ("$ORIGIN",), wanted)


@pytest.mark.parametrize("content", [b"", b"INPUT(-lfoo)", b"\x7fELF\x02\x01", b"\x7fELF\x01\x01" + bytes(100)])
def test_what_is_no_64_bit_library_is_passed_over(tmp_path, content):
    (tmp_path / "x.so").write_bytes(content)
    assert elf.library(tmp_path / "x.so") is None


def test_a_damaged_library_is_passed_over(tmp_path):
    path = make_library(tmp_path / "a.so", "liba.so.1", ("libc.so.6",), versions={"libc.so.6": ("GLIBC_2.34",)})
    content = path.read_bytes()
    for length in (*range(130), *range(131, len(content), 7)):
        (tmp_path / "cut.so").write_bytes(content[:length])
        elf.library(tmp_path / "cut.so")


def test_the_cache_is_in_the_order_that_the_loader_searches(tmp_path):
    for name in ("libb.so.2", "libb.so.10", "liba.so.1"):
        make_library(tmp_path / TRIPLET / name, name)
    found = read_cache(ld_cache(tmp_path, (TRIPLET, "usr/lib", "none")))
    assert found == [(name, f"/{TRIPLET}/{name}") for name in ("libb.so.10", "libb.so.2", "liba.so.1")]


def test_the_first_folder_and_the_name_that_others_ask_for_win(tmp_path):
    make_library(tmp_path / TRIPLET / "liba.so.1.2", "liba.so.1")
    (tmp_path / TRIPLET / "liba.so.1").symlink_to("liba.so.1.2")
    make_library(tmp_path / "usr/lib/liba.so.1", "liba.so.1")
    make_library(tmp_path / "usr/lib/libb.so.1.2", "libb.so.1")
    assert read_cache(ld_cache(tmp_path, (TRIPLET, "usr/lib"))) == [
        ("libb.so.1", "/usr/lib/libb.so.1.2"),
        ("liba.so.1", f"/{TRIPLET}/liba.so.1"),
    ]


@pytest.mark.skipif(shutil.which("ldconfig", path="/sbin:/usr/sbin:/bin") is None, reason="ldconfig is not installed")
def test_ldconfig_reads_the_cache(tmp_path):
    for number in range(20):
        make_library(tmp_path / TRIPLET / f"libx{number}.so.1", f"libx{number}.so.1")
    (tmp_path / "cache").write_bytes(ld_cache(tmp_path, (TRIPLET,)))
    program = shutil.which("ldconfig", path="/sbin:/usr/sbin:/bin")
    told = subprocess.run([program, "-p", "-C", tmp_path / "cache"], capture_output=True, text=True, check=True).stdout
    assert told.startswith("20 libs found in cache")
    assert f"libx7.so.1 (libc6,x86-64) => /{TRIPLET}/libx7.so.1" in told
