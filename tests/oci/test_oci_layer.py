import gzip
import hashlib
import io
import os
import tarfile
import time
import zlib
from pathlib import Path

import pytest

from mlship.errors import MlshipError
from mlship.oci.layer import CHUNK, Entry, compressor, entries_of_folder, tar, without_bytecode, write_layer
from mlship.oci.layout import Layout


def members(entries) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(b"".join(tar(entries)))) as archive:
        return {member.name: member for member in archive}


def folder_of(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


FILES = {"b/two.py": "2", "a.txt": "1", "b-c": "3", "z/ü/" + "long" * 40: "4"}


def test_the_same_files_give_the_same_layer_whatever_folder_umask_time_zone_and_order(tmp_path, monkeypatch):
    layout = Layout(tmp_path / "layout")
    first = write_layer(layout, entries_of_folder(folder_of(tmp_path / "x", FILES), "/opt"), role="code", name="code")
    before = os.umask(0o077)
    monkeypatch.setenv("TZ", "Pacific/Apia")
    time.tzset()
    try:
        elsewhere = folder_of(tmp_path / "another" / "place", dict(reversed(FILES.items())))
        os.utime(elsewhere / "a.txt", (1, 1))
        second = write_layer(layout, entries_of_folder(elsewhere, "/opt"), role="code", name="code")
    finally:
        os.umask(before)
        monkeypatch.undo()
        time.tzset()
    assert first == second


def test_the_bytes_of_a_layer_are_pinned(tmp_path):
    entries = [
        Entry("usr/bin/x", mode=0o755, content=b"x"),
        Entry("lib", mode=0o777, link="usr/lib"),
        Entry("tmp", 0o1777, folder=True),
    ]
    layer = write_layer(Layout(tmp_path), entries, role="base", name="base", compression="none")
    # Changing this digest changes the content id of every image: raise builder.BUILDER with it.
    assert layer.diff_id == "sha256:44d0110791c51fcbe2b3bce157a1c1ac653dfdf30fa623295f0cb063a8d21bed"


def test_every_reader_finds_long_and_foreign_names_links_and_modes(tmp_path):
    found = members([*entries_of_folder(folder_of(tmp_path, FILES), "/opt/mlship"), Entry("l" * 120, 0o777, link="t" * 120)])
    assert found["opt/mlship/z/ü/" + "long" * 40].size == 1
    assert found["l" * 120].linkname == "t" * 120
    assert {member.mtime for member in found.values()} == {0}
    assert {(member.uid, member.gid, member.uname, member.gname) for member in found.values()} == {(0, 0, "", "")}


def test_parent_folders_come_before_what_they_hold(tmp_path):
    assert list(members([Entry("a/b/c", content=b"1"), Entry("a-b", content=b"2")])) == ["a", "a-b", "a/b", "a/b/c"]


def test_modes_are_0644_or_0755_whatever_the_files_had(tmp_path):
    folder_of(tmp_path, {"run": "", "read": ""})
    (tmp_path / "run").chmod(0o4711)
    (tmp_path / "read").chmod(0o660)
    found = members(entries_of_folder(tmp_path, "/"))
    assert (found["run"].mode, found["read"].mode) == (0o755, 0o644)


def test_a_compressed_layer_has_the_diff_id_of_the_plain_one_and_a_header_without_time(tmp_path):
    layout, entries = Layout(tmp_path), [Entry("a", content=b"1" * 3_000_000)]
    plain, small, zst = (
        write_layer(layout, entries, role="model", name="m", compression=kind) for kind in ("none", "gzip", "zstd")
    )
    assert plain.diff_id == small.diff_id == zst.diff_id == plain.blob.digest
    blob = layout.path(small.blob.digest).read_bytes()
    assert blob[:10] == b"\x1f\x8b\x08\0\0\0\0\0\0\xff"
    assert gzip.decompress(blob) == layout.path(plain.blob.digest).read_bytes()
    assert small.blob.size < plain.blob.size // 100


def test_a_large_file_is_never_held_in_memory(tmp_path):
    with (tmp_path / "large").open("wb") as file:
        file.truncate(20 * CHUNK)
    assert max(map(len, tar([Entry("large", source=tmp_path / "large")]))) == CHUNK


def test_a_file_over_8_gib_carries_its_size_in_a_pax_record(tmp_path):
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(8 * 2**30)
    start = b""
    for chunk in tar([Entry("huge", source=tmp_path / "huge")]):
        start += chunk
        if len(start) >= 1536:
            break
    assert b"19 size=8589934592\n" in start


@pytest.mark.parametrize("path", ["/etc/passwd", "../x", "a/../b", "a//b", "a/./b", "", "a\0b"])
def test_a_path_that_is_not_inside_the_image_is_refused(path):
    with pytest.raises(MlshipError, match="is not a path inside an image"):
        list(tar([Entry(path, content=b"")]))


def test_a_path_given_twice_is_refused():
    with pytest.raises(MlshipError, match="two files want the path /a of one layer"):
        list(tar([Entry("a", content=b"1"), Entry("a", content=b"2")]))


def test_a_file_below_a_link_is_refused():
    with pytest.raises(MlshipError, match="/a is a file or a link, and /a/b would lie in it"):
        list(tar([Entry("a", link="c"), Entry("a/b", content=b"")]))


def test_a_file_that_grows_while_it_is_read_is_refused(tmp_path):
    growing = tmp_path / "model.joblib"
    growing.write_bytes(b"1")
    stream = tar([Entry("model", source=growing)])
    next(stream)
    growing.write_bytes(b"123")
    with pytest.raises(MlshipError, match=r"model.joblib changed while it was read: 1 bytes became 3"):
        list(stream)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(MlshipError, match="nothing cannot be read: No such file"):
        list(tar([Entry("a", source=tmp_path / "nothing")]))


def test_a_link_out_of_its_folder_is_refused(tmp_path):
    (tmp_path / "out").symlink_to("../../etc/passwd")
    with pytest.raises(MlshipError, match=r"leads out of .* to \.\./\.\./etc/passwd"):
        list(entries_of_folder(tmp_path, "/opt"))
    (tmp_path / "out").unlink()
    (tmp_path / "out").symlink_to("/etc/passwd")
    with pytest.raises(MlshipError, match="leads out of"):
        list(entries_of_folder(tmp_path, "/opt"))


def test_a_link_within_its_folder_stays(tmp_path):
    folder_of(tmp_path, {"lib/a.so.1": "x"})
    (tmp_path / "lib/a.so").symlink_to("a.so.1")
    (tmp_path / "b.so").symlink_to("lib/../lib/a.so")
    assert members(entries_of_folder(tmp_path, "/"))["lib/a.so"].linkname == "a.so.1"


def test_a_pipe_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(MlshipError, match="pipe is neither a file nor a folder"):
        list(entries_of_folder(tmp_path, "/"))


def test_compiled_files_of_another_place_are_left_out(tmp_path):
    folder_of(tmp_path, {"a.py": "", "__pycache__/a.cpython-311.pyc": ""})
    assert [entry.path for entry in without_bytecode(entries_of_folder(tmp_path, "/"))] == ["a.py"]


def test_libraries_and_modules_are_not_executable_but_the_loader_is(tmp_path):
    for name in ("libc.so.6", "ld-linux-x86-64.so.2", "pydoc.py", "m.cpython-311-x86_64-linux-gnu.so", "python3.11"):
        (tmp_path / name).touch(mode=0o755)
    modes = {entry.path: entry.mode for entry in entries_of_folder(tmp_path, "/")}
    assert [name for name, mode in modes.items() if mode == 0o755] == ["ld-linux-x86-64.so.2", "python3.11"]


def test_a_file_that_is_not_what_was_planned_is_refused(tmp_path):
    (tmp_path / "model").write_bytes(b"new")
    planned = [Entry("model", source=tmp_path / "model", sha256=hashlib.sha256(b"old").hexdigest())]
    with pytest.raises(MlshipError, match=r"model changed since it was read: its SHA-256 was \w+… and is \w+…"):
        write_layer(Layout(tmp_path / "l"), planned, role="model", name="m")
    assert not list((tmp_path / "l" / "blobs" / "sha256").iterdir())


def test_zlib_gives_gzip_of_a_fixed_level_whatever_is_installed(tmp_path):
    content = b"".join(number.to_bytes(4, "big") for number in range(50_000))
    layer = write_layer(Layout(tmp_path), [Entry("a", content=content)], role="model", name="m", compression="zlib")
    packed = Layout(tmp_path).path(layer.blob.digest).read_bytes()
    again = zlib.compressobj(6, zlib.DEFLATED, -15)
    assert layer.blob.media_type.endswith("tar+gzip")
    assert gzip.decompress(packed)[512 : 512 + len(content)] == content
    assert packed[10:-8] == again.compress(gzip.decompress(packed)) + again.flush()


def test_what_packs_a_layer_is_named_with_its_version():
    names = [compressor(kind) for kind in ("gzip", "zlib", "zstd", "none")]
    assert [name.split()[0] for name in names] in (["isal", "zlib", "zstd", "none"], ["zlib", "zlib", "zstd", "none"])
    assert names[1] == f"zlib {zlib.ZLIB_RUNTIME_VERSION} level 6"
