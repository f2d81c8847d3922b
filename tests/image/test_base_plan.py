import io
import os
import shutil
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest
from made_archive import Gpgv, Link, MadeArchive

from mlship.errors import MlshipError
from mlship.home import Home
from mlship.image.builder import base_layer, write
from mlship.image.plan import BasePlan, ImageConfig
from mlship.image.system import base
from mlship.image.workplace import Workplace
from mlship.oci.layer import tar
from mlship.progress import Silent
from mlship.runner import Command, Result

UNDER = base._UNDER_PYTHON


class Machine(Gpgv):
    """gpgv, and the image's interpreter, which compiles nothing here."""

    def run(self, command: Command) -> Result:
        if command.argv[0] == "gpgv":
            return super().run(command)
        assert "/usr/lib64/ld-linux-x86-64.so.2" in command.argv[0]
        self.commands.append(command)
        return Result(0, b"", b"")


@pytest.fixture
def made(tmp_path) -> MadeArchive:
    archive = MadeArchive(tmp_path / "mirror")
    files = {
        "base-files": {
            "./usr/lib/os-release": b"ID=debian",
            "./etc/os-release": Link("../usr/lib/os-release"),
            "./bin": Link("usr/bin"),
        },
        "ca-certificates": {
            "./usr/share/ca-certificates/mozilla/a.crt": b"A\n",
            "./usr/sbin/update-ca-certificates": b"#!/bin/sh",
        },
        "libc6": {
            "./lib/x86_64-linux-gnu/ld-linux-x86-64.so.2": b"loader",
            "./lib64/ld-linux-x86-64.so.2": Link("/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"),
        },
        "python3.11-minimal": {"./usr/bin/python3.11": b"\x7fELF", "./usr/bin/py3clean": b"x"},
        "libpython3.11-stdlib": {"./usr/lib/python3.11/ssl.py": b"x = 1\n", "./usr/lib/python3.11/test/a.py": b""},
        "ffmpeg": {"*./usr/bin/ffmpeg": b"f", "./usr/share/doc/ffmpeg/copyright": b"c"},
    }
    for name in (*UNDER, *files, "libpython3.11-minimal"):
        if name not in {package["Package"] for packages in archive.suites.values() for package in packages}:
            archive.add("bookworm", name, "1:2.36-9" if name == "libc6" else "1", files.get(name))
    archive.publish()
    return archive


@pytest.fixture
def workplace(tmp_path) -> Workplace:
    return Workplace(Home(tmp_path / "home"), Machine(), Silent(), {})


def unpacked(workplace, layer) -> dict[str, tarfile.TarInfo]:
    import gzip

    content = gzip.decompress(workplace.layout.path(layer.blob.digest).read_bytes())
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        return {member.name: member for member in archive}


def test_a_plan_names_every_package_with_digest_and_address(made, workplace):
    plan = base.base_plan(workplace, made.archive("bookworm"), "3.11", packages=("ffmpeg",))
    assert (plan.suite, plan.platform, plan.python) == ("bookworm", "linux/amd64", "/usr/bin/python3.11")
    assert {*UNDER, "python3.11-minimal", "libpython3.11-stdlib", "ffmpeg"} <= {package.name for package in plan.packages}
    assert all(len(package.sha256) == 64 and package.url.startswith(made.uri) for package in plan.packages)
    assert plan.requested == ("ffmpeg",)
    assert base.glibc(plan) == "2.36"


def test_a_python_that_no_suite_carries_is_refused_with_the_alternatives(made, workplace):
    said = r"Python 3.12 is in no suite of this machine's package archive; it has 3.11 \(bookworm\)"
    with pytest.raises(MlshipError, match=said) as raised:
        base.base_plan(workplace, made.archive("bookworm"), "3.12")
    assert raised.value.where == "mlship.yaml build.python"
    assert "build.base" in raised.value.fix


def test_the_second_release_of_an_archive_serves_its_own_python(made, workplace):
    for name in (*UNDER, "python3.13-minimal", "libpython3.13-minimal", "libpython3.13-stdlib"):
        made.add("trixie", name)
    made.publish()
    assert base.base_plan(workplace, made.archive("bookworm", "trixie"), "3.13").suite == "trixie"


def test_a_base_holds_an_interpreter_users_certificates_and_no_other_program(made, workplace):
    plan = base.base_plan(workplace, made.archive("bookworm"), "3.11")
    layer = base_layer(workplace, plan, lambda: made.archive("bookworm"))
    found = unpacked(workplace, layer)
    assert [name for name in found if name.startswith(("usr/bin/", "usr/sbin/"))] == ["usr/bin/python3", "usr/bin/python3.11"]
    assert (found["bin"].linkname, found["lib64"].linkname, found["tmp"].mode) == ("usr/bin", "usr/lib64", 0o1777)
    assert found["usr/lib64/ld-linux-x86-64.so.2"].linkname == "../lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"
    assert {"etc/passwd", "etc/group", "etc/nsswitch.conf", "etc/ld.so.cache", "etc/ssl/certs/ca-certificates.crt"} <= set(
        found
    )
    assert found["usr/lib/ssl/cert.pem"].linkname == "../../../etc/ssl/certs/ca-certificates.crt"
    assert "var/lib/dpkg/status.d/libc6" in found
    assert not [
        name for name in found if "share/doc" in name or "/test/" in name or name.startswith("usr/share/ca-certificates")
    ]
    assert not [member for member in found.values() if member.mode & 0o6000]


def test_programs_of_requested_packages_stay_without_setuid(made, workplace):
    plan = base.base_plan(workplace, made.archive("bookworm"), "3.11", packages=("ffmpeg",))
    found = unpacked(workplace, base_layer(workplace, plan, lambda: made.archive("bookworm")))
    assert found["usr/bin/ffmpeg"].mode == 0o755
    assert found["usr/share/doc/ffmpeg/copyright"].isfile()


def test_a_base_is_the_same_in_another_home_and_umask(made, workplace, tmp_path):
    archive = made.archive("bookworm")
    plan = base.base_plan(workplace, archive, "3.11")
    before = os.umask(0o077)
    try:
        elsewhere = Workplace(Home(tmp_path / "other"), Machine(), Silent(), {})
        second = base_layer(elsewhere, plan, lambda: archive)
    finally:
        os.umask(before)
    assert base_layer(workplace, plan, lambda: archive) == second


def test_a_known_base_needs_no_archive(made, workplace):
    archive = made.archive("bookworm")
    plan = base.base_plan(workplace, archive, "3.11")
    first = base_layer(workplace, plan, lambda: archive)
    (made.root / "dists/bookworm/InRelease").unlink()
    for path in (workplace.home.cache / "debs").iterdir():
        path.unlink()
    assert base_layer(workplace, plan) == first


def test_packages_are_taken_from_the_machines_archive_when_the_locked_address_is_gone(made, workplace, tmp_path):
    plan = base.base_plan(workplace, made.archive("bookworm"), "3.11")
    moved = made.root.rename(tmp_path / "moved")
    assert len(base.fetch_packages(workplace, plan, MadeArchive(moved).archive("bookworm"))) == len(plan.packages)


def test_a_login_of_the_source_is_used_and_never_planned():
    package = base.SystemPackage("a", "1", "0" * 64, 1, "http://mirror.example.test/debian/pool/main/a.deb")
    suite = base_suite("http://u:secret@mirror.example.test/debian")
    other = base_suite("http://other.example.test/debian")
    assert base._urls(package, base.Archive((other, suite), base.AptSettings(), "")) == (
        "http://u:secret@mirror.example.test/debian/pool/main/a.deb",
        "http://mirror.example.test/debian/pool/main/a.deb",
        "http://other.example.test/debian/pool/main/a.deb",
    )


def test_packages_without_the_interpreter_are_refused(made, workplace):
    plan = base.base_plan(workplace, made.archive("bookworm"), "3.11")
    wrong = base.BasePlan(plan.suite, plan.platform, "/usr/bin/python3.12", plan.packages)
    with pytest.raises(MlshipError, match=r"the packages of bookworm hold no /usr/bin/python3.12"):
        base_layer(workplace, wrong, lambda: made.archive("bookworm"))


@pytest.mark.parametrize(("name", "sha256"), [("../../etc/x", "0" * 64), ("zlib1g", "../../../etc/passwd"), ("", "0" * 64)])
def test_a_lock_that_was_tampered_with_reaches_no_path(workplace, name, sha256):
    package = base.SystemPackage(name, "1", sha256, 1, "file:///etc/passwd")
    plan = base.BasePlan("bookworm", "linux/amd64", "/usr/bin/python3.11", (package,))
    with pytest.raises(MlshipError, match=r"is not an operating-system package") as raised:
        base_layer(workplace, plan)
    assert raised.value.where == "mlship.lock"


def test_nothing_is_left_behind_when_a_base_fails(made, workplace):
    plan = base.base_plan(workplace, made.archive("bookworm"), "3.11")
    with pytest.raises(MlshipError):
        base_layer(
            workplace, base.BasePlan(plan.suite, plan.platform, "/usr/bin/x", plan.packages), lambda: made.archive("bookworm")
        )
    assert list((workplace.home.cache / "work").iterdir()) == []


def base_suite(uri: str):
    from mlship.image.system.apt import Suite

    return Suite(uri, "bookworm", ("main",))


def test_the_entries_of_a_tree_are_whole(tmp_path: Path):
    (tmp_path / "etc").mkdir()
    assert b"etc" in b"".join(tar(base.base_entries(tmp_path)))


def forgotten(workplace, made, name: str) -> None:
    """The mirror has deleted a package, and this machine's caches are empty."""
    shutil.rmtree(workplace.home.cache)
    next(made.root.glob(f"pool/main/{name}_*.deb")).unlink()


def imaged(workplace, made) -> BasePlan:
    """An image stands on the base; the plan is as a lock has it."""
    plan = base.base_plan(workplace, made.archive("bookworm"), "3.11")
    layer = base_layer(workplace, plan, lambda: made.archive("bookworm"))
    write(workplace, [layer], ImageConfig(("/usr/bin/python3",), labels={"mlship.project": "churn"}), "linux/amd64")
    return replace(plan, diff_id=layer.diff_id, blob=layer.blob)


def test_a_base_whose_package_is_gone_is_taken_from_an_earlier_image_or_names_the_refresh(made, workplace):
    plan = imaged(workplace, made)
    forgotten(workplace, made, "tzdata")
    layer = base_layer(workplace, plan, lambda: made.archive("bookworm"))
    assert (layer.diff_id, layer.blob, layer.role, layer.name) == (plan.diff_id, plan.blob, "base", "bookworm")
    reproducible = replace(workplace, compression="zlib")
    packed = base_layer(reproducible, plan, lambda: made.archive("bookworm"))
    assert packed.diff_id == plan.diff_id and packed.blob != layer.blob

    shutil.rmtree(workplace.home.cache)
    path = workplace.layout.path(layer.blob.digest)  # a damaged image is no source
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content[:-8] + b"\0" * 8)
    with pytest.raises(MlshipError, match=r"the archive no longer has tzdata_1_amd64.deb.*mlship lock --refresh takes it"):
        base_layer(workplace, plan, lambda: made.archive("bookworm"))
