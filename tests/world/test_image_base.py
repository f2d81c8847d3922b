"""A base of the machine's own archive: signed, small, the same everywhere, with nothing in it that an attacker could use."""

from __future__ import annotations

import gzip
import io
import os
import shutil
import subprocess
import tarfile
import time
from itertools import pairwise
from pathlib import Path

import pytest
from made_base import made_base, workplace

from mlship.errors import MlshipError
from mlship.image import builder
from mlship.image.system import apt, base, deb
from mlship.image.system.apt_index import verified
from mlship.image.system.apt_version import Version
from mlship.image.system.needs import installed, missing
from mlship.oci import rootfs
from mlship.runner import LocalRunner

pytestmark = pytest.mark.world


def members() -> dict[str, tarfile.TarInfo]:
    made = made_base()
    content = gzip.decompress(made.workplace.layout.path(made.layer.blob.digest).read_bytes())
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        return {member.name: member for member in archive}


def test_the_base_is_small_and_holds_one_program_and_no_shell():
    made, found = made_base(), members()
    assert len(made.plan.packages) <= 26
    assert sum(package.size for package in made.plan.packages) < 15_000_000
    assert made.layer.size < 49_000_000
    assert made.layer.blob.size < 25_000_000
    programs = [name for name in found if name.startswith(("usr/bin/", "usr/sbin/")) and found[name].isfile()]
    assert programs == ["usr/bin/python3.11"]
    assert not [name for name, member in found.items() if member.mode & 0o6000 and not member.isdir()]
    assert not [name for name in found if "share/man" in name]


def test_every_package_brings_its_copyright_and_no_other_documentation():
    made, found = made_base(), members()
    for package in made.plan.packages:
        place = found[f"usr/share/doc/{package.name}"]
        folder = f"usr/share/doc/{place.linkname}" if place.issym() else place.name
        assert found[f"{folder}/copyright"].isfile(), package.name
    kept = [name for name, member in found.items() if name.startswith("usr/share/doc/") and member.isfile()]
    assert {Path(name).name for name in kept} == {"copyright"}
    assert "usr/share/common-licenses/GPL-3" in found


def test_scanners_find_every_package():
    made, found = made_base(), members()
    assert {package.name for package in made.plan.packages} == {
        Path(name).name.removesuffix(".md5sums") for name in found if name.startswith("var/lib/dpkg/status.d/")
    }


def test_the_same_inputs_give_the_same_layer_in_another_home_umask_and_time_zone(tmp_path, monkeypatch):
    made = made_base()
    place = workplace(tmp_path)
    shutil.copytree(made.workplace.home.cache / "debs", place.home.cache / "debs")
    before = os.umask(0o077)
    monkeypatch.setenv("TZ", "Pacific/Apia")
    monkeypatch.setenv("PYTHONHASHSEED", "7")
    time.tzset()
    try:
        second = builder.base_layer(place, made.plan, lambda: made.archive)
    finally:
        os.umask(before)
        monkeypatch.undo()
        time.tzset()
    assert second.diff_id == made.layer.diff_id
    assert second.blob.digest == made.layer.blob.digest


def test_compiled_files_are_unchecked_and_name_no_path_of_this_machine():
    made = made_base()
    tree = rootfs.unpack_layer(made.workplace.layout, made.layer, made.workplace.home)
    compiled = list(tree.rglob("*.pyc"))
    assert len(compiled) > 250  # what servers import; rare modules stay as they are
    for path in compiled:
        content = path.read_bytes()
        assert content[4:8] == b"\x01\0\0\0"
        assert str(made.workplace.home.root).encode() not in content


@pytest.mark.skipif(shutil.which("ldconfig", path="/sbin:/usr/sbin") is None, reason="ldconfig is not installed")
def test_ldconfig_reads_the_cache_of_libraries():
    made = made_base()
    tree = rootfs.unpack_layer(made.workplace.layout, made.layer, made.workplace.home)
    program = shutil.which("ldconfig", path="/sbin:/usr/sbin")
    told = subprocess.run([program, "-p", "-C", tree / "etc/ld.so.cache"], capture_output=True, text=True, check=True).stdout
    assert "libz.so.1 (libc6" in told
    assert "libstdc++.so.6 (libc6" in told


def test_a_python_that_the_archive_lacks_is_refused_with_what_it_has():
    made = made_base()
    with pytest.raises(MlshipError, match=r"Python 3\.2 is in no suite of this machine's package archive; it has .*3\.11"):
        base.base_plan(made.workplace, made.archive, "3.2")


def test_a_list_that_was_changed_after_signing_is_refused():
    made = made_base()
    suite = made.archive.suites[0]
    with base._fetcher(made.workplace, made.archive) as fetcher:
        text = fetcher.text(f"{suite.uri}/dists/{suite.name}/InRelease")
    assert b"Codename" in verified(suite, text, LocalRunner())
    with pytest.raises(MlshipError, match="is not signed by a trusted key"):
        verified(suite, text.replace(b"Codename: ", b"Codename: x", 1), LocalRunner())
    before = b"SHA256:\n 00 1 main/binary-amd64/Packages.xz\n\n" + text
    assert b"\n 00 1 main" not in verified(suite, before, LocalRunner())


def test_a_key_that_is_not_the_archives_is_refused(tmp_path):
    made = made_base()
    suite = made.archive.suites[0]
    (tmp_path / "empty.gpg").write_bytes(b"")
    with base._fetcher(made.workplace, made.archive) as fetcher:
        text = fetcher.text(f"{suite.uri}/dists/{suite.name}/InRelease")
    other = apt.Suite(suite.uri, suite.name, suite.components, (tmp_path / "empty.gpg",))
    with pytest.raises(MlshipError, match="is not signed by a trusted key"):
        verified(other, text, LocalRunner())


@pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="dpkg-deb is not installed")
def test_packages_are_read_as_dpkg_reads_them(tmp_path):
    made = made_base()
    package = next(package for package in made.plan.packages if package.name == "zlib1g")
    path = base.fetch_packages(made.workplace, made.plan, made.archive)[made.plan.packages.index(package)]
    fields = subprocess.run(["dpkg-deb", "--field", path], capture_output=True, text=True, check=True).stdout
    assert deb.control(path).split() == fields.split()
    subprocess.run(["dpkg-deb", "--extract", path, tmp_path / "dpkg"], check=True)
    deb.extract(path, tmp_path / "ours")
    theirs = {deb.merged(str(file.relative_to(tmp_path / "dpkg"))): file for file in (tmp_path / "dpkg").rglob("*")}
    for name, file in theirs.items():
        if file.is_file() and not file.is_symlink():
            assert (tmp_path / "ours" / name).read_bytes() == file.read_bytes()


@pytest.mark.skipif(shutil.which("dpkg") is None, reason="dpkg is not installed")
def test_versions_of_the_real_archive_are_ordered_as_dpkg_orders_them():
    versions = [package.version for package in made_base().plan.packages]
    for left, right in pairwise(versions):
        told = subprocess.run(["dpkg", "--compare-versions", left, "lt", right], check=False).returncode == 0
        assert (Version(left) < Version(right)) is told


def test_every_library_of_the_base_finds_what_it_needs_in_it():
    made = made_base()
    root = rootfs.unpack_layer(made.workplace.layout, made.layer, made.workplace.home)
    tree = installed(root / "usr/lib", root)
    assert len(tree.files) > 60
    assert missing(tree) == ()


def test_the_base_leaves_out_what_only_terminals_and_old_databases_need():
    names = {package.name for package in made_base().plan.packages}
    assert not [name for name in names if name.startswith(("libdb5", "libkrb5", "libreadline", "libncurses", "libtirpc"))]
    modules = {Path(name).name.partition(".")[0] for name in members() if "/lib-dynload/" in name}
    assert not modules & {"_dbm", "nis", "readline", "_curses", "_curses_panel"}
    assert {"_ssl", "_sqlite3", "_ctypes", "_lzma", "_bz2", "_hashlib", "_uuid", "_codecs_jp"} <= modules


def test_a_library_that_somebody_asks_for_brings_its_module_back():
    made = made_base()
    plan = base.base_plan(made.workplace, made.archive, "3.11", packages=("libreadline8",))
    with base.base_tree(made.workplace, plan, made.archive) as tree:
        modules = {path.name.partition(".")[0] for path in (tree / "usr/lib/python3.11/lib-dynload").iterdir()}
    assert "readline" in modules
    assert "_dbm" not in modules
