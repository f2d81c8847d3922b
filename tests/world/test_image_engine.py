"""The assembled image in a real engine: not root, read-only, no capability, no network."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import pytest
from made_base import made_base, made_image

from mlship.oci.engine import docker_archive, engine_tag
from mlship.oci.image import Image, Layer
from mlship.oci.layer import Entry, write_layer
from mlship.oci.layout import Layout
from mlship.runner import LocalRunner
from mlship.targets.docker.connecting import dialled
from mlship.targets.docker.engine import Engine, EngineImage
from mlship.targets.docker.loading import Sendings, load

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


class Told(Engine):
    """The real engine. lies: images that it shows besides its own. meanwhile: what somebody does before it is given one."""

    lies: tuple[EngineImage, ...] = ()
    meanwhile: Sequence[str] = ()

    def images(self, labels: Iterable[str]) -> list[EngineImage]:
        return [*super().images(labels), *self.lies]

    def load(self, archive: Callable[[], Iterator[bytes]]) -> None:
        if self.meanwhile:
            subprocess.run(self.meanwhile, capture_output=True, check=False)
        super().load(archive)


@pytest.fixture
def family(tmp_path: Path) -> Iterator[tuple[Layout, Image, Image]]:
    """Two images that differ in their model only; nothing of them is at the engine, before or after."""
    layout, name = Layout(tmp_path), f"loading-{os.getpid()}"

    def layer(role: str) -> Layer:
        return write_layer(layout, [Entry(role, content=os.urandom(200_000))], role="model", name=role)

    base, packages = layer("base"), layer("packages")
    first, second = (
        layout.write_image([base, packages, layer("model")], {"Labels": {"mlship.project": name}}, "linux/amd64") for _ in "12"
    )
    yield layout, first, second
    subprocess.run(["docker", "rmi", "--force", engine_tag(first), engine_tag(second)], capture_output=True, check=False)


def sent(engine: Engine, layout: Layout, image: Image) -> int:
    """Bytes; the image is at the engine then, with all its layers."""
    sendings = Sendings()
    load(engine, layout, image, sendings)
    template = "{{range .RootFS.Layers}}{{println .}}{{end}}"
    argv = ["docker", "image", "inspect", "-f", template, engine_tag(image)]
    layers = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split()
    assert layers == [layer.diff_id for layer in image.layers]
    subprocess.run(["docker", "save", engine_tag(image)], stdout=subprocess.DEVNULL, check=True)  # it reads every layer
    return sum(part.size for part in sendings.parts)


@pytest.fixture
def real() -> Told:
    return Told(*dialled(os.environ, LocalRunner(), 60))


def test_only_a_new_model_goes_to_the_engine(real: Told, family: tuple[Layout, Image, Image]) -> None:
    layout, first, second = family
    assert sent(real, layout, first) > 600_000
    assert 200_000 < sent(real, layout, second) < 230_000


def test_layers_that_somebody_removed_meanwhile_are_sent_after_all(real: Told, family: tuple[Layout, Image, Image]) -> None:
    layout, first, second = family
    sent(real, layout, first)
    real.meanwhile = ["docker", "rmi", "--force", engine_tag(first)]
    assert sent(real, layout, second) > 800_000, "the part that was refused, then all"


def test_an_engine_that_claims_layers_which_it_lacks_gets_all(real: Told, family: tuple[Layout, Image, Image]) -> None:
    layout, first, _ = family
    layers = tuple(layer.diff_id for layer in first.layers)
    real.lies = (EngineImage("sha256:none", (), {}, layers=layers),)
    assert sent(real, layout, first) > 600_000
