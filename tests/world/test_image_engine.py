"""The assembled image in a real engine: not root, read-only, no capability, no network."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest
from made_base import made_base, made_image

from mlship.oci.engine import docker_archive, engine_tag

pytestmark = [pytest.mark.world, pytest.mark.engine]


@pytest.fixture(scope="module")
def tag() -> Iterator[str]:
    made, image = made_base(), made_image()
    load = subprocess.Popen(["docker", "load"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert load.stdin is not None
    for chunk in docker_archive(made.workplace.layout, image):
        load.stdin.write(chunk)
    said, _ = load.communicate(timeout=120)
    assert load.returncode == 0
    assert engine_tag(image) in said.decode()
    yield engine_tag(image)
    subprocess.run(["docker", "rmi", "--force", engine_tag(image)], capture_output=True, check=True)


def python(tag: str, code: str) -> str:
    locked = ["--read-only", "--cap-drop", "ALL", "--network", "none", "--security-opt", "no-new-privileges"]
    argv = ["docker", "run", "--rm", *locked, "--entrypoint", "/usr/bin/python3.11", tag, "-c", code]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_image_runs_as_nobody_special_with_everything_taken_away(tag):
    code = "import os, ssl, sqlite3, numpy, pwd; print(os.getuid(), pwd.getpwuid(os.getuid()).pw_name, numpy.eye(2).sum())"
    assert python(tag, code) == "65532 nonroot 2.0"


def test_the_loader_takes_libraries_from_the_cache_and_certificates_are_there(tag):
    code = "import ctypes, ssl; print(ctypes.CDLL('libz.so.1')._name, len(ssl.create_default_context().get_ca_certs()) > 100)"
    assert python(tag, code) == "libz.so.1 True"


def test_there_is_no_shell(tag):
    argv = ["docker", "run", "--rm", "--entrypoint", "/bin/sh", tag, "-c", "true"]
    assert subprocess.run(argv, capture_output=True, check=False, timeout=60).returncode == 127


def test_the_engine_shows_the_configuration_of_the_image(tag):
    template = '{{.Config.User}} {{.Config.StopSignal}} {{index .Config.Labels "mlship.content"}} {{.Os}}/{{.Architecture}}'
    told = subprocess.run(
        ["docker", "inspect", "--format", template, tag], capture_output=True, text=True, check=True
    ).stdout.split()
    assert told == ["65532:65532", "SIGTERM", made_image().content, made_image().platform]


def test_find_library_answers_although_there_is_no_ldconfig(tag):
    code = "from ctypes.util import find_library as f; print(f('c'), f('m'), f('crypto'), f('nowhere'))"
    assert python(tag, code) == "libc.so.6 libm.so.6 libcrypto.so.3 None"
