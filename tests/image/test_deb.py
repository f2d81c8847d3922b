import pytest
from made_archive import Link, make_deb

from mlship.errors import MlshipError
from mlship.image.system import deb

CONTROL = {"Package": "zlib1g", "Version": "1:1.2.13", "Description": "library"}


def tree(root) -> dict[str, str]:
    return {
        path.relative_to(root).as_posix(): f"-> {path.readlink()}" if path.is_symlink() else path.read_text()
        for path in sorted(root.rglob("*"))
        if path.is_symlink() or path.is_file()
    }


@pytest.mark.parametrize("compression", ["xz", "gz", "zst"])
def test_packages_of_every_compression_are_unpacked(tmp_path, compression):
    package = make_deb(tmp_path / "a.deb", {"./usr/lib/x": b"1"}, CONTROL, compression)
    assert deb.extract(package, tmp_path / "root") == 1
    assert tree(tmp_path / "root") == {"usr/lib/x": "1"}
    assert deb.control(package) == "Package: zlib1g\nVersion: 1:1.2.13\nDescription: library\n"


def test_the_old_places_of_libraries_and_programs_move_below_usr(tmp_path):
    files = {
        "./lib/x86_64-linux-gnu/libz.so.1": Link("libz.so.1.2.13"),
        "./lib/x86_64-linux-gnu/libz.so.1.2.13": b"z",
        "./lib64/ld.so": Link("/lib/x86_64-linux-gnu/ld.so"),
        "./usr/lib/x86_64-linux-gnu/libz.so": Link("../../../lib/x86_64-linux-gnu/libz.so.1"),
        "./bin/tool": b"t",
    }
    deb.extract(make_deb(tmp_path / "a.deb", files, CONTROL), tmp_path / "root")
    assert tree(tmp_path / "root") == {
        "usr/lib/x86_64-linux-gnu/libz.so.1": "-> libz.so.1.2.13",
        "usr/lib/x86_64-linux-gnu/libz.so.1.2.13": "z",
        "usr/lib64/ld.so": "-> ../lib/x86_64-linux-gnu/ld.so",
        "usr/lib/x86_64-linux-gnu/libz.so": "-> libz.so.1",
        "usr/bin/tool": "t",
    }


def test_links_of_a_merged_system_are_left_to_the_base(tmp_path):
    files = {"./bin": Link("usr/bin"), "./lib": Link("usr/lib"), "./usr/bin/a": b"1", "./etc/x": b"2"}
    deb.extract(make_deb(tmp_path / "a.deb", files, CONTROL), tmp_path / "root")
    assert tree(tmp_path / "root") == {"usr/bin/a": "1", "etc/x": "2"}


def test_setuid_bits_are_dropped(tmp_path):
    deb.extract(make_deb(tmp_path / "a.deb", {"*./usr/bin/su": b"1", "./etc/x": b"2"}, CONTROL), tmp_path / "root")
    assert (tmp_path / "root/usr/bin/su").stat().st_mode & 0o7777 == 0o755
    assert (tmp_path / "root/etc/x").stat().st_mode & 0o7777 == 0o644


def test_only_wanted_files_are_written(tmp_path):
    files = {"./usr/share/doc/x": b"1", "./usr/lib/x": b"2", "./usr/lib/y": Link("usr/share/doc/x", hard=True)}
    deb.extract(make_deb(tmp_path / "a.deb", files, CONTROL), tmp_path / "root", lambda path: "doc" not in path)
    assert tree(tmp_path / "root") == {"usr/lib/x": "2"}


def test_hard_links_become_copies(tmp_path):
    files = {"./usr/share/a": b"1", "./usr/share/b": Link("./usr/share/a", hard=True)}
    deb.extract(make_deb(tmp_path / "a.deb", files, CONTROL), tmp_path / "root")
    assert tree(tmp_path / "root") == {"usr/share/a": "1", "usr/share/b": "1"}
    assert (tmp_path / "root/usr/share/b").stat().st_nlink == 1


def test_no_path_climbs_out_of_the_root(tmp_path):
    files = {"./../../escaped": b"1", "/absolute": b"2", "./a": Link("../../../../etc/passwd")}
    deb.extract(make_deb(tmp_path / "a.deb", files, CONTROL), tmp_path / "root")
    assert tree(tmp_path / "root") == {"escaped": "1", "absolute": "2", "a": "-> etc/passwd"}
    assert not (tmp_path / "escaped").exists()


def test_a_package_that_writes_through_a_link_is_refused(tmp_path):
    package = make_deb(tmp_path / "a.deb", {"./out": Link("/tmp"), "./out/x": b"1"}, CONTROL)
    with pytest.raises(MlshipError, match=r"a.deb is not a package that can be unpacked: it writes through the link /out"):
        deb.extract(package, tmp_path / "root")


def test_a_file_in_place_of_a_folder_is_refused(tmp_path):
    package = make_deb(tmp_path / "a.deb", {"./usr/x/y": b"1", "./usr/x": b"2"}, CONTROL)
    with pytest.raises(MlshipError, match="/usr/x is a folder of another package"):
        deb.extract(package, tmp_path / "root")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "it is not an ar archive"),
        (b"<html>not found</html>", "it is not an ar archive"),
        (b"!<arch>\n", "it has no data.tar"),
        (b"!<arch>\n" + b"x" * 60, "an ar header is damaged"),
    ],
)
def test_what_is_no_package_is_named(tmp_path, content, reason):
    (tmp_path / "a.deb").write_bytes(content)
    with pytest.raises(MlshipError, match=f"a.deb is not a package that can be unpacked: {reason}"):
        deb.extract(tmp_path / "a.deb", tmp_path / "root")


def test_a_cut_package_is_named(tmp_path):
    package = make_deb(tmp_path / "a.deb", {"./x": bytes(range(256)) * 4000}, CONTROL)
    package.write_bytes(package.read_bytes()[:-200])
    with pytest.raises(MlshipError, match=r"a.deb is not a package that can be unpacked"):
        deb.extract(package, tmp_path / "root")


def test_a_compression_that_is_unknown_is_named(tmp_path):
    package = make_deb(tmp_path / "a.deb", {"./x": b"1"}, CONTROL, "gz")
    package.write_bytes(package.read_bytes().replace(b"data.tar.gz ", b"data.tar.lz4"))
    with pytest.raises(MlshipError, match=r"its member data.tar.lz4 has an unknown compression"):
        deb.extract(package, tmp_path / "root")


def test_the_sums_of_a_package_name_files_where_an_image_has_them(tmp_path):
    from mlship.image.system.base_files import present

    deb_file = make_deb(
        tmp_path / "x.deb", {"lib/x.so": b"x"}, {"Package": "x"}, md5sums="0" * 32 + "  lib/x.so\n" + "1" * 32 + "  gone\n"
    )
    sums = deb.control_files(deb_file)["md5sums"]
    assert sums.splitlines()[0] == "0" * 32 + "  usr/lib/x.so"
    deb.extract(deb_file, tmp_path / "tree")
    assert present(sums, tmp_path / "tree") == "0" * 32 + "  usr/lib/x.so\n"
