"""A machine without a network, that has never seen mlship's store: one file, and the service runs there as it was built here."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from far_engine import FarEngine
from free_ports import free_port
from shop import ROW, Shop

from mlship.units import Memory

pytestmark = [pytest.mark.world, pytest.mark.engine]

ASK = (
    "import sys, urllib.request as u; r = u.Request(sys.argv[1], sys.argv[2].encode(), {'Content-Type': 'application/json'}); "
    "print(u.urlopen(r, timeout=10).read().decode())"
)


@dataclass(frozen=True)
class Operator:
    """Somebody at the machine whose engine is `far`: all that there is of a network is its own loopback."""

    folder: Path
    far: FarEngine
    python: str

    @property
    def home(self) -> Path:
        return self.folder / "home"

    def run(self, *words: str, exit: int = 0) -> dict[str, Any]:
        done = self._run((self.python, "-m", "mlship", *words, "--json"))
        assert done.returncode == exit, f"{words}: exit {done.returncode}\n{done.stderr}\n{done.stdout}"
        assert "Traceback" not in done.stderr, done.stderr
        told: dict[str, Any] = json.loads(done.stdout)
        return told

    def price(self, endpoint: str) -> float:
        done = self._run((self.python, "-c", ASK, f"{endpoint}/predict", ROW.decode()))
        assert done.returncode == 0, done.stderr
        return float(json.loads(done.stdout)["predictions"][0]) / 2

    def docker(self, *words: str) -> str:
        done = self._run(("docker", *words))
        assert done.returncode == 0, done.stderr
        return done.stdout

    def store(self) -> list[str]:
        """What lies in it: for seeing that nothing was taken in."""
        return sorted(str(path) for path in self.home.rglob("*") if path.is_file() and not path.name.endswith(".lock"))

    def _run(self, argv: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
        environ = {name: text for name, text in os.environ.items() if name not in ("VIRTUAL_ENV", "PYTHONPATH")}
        environ |= {"MLSHIP_HOME": str(self.home), "DOCKER_HOST": f"unix://{self.far.socket}"}
        return subprocess.run(
            [*self.far.within, *argv], cwd=self.folder, env=environ, capture_output=True, text=True, check=False, timeout=300
        )


@pytest.fixture
def operator(engine: Any, tmp_path: Path, shop: Shop) -> Iterator[Operator]:
    if os.getuid() != 0 or shutil.which("dockerd") is None:
        pytest.skip("a second engine needs root and dockerd: apt-get install docker.io")
    folder = tmp_path / "island"
    folder.mkdir()
    far = FarEngine()
    try:
        yield Operator(folder, far, shop.story.command[0])
    finally:
        far.close()


@pytest.fixture
def archives(shop: Shop, front_home: Path, operator: Operator) -> tuple[Path, Path]:
    """Two versions of the shop, carried over; the price is the version."""
    shop.target, shop.port = "docker", free_port()
    shop.configure(more="resources: {memory: 256MiB}\n")
    for number in (1, 2):
        built = shop.story.mlship("build", "--archive", f"{number}.tar", "--sbom", "sbom")
        assert Path(built["archive"]["path"]).stat().st_size == built["archive"]["size"]
        with tarfile.open(built["archive"]["path"]) as archive:
            inside = {name: archive.extractfile(f"papers/{name}").read() for name in ("till.spdx.json", "till.cdx.json")}  # type: ignore[union-attr]
        assert inside == {path.name: path.read_bytes() for path in (shop.story.folder / "sbom").iterdir()}
        shutil.copy(shop.story.folder / f"{number}.tar", operator.folder)
        shop.next_version()
    shop.target, shop.port = "local", 0
    return operator.folder / "1.tar", operator.folder / "2.tar"


def sent(told: dict[str, Any]) -> tuple[int, int]:
    """(bytes sent, bytes that were there) as the deploy says."""
    (note,) = [note for note in told["notes"] if note.startswith("sent ")]
    sizes = [Memory.parse(size.replace(" ", "")).bytes for size in re.findall(r"\d[\d.]* [KMG]?B", note)]
    return sizes[0], sum(sizes[1:])


def test_a_service_lives_on_a_machine_without_a_network(operator: Operator, archives: tuple[Path, Path]) -> None:
    first, _ = archives
    other_programs_take_it_as_it_is(operator, first)

    told = operator.run("deploy", "--archive", "1.tar", "--yes")
    endpoint = told["endpoint"]
    assert operator.price(endpoint) == 1
    assert sent(told)[0] > 30e6 and sent(told)[1] == 0, "the first deploy sends all of image and front"

    told = operator.run("deploy", "--archive", "2.tar", "--yes")
    assert operator.price(endpoint) == 2
    assert sent(told)[0] < 100e3 and sent(told)[1] > 15e6, "the second one the model and what lies above it"
    assert operator.run("deploy", "--archive", "2.tar", "--yes")["unchanged"]

    back = operator.run("rollback", "till", "--target", "docker", "--yes")
    assert operator.price(endpoint) == 1
    assert operator.run("verify", "till", "--target", "docker")["verify"]["predictions"] == 2
    history = operator.run("history", "till", "--target", "docker")
    assert history["live"] == back["release"]["id"] and len(history["entries"]) == 3

    there = operator.store()
    raw = first.read_bytes()
    first.write_bytes(raw[: len(raw) // 2])
    assert operator.run("deploy", "--archive", "1.tar", "--yes", exit=5)["error"]["code"] == "damaged-archive"
    first.write_bytes(raw)
    assert operator.run("deploy", "--archive", "1.tar", "--yes", "--image", "till", exit=2)["error"]["code"] == "usage"
    assert operator.store() == there

    local = operator.run("deploy", "--archive", "1.tar", "--target", "local", "--yes")
    try:
        assert operator.price(local["endpoint"]) == 1
    finally:
        operator.run("destroy", "till", "--target", "local", "--yes")
    operator.run("destroy", "till", "--target", "docker", "--yes")


def other_programs_take_it_as_it_is(operator: Operator, archive: Path) -> None:
    """They leave nothing: what comes next is the first deploy at this engine."""
    said = operator.docker("load", "-i", "1.tar")
    loaded = re.findall(r"Loaded image: (\S+)", said)
    assert [name.partition(":")[0] for name in loaded] == ["mlship/till", "mlship/front"]
    seen = json.loads(subprocess.check_output(["skopeo", "inspect", f"oci-archive:{archive}"]))
    content = operator.docker("image", "inspect", "-f", '{{index .Config.Labels "mlship.content"}}', loaded[0]).strip()
    assert seen["Labels"]["mlship.content"] == content
    copied = archive.parent / "layout"
    subprocess.run(["skopeo", "copy", "--quiet", f"oci-archive:{archive}", f"oci:{copied}:till"], check=True)
    assert (copied / "index.json").exists()
    operator.docker("image", "rm", *loaded)
