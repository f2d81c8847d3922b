"""Several platforms: what one proves for another, which image a place gets, and what is refused before anything is built."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from test_gather_flow import SPEC, gathered

from mlship.errors import Exit, MlshipError
from mlship.flows.fitting import built_together, fitting, refuse_unbuilt
from mlship.flows.gather import own_platform
from mlship.flows.platforms import left_for_deploy, proved_elsewhere, refuse_builder, version_differences
from mlship.image.lock import Lock
from mlship.image.plan import Wheel
from mlship.image.record import BuildRecord, BuildRecords

AMD, ARM = "linux/amd64", "linux/arm64"
OTHER = ARM if own_platform() == AMD else AMD
CONTENTS = {AMD: "sha256:" + "aa" * 32, ARM: "sha256:" + "bb" * 32}
RECORDS = tuple(
    BuildRecord("in", content, "churn", name, 0.0, "1", (), platforms=CONTENTS) for name, content in CONTENTS.items()
)


def test_each_place_gets_the_image_that_its_machine_runs() -> None:
    assert fitting(RECORDS, ARM).content == CONTENTS[ARM]
    assert fitting(RECORDS, "").platform == AMD
    assert fitting(RECORDS, "linux/s390x").platform == AMD


def test_a_place_that_no_image_would_fit_is_refused_before_it_is_built(tmp_path: Path) -> None:
    project = gathered(tmp_path, platforms=(AMD,)).project
    refuse_unbuilt(project, AMD, "docker")
    refuse_unbuilt(project, "", "fake")
    with pytest.raises(MlshipError, match="docker runs linux/arm64, and a build of churn has linux/amd64") as refused:
        refuse_unbuilt(project, ARM, "docker")
    assert refused.value.fix == "write build: {platforms: [linux/amd64, linux/arm64]}"
    assert refused.value.exit is Exit.USAGE


def test_an_image_brings_those_of_its_build_that_are_still_here(tmp_path: Path) -> None:
    records = BuildRecords(tmp_path)
    records.write(RECORDS[0])
    assert built_together(records, RECORDS[1]) == (RECORDS[1], RECORDS[0])
    assert built_together(records, RECORDS[0]) == (RECORDS[0],)
    alone = replace(RECORDS[0], platforms={})
    assert built_together(records, alone) == (alone,)


def test_what_a_deployment_has_to_prove_is_said_for_each_model() -> None:
    assert left_for_deploy([replace(SPEC, sample=({"age": 30},) * 20)], "on linux/amd64") == (
        "churn loads, with all modules and shared libraries that it imports",
        "churn answers its sample of 20 as on linux/amd64 (rtol 1e-06)",
    )
    assert len(left_for_deploy([SPEC], "in .venv")) == 1


def test_a_platform_that_nothing_here_can_load_a_model_for_is_refused(tmp_path: Path) -> None:
    facts = replace(gathered(tmp_path, platforms=(OTHER,)), platform=OTHER)
    nobody = replace(facts, environment=replace(facts.environment, python=None))
    with pytest.raises(MlshipError, match=f"no program of {OTHER} runs on this machine") as refused:
        proved_elsewhere(None, nobody, None)
    assert "add this machine's platform to build.platforms" in refused.value.fix


def test_buildkit_makes_one_platform(tmp_path: Path) -> None:
    facts = gathered(tmp_path, platforms=(AMD, ARM))
    refuse_builder("mlship", (facts, facts))
    refuse_builder("docker", (facts,))
    with pytest.raises(MlshipError, match="--builder docker makes one platform"):
        refuse_builder("docker", (facts, facts))


def test_a_package_in_two_versions_is_said() -> None:
    one = Lock("3.11", AMD, "bookworm", (), (Wheel("numpy", "2.4", "aa" * 32), Wheel("joblib", "1.5", "bb" * 32)), "in")
    other = replace(one, platform=ARM, wheels=(replace(one.wheels[0], version="2.3"), one.wheels[1]))
    [finding] = version_differences([one, other])
    assert finding.what == "numpy is 2.4 on linux/amd64 and 2.3 on linux/arm64" and finding.severity == "warning"
    assert version_differences([one]) == ()
