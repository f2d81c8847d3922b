"""PyTorch for CPUs has the name of the other build and the local version +cpu."""

from __future__ import annotations

from pathlib import Path

from mlship.image.packages.cpu_builds import for_cpus, is_for_cpus, told
from mlship.image.packages.requirements_files import Requirements
from mlship.image.packages.wheel_choice import Resolved

ASKED = Requirements(
    ".venv",
    Path(),
    lines=("torch==2.13.0", "torchvision==0.28.0", "nvidia-cublas-cu12==12.8.4", "triton==3.7.0", "sympy==1.14.0"),
)
FOR_CARDS = tuple(
    Resolved(name, version, "ab")
    for name, version in (
        ("torch", "2.13.0"), ("torchvision", "0.28.0+cu128"), ("nvidia-cublas-cu12", "12.8.4"), ("triton", "3.7.0"), ("sympy", "1.14.0"),
    )
)  # fmt: skip
FOR_CPUS = (
    Resolved("torch", "2.13.0+cpu", "cd"),
    Resolved("torchvision", "0.28.0+cpu", "ef"),
    Resolved("sympy", "1.14.0", "ab"),
)


def test_the_cpu_build_of_the_same_version_is_asked_for_without_what_cards_need() -> None:
    wanted = for_cpus(ASKED, FOR_CARDS)
    assert wanted is not None
    assert wanted.lines == ("sympy==1.14.0", "torch==2.13.0+cpu", "torchvision==0.28.0+cpu")
    assert [line.split()[0] for line in wanted.overrides] == [
        "nvidia-cublas-cu12", "triton", "torch==2.13.0+cpu", "torchvision==0.28.0+cpu",
    ]  # fmt: skip
    assert is_for_cpus(FOR_CPUS) and not is_for_cpus(FOR_CARDS)
    assert [finding.what for finding in told(FOR_CARDS, ASKED)] == [
        "torch 2.13.0+cpu goes into the image in place of torch 2.13.0: the same without GPU code",
        "torchvision 0.28.0+cpu goes into the image in place of torchvision 0.28.0+cu128: the same without GPU code",
    ]


def test_a_build_that_is_for_cpus_already_is_left_alone() -> None:
    assert for_cpus(ASKED, FOR_CPUS) is None
    assert for_cpus(ASKED, (Resolved("torch", "2.13.0", "ab"),)) is None
