"""On a machine with an NVIDIA GPU: the example of PyTorch answers there as it does on the CPU. CI has none, and says that it skips this.

Whoever has one runs it: `make gpu`. It fetches 2.8 GB, and needs 30 GB of disk below MLSHIP_HOME and the temporary folder.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import urllib.request
from pathlib import Path

import pytest
import uv
from story import Story, fetched

from mlship.image.packages.indexes import find_indexes

EXAMPLE = Path(__file__).parent.parent.parent / "examples" / "torch_diabetes"
IS_HERE = bool(list(Path("/dev").glob("nvidia[0-9]*")))
pytestmark = [
    pytest.mark.world,
    pytest.mark.gpu,
    pytest.mark.skipif(not IS_HERE, reason="no GPU here: there is no /dev/nvidia0; run `make gpu` where there is one"),
]
GPU = "serve: {startup_timeout: 5m, request_timeout: 30s}\nresources: {gpu: 1, memory: 16GiB, cpu: 2}\n"


@pytest.fixture
def project(tmp_path: Path) -> Story:
    """The example, trained with the CPU build of PyTorch: the images take their builds by resources.gpu alone."""
    venv, folder = tmp_path / "venv", tmp_path / "diabetes"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns(".venv", "__pycache__"))
    environ = {**os.environ, **find_indexes(os.environ, folder).exhausted().uv_environ()}
    subprocess.run([uv.find_uv_bin(), "venv", "-q", venv], check=True)
    packages = ("torch==2.13.0", "scikit-learn", "numpy")
    subprocess.run(
        [uv.find_uv_bin(), "pip", "install", "-q", "--python", venv / "bin" / "python", *packages], check=True, env=environ
    )
    subprocess.run([venv / "bin" / "python", "train.py"], cwd=folder, check=True)
    home = os.environ.get("MLSHIP_HOME") or str(tmp_path / "home")
    return Story(folder, venv / "bin" / "python", {**os.environ, "VIRTUAL_ENV": str(venv), "MLSHIP_HOME": home})


def answers(project: Story) -> tuple[list[float], str, str]:
    """Of the example's own request, once it is deployed: predictions, the device that the server says, its metrics."""
    endpoint = project.mlship("deploy", "--target", "local", "--yes")["endpoint"]
    try:
        told = project.mlship("predict", "--target", "local", "--data", "request.json")["answer"]["predictions"]
        with urllib.request.urlopen(f"{endpoint}/metrics", timeout=30) as metrics:
            return told, fetched(f"{endpoint}/mlship/release")["device"], metrics.read().decode()
    finally:
        project.mlship("destroy", "--target", "local", "--yes")


def test_the_gpu_answers_as_the_cpu_does(project: Story) -> None:
    on_cpu, device, _ = answers(project)
    assert device == "cpu"
    file = project.folder / "mlship.yaml"
    file.write_text(file.read_text() + GPU)
    told = [finding["message"] for finding in project.mlship("check")["findings"]]
    assert any(line.startswith("CUDA builds for resources.gpu: torch 2.13.0 with") for line in told), told
    on_gpu, device, metrics = answers(project)
    assert device.startswith("cuda:0 ") and f'mlship_device_info{{device="{device}",worker="0"}} 1.0' in metrics
    assert on_gpu == pytest.approx(on_cpu, rel=1e-4, abs=1e-4)
    print(json.dumps({"device": device, "cpu": on_cpu, "gpu": on_gpu}))
