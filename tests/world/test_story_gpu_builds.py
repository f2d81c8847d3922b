"""With resources.gpu each framework's CUDA build is locked from the real indexes, NVIDIA's packages with it. Nothing is fetched."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mlship.home import Home
from mlship.image.packages.indexes import find_indexes
from mlship.image.packages.requirements_files import Requirements
from mlship.image.packages.resolve import Resolution, lock
from mlship.progress import Silent
from mlship.runner import LocalRunner

pytestmark = pytest.mark.world


def locked(tmp_path: Path, *pins: str, has_gpu: bool) -> Resolution:
    wanted = Requirements(".venv", tmp_path, lines=pins, overrides=pins)
    return lock(
        wanted,
        python_minor="3.11",
        platform="linux/amd64",
        glibc="2.36",
        indexes=find_indexes(os.environ, tmp_path),
        runner=LocalRunner(),
        home=Home(tmp_path / "home"),
        progress=Silent(),
        has_gpu=has_gpu,
    )


@pytest.mark.parametrize(
    ("trained_with", "main", "libraries"),
    [
        ("torch==2.13.0+cpu", "torch", {"nvidia-cublas", "nvidia-cudnn-cu13", "nvidia-nccl-cu13", "triton"}),
        ("tensorflow-cpu==2.21.0", "tensorflow", {"nvidia-cublas-cu12", "nvidia-cudnn-cu12", "nvidia-cuda-nvcc-cu12"}),
        ("xgboost-cpu==3.2.0", "xgboost", {"nvidia-nccl-cu12"}),
        ("onnxruntime==1.32.0", "onnxruntime-gpu", {"nvidia-cublas", "nvidia-cudnn-cu13", "nvidia-cufft"}),
    ],
)
def test_the_build_with_cuda_is_locked_in_place_of_the_one_for_cpus(
    trained_with: str, main: str, libraries: set[str], tmp_path: Path
) -> None:
    found = locked(tmp_path, trained_with, "numpy==2.3.5", has_gpu=True)
    versions = {wheel.name: wheel.version for wheel in found.wheels}
    name, _, version = trained_with.partition("==")
    assert "+" not in versions[main] and all(wheel.sha256 for wheel in found.wheels)
    assert libraries <= versions.keys()
    assert name == main or name not in versions
    if name != "onnxruntime":  # released apart from the other
        assert versions[main] == version.partition("+")[0]
    told = [finding.what for finding in found.findings]
    assert any(f"{main} {versions[main]} goes into the image in place of {name} {version}" in line for line in told), told
    assert any(line.startswith(f"CUDA builds for resources.gpu: {main} {versions[main]} with") for line in told), told
    assert found.size > 10**8  # hundreds of megabytes, known before a byte is fetched
    assert not list((tmp_path / "home").rglob("*.so"))


def test_without_a_gpu_the_same_environment_gives_builds_for_cpus(tmp_path: Path) -> None:
    found = locked(tmp_path, "tensorflow==2.21.0", "onnxruntime-gpu==1.31.1", "numpy==2.3.5", has_gpu=False)
    names = {wheel.name for wheel in found.wheels}
    assert {"tensorflow-cpu", "onnxruntime"} <= names
    assert not {"tensorflow", "onnxruntime-gpu"} & names and not any(name.startswith("nvidia-") for name in names)
