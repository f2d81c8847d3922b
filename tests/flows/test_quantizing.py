"""What model.quantize is refused for, in words that say what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlship.flows.quantizing import too_dear, unfit
from mlship.frameworks.base import ModelFile, ModelSpec
from mlship.frameworks.engine_choice import Cost
from mlship.image.packages.environment import TrainingEnvironment

LAB = TrainingEnvironment(".venv", "3.11.7", python=Path("/lab/bin/python"))


def model(framework: str, size: int = 1000) -> ModelSpec:
    return ModelSpec("digits", "digits", (ModelFile(Path("digits"), "digits", "", size),), framework, "", "")


@pytest.mark.parametrize(
    ("spec", "environment", "reason", "fix"),
    [
        (model("lightgbm"), LAB, "trees compare numbers with what they split at", "delete model.quantize"),
        (model("torch"), LAB, "8 bits are for neural networks in ONNX graphs, and it is of torch", "export it as ONNX"),
        (model("onnx", 2**31), LAB, "it has 2.1 GB, and at most 1.1 GB are quantized", "delete model.quantize"),
        (
            model("onnx"),
            TrainingEnvironment("requirements.txt", "3.11", file=Path("requirements.txt")),
            "requirements.txt names packages, not an interpreter",
            "--python PATH",
        ),
        (model("onnx"), LAB, "", ""),
    ],
)
def test_what_has_no_form_in_8_bits_is_refused_with_the_reason(spec, environment, reason, fix):
    said, remedy = unfit(spec, environment)
    assert reason in said and fix in remedy and bool(said) == bool(reason)


def test_a_loss_beyond_the_budget_is_told_in_figures():
    finding = too_dear("digits", Cost("accuracy", 0.97, 0.94, 450, 0.01, (4, 1)), "mlship.yaml:7:3 model.quantize")
    assert finding.code == "int8-loss" and finding.severity == "error"
    assert "accuracy 0.9700 becomes 0.9400 on 450 rows of holdout, a loss of 0.0300, and 0.01 is allowed" in finding.what
