from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

from pytest import fixture, mark, raises
from requirements_fakes import FakeRunner, NoRunner, workplace

from mlship.errors import Exit, MlshipError
from mlship.image.packages.installed_tree import normalise
from mlship.image.packages.wheels import (
    install,
    missing_from,
    server_changes,
    server_fits,
    server_packages,
    server_pins,
    server_wheels,
    wheels_key,
)
from mlship.image.plan import Wheel
from mlship.runner import Result

HASH = "c" * 64
NUMPY = Wheel("numpy", "2.1.0", HASH)


def installing(*names: str):
    """uv that puts these files into its target."""

    def answer(command):
        target = Path(command.argv[command.argv.index("--target") + 1])
        for name in names:
            path = target / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("x = 1\n")
        return b"Downloading numpy"

    return FakeRunner(answer)


@fixture
def put(tmp_path):
    def run(wheels, runner, **more):
        doors = {"python_minor": "3.11", "platform": "linux/amd64", "glibc": "2.36", "project_root": tmp_path}
        return install(tuple(wheels), **{**workplace(tmp_path, runner), **doors, **more})

    return run


def test_wheels_are_installed_once_by_hash_and_without_their_dependencies(put):
    runner = installing("numpy/__init__.py")
    folder = put([NUMPY], runner)
    (command,) = runner.commands
    asked = " ".join(command.argv)
    for flag in ("--no-deps", "--only-binary :all:", "--require-hashes", "--link-mode copy", "--no-compile-bytecode",
                 "--python-platform x86_64-manylinux_2_36 --python-version 3.11"):  # fmt: skip
        assert flag in asked
    assert (folder / "numpy/__init__.py").is_file()
    assert put([NUMPY], NoRunner()) == folder


def test_what_is_asked_for_is_one_hash_each(put):
    seen = []

    def answer(command):
        seen.append(Path(command.argv[command.argv.index("-r") + 1]).read_text())
        return b""

    put([NUMPY], FakeRunner(answer))
    assert seen == [f"numpy==2.1.0 --hash=sha256:{HASH}\n"]


def test_the_key_is_the_wheels_the_python_and_the_platform():
    before = wheels_key([NUMPY, Wheel("a", "1", HASH)], "3.11", "linux/amd64")
    assert wheels_key([Wheel("a", "1", HASH), NUMPY], "3.11", "linux/amd64") == before
    changed = [
        ([replace(NUMPY, sha256="d" * 64)], "3.11", "linux/amd64"),
        ([NUMPY], "3.12", "linux/amd64"),
        ([NUMPY], "3.11", "linux/arm64"),
    ]
    assert len({before, *(wheels_key(*one) for one in changed)}) == 4


def test_a_failed_install_leaves_nothing_and_shows_the_last_lines(put, tmp_path):
    with raises(MlshipError, match=r"the locked packages cannot be installed; the last lines of uv say which one") as caught:
        put([NUMPY], FakeRunner(lambda command: Result(1, b"hash mismatch", b"")))
    assert (caught.value.exit, caught.value.details) == (Exit.BUILD_FAILED, ("hash mismatch",))
    assert not list((tmp_path / "home/cache/packages").glob("[!.]*"))


def test_a_disk_without_room_is_what_a_failed_install_tells(put, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=3_000_000))
    with raises(MlshipError, match=r"and only 3\.0 MB are free below .*; free some space there") as caught:
        put([NUMPY], FakeRunner(lambda command: Result(1, b"No space left on device", b"")))
    assert (caught.value.code, caught.value.exit) == ("disk", Exit.BUILD_FAILED)


def test_no_wheels_are_an_empty_folder(put):
    assert list(put([], NoRunner()).iterdir()) == []


def made_from(tmp_path, origin="git+https://g.test/acme@c0", content=b"wheel"):
    """A locked wheel that was built on another machine, and uv that builds it here as `content`."""

    def answer(command):
        if "tool" in command.argv:
            out = Path(command.argv[command.argv.index("--wheel-dir") + 1])
            out.mkdir()
            (out / "acme-0.3-py3-none-any.whl").write_bytes(content)
        return b""

    sha256 = "2a9890a65b66fe7dd43ec8fe0eb20aa1be18ea8c05c07a1b5a1f2ab3a87a33c0"
    return Wheel("acme", "0.3", sha256, None, origin), FakeRunner(answer)


def test_a_wheel_of_another_machine_that_builds_otherwise_here_is_refused(put, tmp_path):
    wheel, runner = made_from(tmp_path)
    with raises(
        MlshipError, match=r"acme 0.3 built here is not the wheel that mlship.lock has \(\w{12}, locked 2a9890a65b66\)"
    ):
        put([wheel], runner)


def test_a_source_that_is_not_here_is_named(put, tmp_path):
    wheel, runner = made_from(tmp_path, origin="file:libs/acme")
    with raises(
        MlshipError, match=r"mlship.lock has a package that was built from libs/acme, which is not here; get its source"
    ):
        put([wheel], runner)


def test_the_servers_packages_are_pinned_and_found_again(tmp_path):
    lines = [line for line in server_packages().splitlines() if line and not line.startswith("#")]
    assert lines and all("==" in line for line in lines)
    doors = {**workplace(tmp_path, installing("orjson/__init__.py")), "python_minor": "3.11", "project_root": tmp_path}
    own = server_wheels(python=Path("/env/bin/python"), **doors)
    assert "--python-platform" not in doors["runner"].commands[-1].argv
    assert server_wheels(python=Path("/env/bin/python"), **{**doors, "runner": NoRunner()}) == own


def test_packages_for_tokens_come_only_where_tokens_are_judged():
    names = [{pin.partition("==")[0] for pin in server_pins("3.13", keys=keys)} for keys in ((), ("serve.auth.jwt",))]
    assert names[1] - names[0] == {"cffi", "cryptography", "pycparser", "pyjwt", "typing_extensions"} and names[0] < names[1]


def test_a_package_without_wheels_for_later_pythons_is_asked_for_earlier_ones_alone():
    packages = "one==1.0\ntwo==2.0  # only below Python 3.14\n"
    assert server_pins("3.9", packages) == server_pins("3.13", packages) == ("one==1.0", "two==2.0")
    assert server_pins("3.14", packages) == server_pins("3.15", packages) == ("one==1.0",)


def test_the_locked_packages_of_another_mlships_server_are_named():
    fit = [
        Wheel(name.lower().replace("_", "-"), version, HASH)
        for name, version in (pin.split("==") for pin in server_pins("3.13"))
    ]
    assert server_fits(fit, "3.13")
    older = [replace(wheel, version="0.1") if wheel.name == "orjson" else wheel for wheel in fit if wheel.name != "uvloop"]
    orjson, uvloop = server_changes((*older, Wheel("idna", "3", HASH)), "3.13")[1:]
    assert orjson.startswith("orjson 0.1 is locked, and this mlship's server has 3.")
    assert uvloop.startswith("uvloop in no version is locked, and this mlship's server has 0.")
    assert server_changes((*fit, Wheel("idna", "3", HASH)), "3.13") == (
        "idna 3 is locked, and this mlship's server has none of it",
    )


def test_modules_that_an_installed_folder_lacks_are_named(tmp_path):
    for name in ("sklearn/__init__.py", "six.py", "_fast.cpython-311-x86_64-linux-gnu.so"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert missing_from(tmp_path, ("sklearn", "six", "_fast", "pandas")) == ("pandas",)


@fixture
def tree(tmp_path):
    folder = tmp_path / "tree"
    for name, text in {
        "bin/tool": f"#!{tmp_path}/python\n",
        ".lock": "",
        "acme/__init__.py": "",
        "acme/__pycache__/x.pyc": "",
        "acme/run.sh": "",
        "acme-1.dist-info/INSTALLER": "uv",
        "acme-1.dist-info/REQUESTED": "",
        "acme-1.dist-info/direct_url.json": f'{{"url": "file://{tmp_path}"}}',
        "acme-1.dist-info/METADATA": "Name: acme\n",
        "acme-1.dist-info/RECORD": "bin/tool,,\nacme-1.dist-info/INSTALLER,,\nacme/__init__.py,sha256=x,0\n../../etc/x,,\n"
        "acme-1.dist-info/RECORD,,\n",
    }.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (folder / "acme/run.sh").chmod(0o700)
    return folder


def test_nothing_of_this_machine_stays_in_an_installed_folder(tree, tmp_path):
    normalise(tree)
    assert sorted(str(path.relative_to(tree)) for path in tree.rglob("*") if path.is_file()) == [
        "acme-1.dist-info/METADATA", "acme-1.dist-info/RECORD", "acme/__init__.py", "acme/run.sh",
    ]  # fmt: skip
    assert (tree / "acme-1.dist-info/RECORD").read_text() == "acme-1.dist-info/RECORD,,\nacme/__init__.py,sha256=x,0\n"


@mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_modes_and_times_do_not_depend_on_the_machine(tree, umask):
    before = os.umask(umask)
    try:
        normalise(tree)
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tree / "acme").iterdir()}
    assert modes == {"__init__.py": 0o644, "run.sh": 0o755}
    assert {path.stat().st_mtime for path in [tree, *tree.rglob("*")]} == {0}
