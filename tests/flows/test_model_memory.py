"""What models take of a replica's memory, alone and several in one image."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlship.config.project import Project
from mlship.config.schema import Gpu, Resources
from mlship.flows.making import needed_together
from mlship.flows.model_memory import peak_findings, size_findings
from mlship.frameworks.base import Loaded, ModelSpec
from mlship.server.manifest import Signature
from mlship.units import Memory

MB = 10**6


@pytest.mark.parametrize(
    ("peaks", "sizes", "together"),
    [
        ({"churn": 170}, {"churn": 20}, 170),
        ({"churn": 170, "fraud": 900}, {"churn": 20, "fraud": 700}, 920),
        ({"churn": 900, "fraud": 900}, {"churn": 700, "fraud": 700}, 1600),
        ({}, {}, 0),
    ],
)
def test_packages_are_counted_once_and_every_model_by_its_files_at_least(
    peaks: dict[str, int], sizes: dict[str, int], together: int
) -> None:
    needed = needed_together(
        {name: peak * MB for name, peak in peaks.items()}, {name: size * MB for name, size in sizes.items()}
    )
    assert needed == together * MB


def project(memory: str, gpu: Gpu | None = None) -> Project:
    resources = Resources(memory=Memory.parse(memory), gpu=gpu)
    positions = {"resources.memory": (9, 3)}
    return Project(Path("mlship.yaml"), "churn", "", "local", (), resources=resources, positions=positions)


@pytest.mark.parametrize(
    ("framework", "memory", "gpu", "fixes"),
    [
        ("torch", "2GiB", None, ["set resources.memory: 4864MiB"]),
        ("torch", "4GiB", None, []),
        ("torch", "2GiB", Gpu(count=1), []),  # where the weights lie on it
        ("sklearn", "2GiB", None, []),  # may be compiled to less
        ("python", "2GiB", None, []),  # a class of one's own may map its file
    ],
)
def test_a_file_that_is_larger_than_the_memory_is_told_before_it_is_loaded(
    framework: str, memory: str, gpu: Gpu | None, fixes: list[str]
) -> None:
    found = size_findings(project(memory, gpu), [("net", framework, 4 * 10**9)])
    assert [finding.fix for finding in found] == fixes
    assert all(finding.where == "mlship.yaml:9:3 resources.memory" and "4.0 GB on disk" in finding.what for finding in found)


def test_what_loading_took_is_held_against_the_memory() -> None:
    spec = ModelSpec("net", "net", (), "torch", "pt2", "0" * 64)
    loaded = {"net": Loaded(Signature(), "Net", None, 1.0, 700 * 2**20, {}, ())}
    assert peak_findings(project("1GiB"), [spec], loaded) == ()
    [finding] = peak_findings(project("512MiB"), [spec], loaded)
    assert (finding.code, finding.fix) == ("too-little-memory", "set resources.memory: 1GiB")
