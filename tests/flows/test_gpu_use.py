"""resources.gpu is refused where no model would use it."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlship.config.project import Project
from mlship.config.schema import Gpu, Resources
from mlship.flows.gpu_use import gpu_findings
from mlship.flows.libraries import Lacking, without_driver
from mlship.flows.model_check import refuse_foreign
from mlship.flows.plan import resources_of
from mlship.frameworks.base import ModelFile, ModelSpec
from mlship.image.manifest import serving
from mlship.image.system.needs import Missing

PROJECT = Project(Path("mlship.yaml"), "churn", "", "local", (), resources=Resources(gpu=Gpu(count=2)))


def spec(framework: str) -> ModelSpec:
    return ModelSpec("m", "m", (ModelFile(Path("/m"), "m", "0" * 64, 1),), framework, "none", "0" * 64)


def test_a_gpu_that_no_model_uses_is_refused_with_the_reason() -> None:
    [finding] = gpu_findings(PROJECT, [spec("sklearn"), spec("lightgbm")])
    assert finding.what == "no model here computes on a GPU: lightgbm and sklearn answer on the CPU"
    assert (finding.severity, finding.fix) == ("error", "leave resources.gpu out")


@pytest.mark.parametrize("framework", ["torch", "transformers", "tensorflow", "keras", "xgboost", "onnx", "python"])
def test_one_model_that_does_is_enough(framework: str) -> None:
    assert gpu_findings(PROJECT, [spec("sklearn"), spec(framework)]) == ()


def test_libraries_of_the_driver_are_no_lack_of_an_image() -> None:
    lacking = Lacking(
        (Missing("libcuda.so.1", "torch/a.so"),), (), (Missing("libcuda.so.1", "b.so"), Missing("libibverbs.so.1", "c.so"))
    )
    assert without_driver(lacking) == Lacking(unused=(Missing("libibverbs.so.1", "c.so"),))
    refuse_foreign(
        [Path("/root")], "net", ["/root/usr/lib/libc.so.6", "/usr/lib64/libcuda.so.1", "/usr/lib64/libnvidia-ml.so.1"]
    )


def test_the_number_of_gpus_reaches_server_and_release_and_is_nowhere_without_one() -> None:
    assert (serving(PROJECT).gpus, resources_of(PROJECT)["gpu"]) == (2, 2)
    plain = Project(Path("mlship.yaml"), "churn", "", "local", ())
    assert serving(plain).gpus == 0 and resources_of(plain).keys() == {"cpu", "memory"}
