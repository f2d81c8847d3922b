"""Whether this machine has the GPUs that a release asks for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mlship.errors import Finding
from mlship.oci.driver import FOLDERS, LIBRARY, driver_folder
from mlship.targets.base import Deployment

DEVICES = Path("/dev")
DRIVER = "install the NVIDIA driver (nvidia-smi shows what it finds), or deploy where there is a GPU"


def findings(deployment: Deployment, devices: Path = DEVICES, folders: tuple[Path, ...] = FOLDERS) -> Iterator[Finding]:
    """devices: where the kernel's driver shows them. folders: where the driver's libraries may be."""
    wanted = int(deployment.release.served.resources.get("gpu", 0))
    if not wanted:
        return
    place = deployment.places.get("resources.gpu", "")
    there = len(list(devices.glob("nvidia[0-9]*")))
    asked = f"resources.gpu is {wanted}, and this machine has"
    if not there:
        yield Finding(f"{asked} no {devices}/nvidia0: no GPU, or no driver for it", place, DRIVER, code="no-gpu")
    elif there < wanted:
        yield Finding(f"{asked} {there}", place, f"write {there}, or less", code="few-gpus")
    elif driver_folder(folders) is None:
        yield Finding(f"{asked} a GPU, and not the driver's {LIBRARY}", place, DRIVER, code="no-gpu-driver")
    elif not (devices / "nvidia-uvm").exists():
        fix = "sudo nvidia-modprobe -u -c 0, which nvidia-smi does not do"
        yield Finding(f"{asked} no {devices}/nvidia-uvm, without which CUDA does not start", place, fix, code="no-gpu-memory")
