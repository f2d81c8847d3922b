"""What an image promises of its container: nobody special, nothing to write to, no rights, no shell, one program to start."""

from __future__ import annotations

import subprocess
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from free_ports import free_port
from story import Story, fetched, predicted
from test_build_gates import configure
from test_build_gates import project as project

from mlship.oci.engine import docker_archive, engine_tag
from mlship.oci.layout import Layout
from mlship.oci.rootfs import open_layer

pytestmark = [pytest.mark.world, pytest.mark.engine]

INTERPRETER, LOADER = "usr/bin/python3.11", "ld-linux"


def members(layout: Layout, image: Any) -> list[tarfile.TarInfo]:
    found: list[tarfile.TarInfo] = []
    for layer in image.layers:
        with open_layer(layout, layer) as archive:
            found += list(archive)
    return found


def docker(*words: str) -> str:
    done = subprocess.run(["docker", *words], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def load(layout: Layout, image: Any) -> Iterator[str]:
    with subprocess.Popen(["docker", "load"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as loading:
        assert loading.stdin is not None
        for chunk in docker_archive(layout, image):
            loading.stdin.write(chunk)
    yield engine_tag(image)
    subprocess.run(["docker", "rmi", "--force", engine_tag(image)], capture_output=True, check=True)


def test_an_image_holds_one_program_and_serves_with_everything_taken_away(project: Story) -> None:
    configure(project, {}, f"promises-{free_port()}")
    content = project.mlship("build")["image"]["content"]
    layout = Layout(Path(project.environ["MLSHIP_HOME"]) / "images")
    image = layout.find(content)
    found = members(layout, image)

    files = {member.name: member for member in found if member.isfile()}
    programs = sorted(name for name, member in files.items() if member.mode & 0o111)
    assert [name for name in programs if LOADER not in name] == [INTERPRETER]  # and the loader, by which the kernel starts it
    assert len(programs) == 2
    assert not [member.name for member in found if member.mode & 0o6000]
    assert not [member.name for member in found if member.isfile() and member.mode & 0o022]
    started = {Path(member.name).name for member in found if Path(member.name).parent.name in ("bin", "sbin")}
    assert started == {"python3", "python3.11"}  # no shell, no package manager
    assert not [name for name in files if "/ensurepip/" in name or "/pip/" in name or "/setuptools/" in name]
    assert {member.uid for member in found} == {0}

    for tag in load(layout, image):
        serves_without_rights(tag)


def serves_without_rights(tag: str) -> None:
    port = free_port()
    locked = ["--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--pids-limit", "64"]
    container = docker("run", "--detach", *locked, "--publish", f"127.0.0.1:{port}:8080", tag)
    try:
        endpoint = f"http://127.0.0.1:{port}"
        wait(endpoint)
        assert predicted(endpoint, b'{"instances": [[1, 2]]}')["predictions"] == [6.0]
        status = (
            "print([l.split()[1] for l in open('/proc/1/status') if l.startswith(('Uid', 'CapEff', 'CapBnd', 'NoNewPrivs'))])"
        )
        said = docker("exec", container, f"/{INTERPRETER}", "-c", status)
        assert said == "['65532', '0000000000000000', '0000000000000000', '1']"
    finally:
        subprocess.run(["docker", "rm", "--force", "--volumes", container], capture_output=True, check=True)


def wait(endpoint: str) -> None:
    for _ in range(200):
        try:
            fetched(f"{endpoint}/readyz")
            return
        except OSError:
            time.sleep(0.1)
    raise AssertionError("it never became ready")
