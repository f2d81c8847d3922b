"""With resources.gpu the builds with CUDA are asked for, in the versions that trained the model."""

from __future__ import annotations

from pathlib import Path

import pytest
from requirements_fakes import FakeRunner
from test_resolve_fakes import entry, pylock, resolve

from mlship.errors import Exit, MlshipError
from mlship.flows.gpu_room import Weighed, refuse_no_room
from mlship.image.packages.closure import version_findings
from mlship.image.packages.gpu_builds import for_cards, is_for_cards
from mlship.image.packages.requirements_files import Requirements
from mlship.image.packages.wheel_choice import Resolved
from mlship.progress import Silent

CUBLAS = Resolved("nvidia-cublas", "13.1", "d", size=400_000_000)


@pytest.mark.parametrize(
    ("trained", "line", "dropped"),
    [
        ("torch==2.13.0+cpu", "torch==2.13.0,!=2.13.0+cpu", ""),
        ("xgboost-cpu==3.2.0", "xgboost==3.2.0", "xgboost-cpu"),
        ("tensorflow-cpu==2.21.0", "tensorflow[and-cuda]==2.21.0", "tensorflow-cpu"),
        ("tensorflow==2.21.0", "tensorflow[and-cuda]==2.21.0", ""),
        ("onnxruntime==1.32.0", "onnxruntime-gpu[cuda,cudnn]<=1.32.0", "onnxruntime"),
    ],
)
def test_the_cuda_build_of_the_version_that_trained_is_asked_for(trained: str, line: str, dropped: str) -> None:
    name, _, version = trained.partition("==")
    asked = Requirements(".venv", Path("/p"), lines=(trained, "numpy==2.1.0"), overrides=(trained, "numpy==2.1.0"))
    wanted = for_cards(asked, (Resolved(name, version, "a"), Resolved("numpy", "2.1.0", "b")))
    assert wanted is not None
    assert wanted.lines == ("numpy==2.1.0", line)
    assert wanted.overrides == ("numpy==2.1.0", *([f'{dropped} ; python_version < "3"'] if dropped else []), line)


def test_what_has_cuda_already_or_never_is_left_alone() -> None:
    asked = Requirements(".venv", Path("/p"), lines=("torch==2.13.0",))
    assert for_cards(asked, (Resolved("torch", "2.13.0", "a"), CUBLAS)) is None
    assert for_cards(asked, (Resolved("torch", "2.13.0+cu130", "a"), CUBLAS)) is None
    assert for_cards(asked, (Resolved("scikit-learn", "1.9.1", "a"),)) is None
    assert not is_for_cards((Resolved("torch", "2.13.0+cpu", "a"), CUBLAS))
    assert not is_for_cards((Resolved("onnxruntime-gpu", "1.31.1", "a"),))  # without cuDNN it finds no card


def test_an_image_with_a_gpu_says_what_is_fetched_and_is_never_made_without_cuda(tmp_path: Path) -> None:
    asked = Requirements(".venv", Path("/p"), lines=("torch==2.13.0+cpu",), overrides=("torch==2.13.0+cpu",))
    light = entry("torch", "2.13.0+cpu", "torch-2.13.0+cpu-cp311-cp311-manylinux_2_28_x86_64.whl")
    heavy = entry("torch", "2.13.0", "torch-2.13.0-cp311-cp311-manylinux_2_28_x86_64.whl").replace(
        ", hashes", ", size = 526000000, hashes"
    )
    cublas = entry("nvidia-cublas", "13.1.1", "nvidia_cublas-13.1.1-py3-none-manylinux_2_27_x86_64.whl")

    def has_both(command):
        return pylock(heavy, cublas) if "!=2.13.0+cpu" in Path(command.argv[3]).read_text() else pylock(light)

    found = resolve(asked, FakeRunner(has_both), tmp_path, has_gpu=True)
    assert [(wheel.name, wheel.version) for wheel in found.wheels] == [("nvidia-cublas", "13.1.1"), ("torch", "2.13.0")]
    assert [finding.what for finding in found.findings] == [
        "torch 2.13.0 goes into the image in place of torch 2.13.0+cpu: built for CUDA",
        "CUDA builds for resources.gpu: torch 2.13.0 with 1 package of NVIDIA's; at least 526 MB to fetch in all; "
        "1 of 2 packages come without a size",
    ]
    assert found.size == 526_000_000
    with pytest.raises(MlshipError, match=r"resources\.gpu needs builds with CUDA, and no index has torch==2\.13\.0") as raised:
        resolve(asked, FakeRunner(lambda command: pylock(light)), tmp_path, has_gpu=True)
    assert raised.value.exit is Exit.BUILD_FAILED and "leave resources.gpu out" in raised.value.fix


def test_a_disk_that_cannot_hold_cuda_is_refused_before_anything_is_fetched() -> None:
    with pytest.raises(MlshipError, match=r"CUDA builds of 3\.0 GB take about 18 GB below /home/m") as raised:
        refuse_no_room(3_000_000_000, 9_000_000_000, "/home/m")
    assert "nothing was fetched" in raised.value.fix
    refuse_no_room(3_000_000_000, 18_000_000_000, "/home/m")


def test_steps_that_fetch_say_what_cuda_weighs() -> None:
    class Told(Silent):
        said = ""

        def step(self, name: str, detail: str = "") -> None:
            self.said = f"{name} {detail}"

    told = Told()
    Weighed(told, "2.8 GB").step("packages", "installing 31")
    assert told.said == "packages installing 31  (CUDA builds, 2.8 GB to fetch)"
    Weighed(told, "2.8 GB").step("base", "debian")
    assert told.said == "base debian"


def test_a_model_of_onnxruntime_fits_its_build_with_cuda() -> None:
    assert version_findings({"onnxruntime": "1.31.1"}, {"onnxruntime-gpu": "1.31.1"}, ".venv") == ()
