from mlship.home import Home
from mlship.oci.layer import Entry, write_layer
from mlship.oci.layout import Layout
from mlship.oci.rootfs import unpack_layer, unpacked_folder
from mlship.oci.unpacked import keep_unpacked


def test_what_is_kept_of_a_new_layer_is_what_unpacking_it_gives(tmp_path):
    home, other = Home(tmp_path / "home"), Home(tmp_path / "other")
    home.cache.mkdir(parents=True)
    ours, theirs = home.cache / "ours", tmp_path / "theirs"
    for file in (ours, theirs):
        file.write_text(file.name)
        file.chmod(0o644)
    entries = [
        Entry("usr/bin/run", mode=0o755, source=ours),
        Entry("usr/theirs", source=theirs),
        Entry("etc/said", content=b"so"),
        Entry("lib", mode=0o777, link="/usr/bin"),
    ]
    layer = write_layer(Layout(tmp_path / "layout"), entries, role="base", name="b")
    keep_unpacked(home, layer, entries)
    kept, unpacked = unpacked_folder(home, layer), unpack_layer(Layout(tmp_path / "layout"), layer, other)
    assert _told(kept) == _told(unpacked)
    assert (kept / "usr/bin/run").samefile(ours)
    assert theirs.stat().st_mode & 0o777 == 0o644


def _told(folder):
    return {
        path.relative_to(folder): (path.lstat().st_mode, path.read_bytes() if path.is_file() else b"")
        for path in folder.rglob("*")
    }
