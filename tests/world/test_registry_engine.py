"""What a real engine pulls from a registry, and what it pushed there."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from registry_images import image_of
from registry_parts import real_registry

from mlship.home import Home
from mlship.image.variants import derived
from mlship.image.workplace import Workplace
from mlship.oci.image import CONTENT_LABEL
from mlship.oci.layout import Layout
from mlship.oci.registry.client import Registry
from mlship.oci.registry.credentials import nobody
from mlship.oci.registry.pull import pull
from mlship.oci.registry.push import push
from mlship.oci.registry.reference import parse_reference
from mlship.oci.registry.variant import KINDS, Kind
from mlship.progress import Silent
from mlship.runner import LocalRunner
from mlship.targets.docker.resources import PUSH, SERVICE

pytestmark = [pytest.mark.world, pytest.mark.engine]


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with real_registry(tmp_path_factory.mktemp("registry")) as port:
        yield f"127.0.0.1:{port}"


def docker(*argv: str) -> str:
    done = subprocess.run(["docker", *argv], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("kind", KINDS)
def test_an_engine_pulls_every_kind(registry: str, kind: Kind, tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    image = image_of(layout, (1000, 20), seed=os.getpid() * 10 + KINDS.index(kind))
    reference = parse_reference(f"{registry}/engine/churn:{kind}")
    with Registry(registry, os.environ, nobody) as opened:
        push(opened, reference, layout, [image], kind=kind)
    docker("pull", "-q", str(reference))
    try:
        label = docker("image", "inspect", "-f", f'{{{{index .Config.Labels "{CONTENT_LABEL}"}}}}', str(reference))
        diff_ids = docker("image", "inspect", "-f", "{{range .RootFS.Layers}}{{println .}}{{end}}", str(reference)).split()
    finally:
        docker("rmi", "-f", str(reference))
    assert label == image.content
    assert diff_ids == [layer.diff_id for layer in image.layers]


def test_an_engine_that_refuses_zstd_gets_gzip_of_the_same_content(registry: str, tmp_path: Path) -> None:
    workplace = Workplace(Home(tmp_path), LocalRunner(), Silent(), {})
    image = image_of(workplace.layout, (1000, 20), seed=os.getpid() * 10 + 9, compression="zstd")
    reference = parse_reference(f"{registry}/engine/zstd:v1")
    made = derived(workplace, image, PUSH[SERVICE])
    with Registry(registry, os.environ, nobody) as opened:
        push(opened, reference, workplace.layout, [made], kind=PUSH[SERVICE].kind(1))
    docker("pull", "-q", str(reference))
    try:
        label = docker("image", "inspect", "-f", f'{{{{index .Config.Labels "{CONTENT_LABEL}"}}}}', str(reference))
        diff_ids = docker("image", "inspect", "-f", "{{range .RootFS.Layers}}{{println .}}{{end}}", str(reference)).split()
    finally:
        docker("rmi", "-f", str(reference))
    assert label == image.content
    assert diff_ids == [layer.diff_id for layer in image.layers]


def test_an_image_that_an_engine_pushed_is_pulled_and_pushed_on(registry: str, tmp_path: Path) -> None:
    name = f"{registry}/engine/foreign:{os.getpid()}"
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY a /a\nLABEL by=docker\n")
    (tmp_path / "a").write_text(f"a {os.getpid()}")
    try:
        docker("build", "-q", "-t", name, str(tmp_path))
        docker("push", "-q", name)
        system = docker("image", "inspect", "-f", "{{.Os}}/{{.Architecture}}", name)
        diff_ids = docker("image", "inspect", "-f", "{{range .RootFS.Layers}}{{println .}}{{end}}", name).split()
    finally:
        docker("rmi", "-f", name)
    layout = Layout(tmp_path / "layout")
    with Registry(registry, os.environ, nobody) as opened:
        image = pull(opened, parse_reference(name), layout, platform=system)
        assert image.labels == {"by": "docker"}
        assert [layer.diff_id for layer in image.layers] == diff_ids
        target = parse_reference(f"{registry}/engine/appended:v1")
        pushed = push(opened, target, layout, [image], mount_from=lambda digest: ["engine/foreign"])
    assert pushed.moved == 0
    assert len(pushed.mounted) == 2
