"""What would make a local deployment fail is said before anything is changed."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from local_service import LocalService

from mlship.errors import Finding, MlshipError
from mlship.oci.driver import LINKS, with_driver
from mlship.targets.base import Deployment
from mlship.targets.local import gpus
from mlship.targets.local.preflight import findings
from mlship.targets.local.protocol import HolderView, ServerView
from mlship.targets.local.rootfs import ImageFacts
from mlship.targets.local.target import require_linux

PLACES = {
    "targets.local.port": "mlship.yaml:4:5 targets.local.port",
    "targets.local.host": "mlship.yaml:5:5 targets.local.host",
    "scale.replicas": "mlship.yaml:9:3 scale.replicas",
}


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


def found(service: LocalService, deployment: Deployment, view: HolderView | None = None) -> tuple[Finding, ...]:
    return findings(replace(deployment, places=PLACES), service.rootfs, view, service.home.local)


def unpacked(tmp_path: Path, **settings: object) -> tuple[LocalService, Deployment]:
    service = LocalService(tmp_path, **settings)
    deployment = service.deployment(1)
    service.rootfs.prepare(deployment.release.served.content)
    return service, deployment


def listening(port: int, host: str = "127.0.0.1") -> HolderView:
    server = ServerView("r1-000000", "live", 1, 1, 0.0, 2, host, port)
    return HolderView(1, 1, "r1-000000", port, (server,))


def test_a_deployment_that_will_work_has_no_findings(tmp_path: Path) -> None:
    service, deployment = unpacked(tmp_path, port=None, host="127.0.0.1")
    assert found(service, deployment) == ()


def test_a_port_that_another_program_has_is_named_with_that_program_and_its_place(tmp_path: Path, taken: int) -> None:
    service, deployment = unpacked(tmp_path, port=taken)
    (finding,) = found(service, deployment)
    assert f"port {taken} on 127.0.0.1 is taken by" in finding.what
    assert f"(pid {os.getpid()})" in finding.what
    assert finding.where == PLACES["targets.local.port"]
    assert finding.fix == "end that program, or choose another targets.local.port"


def test_the_ports_own_service_is_no_stranger(tmp_path: Path, taken: int) -> None:
    service, deployment = unpacked(tmp_path, port=taken)
    assert found(service, deployment, listening(taken)) == ()


def test_the_kept_port_is_checked_too_when_nothing_runs(tmp_path: Path, taken: int) -> None:
    service, deployment = unpacked(tmp_path)
    (finding,) = found(service, deployment, HolderView(1, 1, kept_port=taken))
    assert f"port {taken} on 127.0.0.1 is taken by" in finding.what


def test_another_address_needs_another_port(tmp_path: Path) -> None:
    service, deployment = unpacked(tmp_path, port=8080, host="127.0.0.2")
    (finding,) = found(service, deployment, listening(8080))
    assert finding.what == (
        "the service listens on 127.0.0.1 port 8080 now, and 127.0.0.2 would need the same port at the same time"
    )


def test_an_address_of_another_machine_is_refused(tmp_path: Path) -> None:
    service, deployment = unpacked(tmp_path, port=8099, host="192.0.2.7")
    refused = next(finding for finding in found(service, deployment) if finding.severity == "error")
    assert refused.code == "cannot-listen"
    assert "port 8099 on 192.0.2.7: " in refused.what


@pytest.mark.parametrize(("host", "is_open"), [("127.0.0.1", False), ("127.9.9.9", False), ("::1", False), ("0.0.0.0", True)])
def test_listening_beyond_this_machine_without_authentication_is_warned_of(tmp_path: Path, host: str, is_open: bool) -> None:
    service, deployment = unpacked(tmp_path, host=host)
    warnings = [finding for finding in found(service, deployment) if finding.severity == "warning"]
    assert [finding.code for finding in warnings] == (["open-to-all"] if is_open else [])
    if is_open:
        assert f"the service listens on {host} without authentication" in warnings[0].what


def test_an_image_that_is_not_here_is_named(tmp_path: Path) -> None:
    service = LocalService(tmp_path)
    deployment = service.deployment(1)
    service.rootfs.missing = frozenset({deployment.release.served.content})
    (finding,) = found(service, deployment)
    assert finding.what == "the image sha256:000000000000 is not on this machine"
    assert finding.fix == "mlship build"


def test_an_image_for_another_processor_is_refused(tmp_path: Path) -> None:
    service = LocalService(tmp_path)
    service.rootfs.facts = ImageFacts("linux/s390x", 1000)
    (finding,) = found(service, service.deployment(1))
    assert "the image is for linux/s390x, and this machine is linux/" in finding.what


def test_a_disk_that_is_too_full_is_said_before_anything_is_unpacked(tmp_path: Path) -> None:
    service = LocalService(tmp_path)
    service.rootfs.facts = ImageFacts(service.rootfs.facts.platform, 2 * shutil.disk_usage(tmp_path).total)
    (finding,) = found(service, service.deployment(1))
    assert finding.code == "disk-full"
    assert "are free in" in finding.what and "unpacked" in finding.what


def test_more_than_the_machine_has_is_warned_of(tmp_path: Path) -> None:
    service, deployment = unpacked(tmp_path)
    served = replace(deployment.release.served, resources={"cpu": 1_000_000, "memory": 2**50})
    large = replace(deployment, release=replace(deployment.release, served=served))
    cpu, memory = found(service, large)
    assert cpu.what.startswith("resources.cpu asks for 1000 cores, and this machine has ")
    assert memory.what.startswith("resources.memory is 1024TiB, and this machine has ")


def test_more_than_one_copy_is_refused_with_the_alternative(tmp_path: Path) -> None:
    service, deployment = unpacked(tmp_path)
    (finding,) = found(service, replace(deployment, operating={"replicas": {"min": 1, "max": 3}}))
    assert finding.what == "scale.replicas asks for 3: this machine runs one copy of a service"
    assert finding.where == PLACES["scale.replicas"]


def test_other_systems_are_refused_with_what_to_use_instead() -> None:
    require_linux("Linux")
    with pytest.raises(MlshipError, match="the target local runs the image's Linux programs, and this machine is Darwin"):
        require_linux("Darwin")


def test_what_a_gpu_needs_of_this_machine_is_looked_for(tmp_path: Path) -> None:
    _, deployment = unpacked(tmp_path, port=None)
    served = replace(deployment.release.served, resources={**deployment.release.served.resources, "gpu": 2})
    wanted = replace(deployment, release=replace(deployment.release, served=served))
    devices, driver = tmp_path / "dev", tmp_path / "lib"

    def said(*present: str) -> list[str]:
        for name in present:
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).touch()
        return [
            finding.what.removeprefix("resources.gpu is 2, and this machine has ")
            for finding in gpus.findings(wanted, devices, (driver,))
        ]

    assert list(gpus.findings(deployment, devices, ())) == []
    assert said() == [f"no {devices}/nvidia0: no GPU, or no driver for it"]
    assert said("dev/nvidia0", "dev/nvidiactl") == ["1"]
    assert said("dev/nvidia1") == ["a GPU, and not the driver's libcuda.so.1"]
    assert said("lib/libcuda.so.1", "lib/libnvidia-ml.so.1", "lib/libc.so.6") == [
        f"no {devices}/nvidia-uvm, without which CUDA does not start"
    ]
    assert said("dev/nvidia-uvm") == []
    root = tmp_path / "root"
    own = {"LD_LIBRARY_PATH": "/opt/lib"}
    assert with_driver(root, own, (tmp_path / "none",)) == own
    for _ in range(2):
        assert with_driver(root, own, (driver,)) == {"LD_LIBRARY_PATH": "/opt/lib:/.mlship/driver"}
    assert sorted(path.name for path in (root / LINKS).iterdir()) == ["libcuda.so.1", "libnvidia-ml.so.1"]
