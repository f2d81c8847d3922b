"""The front's image in the engine: HAProxy and the keeper run without any right, and nothing else is in it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator

import pytest
from made_base import temporary, workplace

from mlship.errors import MlshipError
from mlship.image import front
from mlship.image.system import apt
from mlship.oci.image import FRONT_LABEL, Image
from mlship.oci.rootfs import unpack_layer
from mlship.targets.base import FrontImage
from mlship.targets.docker.delivery import deliver_front
from mlship.targets.docker.engine import EngineImage, connect

pytestmark = [pytest.mark.world, pytest.mark.engine]

CONFINED = ("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--network", "none")


@pytest.fixture(scope="module")
def place():
    return workplace(temporary())


@pytest.fixture(scope="module")
def made(place) -> Image:
    return front.front_image(place, lambda: apt.machine_archive(place.runner), connect(os.environ).facts().platform)


@pytest.fixture(scope="module")
def delivered(place, made) -> Iterator[EngineImage]:
    """Under a key of its own: nobody else's front is touched."""
    image = connect(os.environ).image(f"mlship/front:{made.content[7:19]}")
    was_there = image is not None
    yield deliver_front(connect(os.environ), place.layout, FrontImage("none such", lambda platform: made.content))
    if not was_there:
        connect(os.environ).remove_image(f"mlship/front:{made.content[7:19]}")


def run(image: EngineImage, *argv: str, user: str = "65532:65532", entrypoint: str = "") -> subprocess.CompletedProcess[str]:
    command = ["docker", "run", "--rm", "-i", *CONFINED, "--user", user, *(["--entrypoint", entrypoint] if entrypoint else [])]
    return subprocess.run([*command, image.id, *argv], capture_output=True, text=True, input="", timeout=60, check=False)


def test_it_is_small_and_holds_two_programs_and_no_shell(place, made):
    tree = unpack_layer(place.layout, made.layers[0], place.home)
    programs = {path.name for folder in ("usr/bin", "usr/sbin") for path in (tree / folder).iterdir() if not path.is_symlink()}
    assert {name for name in programs if not name.startswith("python3.")} == {"haproxy"}
    assert len(programs) == 2
    assert made.size < 48_000_000
    assert made.compressed_size < 20_000_000


def test_scanners_are_told_of_no_package_whose_libraries_are_left_out(place, made):
    tree = unpack_layer(place.layout, made.layers[0], place.home)
    libraries = [path.name for path in (tree / "usr/lib").glob("*-linux-gnu/lib*.so*")]
    packages = {path.name.removesuffix(".md5sums") for path in (tree / "var/lib/dpkg/status.d").iterdir()}
    for package, library in (("libsqlite3-0", "libsqlite3.so"), ("libuuid1", "libuuid.so"), ("zlib1g", "libz.so")):
        assert (package in packages) is any(name.startswith(library) for name in libraries), package
    assert {path.name for path in (tree / "usr/share/doc").iterdir()} == packages


def test_haproxy_runs_with_nothing_but_its_own_files(delivered):
    told = run(delivered, "-vv", entrypoint="/usr/sbin/haproxy")
    assert told.returncode == 0, told.stderr
    assert "OPENSSL=1" in told.stdout


@pytest.mark.parametrize("user", ["65532:65532", "0:0"])
def test_the_keeper_serves_as_root_and_as_nobody(delivered, user):
    told = run(delivered, "serve", "/tmp", user=user)
    assert (told.returncode, told.stdout, told.stderr) == (0, "", "")


def test_python_loads_what_a_keeper_may_import(delivered):
    modules = "json, socket, ssl, struct, http.client, urllib.parse, hashlib, hmac, secrets, threading, subprocess, select, re"
    told = run(delivered, "-s", "-S", "-P", "-c", f"import {modules}, dataclasses, logging, tempfile, datetime, ipaddress, fcntl",
               entrypoint=delivered.python)  # fmt: skip
    assert told.returncode == 0, told.stderr


def test_no_shell_runs_in_it(delivered):
    assert "no such file" in run(delivered, entrypoint="/bin/sh").stderr


def test_it_is_tagged_and_names_its_key(delivered, made):
    assert f"mlship/front:{made.content[7:19]}" in delivered.tags
    assert delivered.labels[FRONT_LABEL] == front.front_key()


def test_the_engine_keeps_it_by_its_key(place, delivered):
    def make(platform: str) -> str:
        raise MlshipError("it was made again")

    found = deliver_front(connect(os.environ), place.layout, FrontImage(front.front_key(), make))
    assert found.labels[FRONT_LABEL] == delivered.labels[FRONT_LABEL]  # others at this engine may have made one, too


def test_the_newest_release_of_the_archive_gives_one_that_runs_too(place, made, tmp_path):
    """What is left out of the base was chosen on one release; HAProxy and Python of the next one need other libraries."""
    archive = apt.machine_archive(place.runner)
    turned = apt.Archive(tuple(sorted(archive.suites, key=lambda suite: suite.stem, reverse=True)), archive.settings, "turned")
    other = workplace(tmp_path)
    shutil.copytree(place.home.cache / "debs", other.home.cache / "debs")
    image = front.front_image(other, lambda: turned, made.platform)
    if image.content == made.content:
        pytest.skip("this archive carries one release only")
    engine = connect(os.environ)
    newest = deliver_front(engine, other.layout, FrontImage("none such", lambda platform: image.content))
    try:
        assert run(newest, "-vv", entrypoint="/usr/sbin/haproxy").returncode == 0
        assert run(newest, "serve", "/tmp").returncode == 0
    finally:
        engine.remove_image(f"mlship/front:{image.content[7:19]}")
