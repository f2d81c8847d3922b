"""build.max_size: what is counted, and what is said of an image that is too large."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlship.config.project import Project
from mlship.config.schema import Build
from mlship.errors import Exit, MlshipError
from mlship.flows.size_gate import refuse_too_large
from mlship.home import Home
from mlship.image.lock import Lock
from mlship.image.plan import Wheel
from mlship.image.workplace import Workplace
from mlship.oci.image import Descriptor, Layer
from mlship.progress import Silent
from mlship.runner import LocalRunner
from mlship.units import Memory

WHEELS = (Wheel("torch", "2.9", "a" * 64), Wheel("nvidia-cudnn", "9.1", "b" * 64))
LOCK = Lock("3.11", "linux/amd64", "bookworm", (), WHEELS, "")


def layer(name: str, size: int) -> Layer:
    return Layer(Descriptor("", f"sha256:{name}", size // 3), f"sha256:{name}", size, "packages", name)


def judged(tmp_path: Path, limit: int, *layers: Layer) -> None:
    project = Project(tmp_path / "mlship.yaml", "churn", "", "local", (), build=Build(max_size=Memory(limit)))
    refuse_too_large(Workplace(Home(tmp_path), LocalRunner(), Silent(), {}), project, layers, LOCK)


def test_an_image_of_exactly_the_limit_passes(tmp_path: Path):
    judged(tmp_path, 900, layer("torch", 600), layer("scipy", 300))


@pytest.mark.parametrize(
    ("names", "remedy"),
    [
        (("scipy",), "take packages that the model does not need out of the training environment"),
        (("scipy", "xgboost"), "xgboost-cpu is the same without GPU code"),
        (("nvidia-cudnn", "scipy"), "nvidia-cudnn is GPU code: install builds of the packages for CPUs"),
    ],
)
def test_a_larger_one_is_told_with_what_to_do(names: tuple[str, ...], remedy: str, tmp_path: Path):
    layers = [layer(name, 303_000_000) for name in names]
    with pytest.raises(MlshipError) as raised:
        judged(tmp_path, 300_000_000, *layers)
    assert raised.value.exit == Exit.BUILD_FAILED
    assert raised.value.fix == f"{remedy}, or set max_size: {310 if len(names) == 1 else 610}MB"
    assert raised.value.what.endswith(f"{101 * len(names)} MB compressed), and build.max_size is 300MB")


def test_the_largest_are_named_with_their_versions(tmp_path: Path):
    with pytest.raises(MlshipError) as raised:
        judged(tmp_path, 1, layer("torch", 600_000_000), layer("nvidia-cudnn", 900_000_000))
    assert raised.value.details[1:] == ("900 MB  nvidia-cudnn 9.1 (python)", "600 MB  torch 2.9 (python)")
