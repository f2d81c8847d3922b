"""What is told of a lock that does not fit any more, by name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from test_gather_flow import SERVER, SPEC, gathered

from mlship.config.schema import Gpu, Resources
from mlship.errors import Exit, FindingsError
from mlship.flows.building.inputs import keep_models, lock_inputs, locked_models
from mlship.flows.gather import Gathered
from mlship.flows.lock_drift import drift, model_changes, refuse_drift
from mlship.flows.locking import asked_of
from mlship.image.lock import Lock, LockedModel, LockFile
from mlship.image.lock_file import read_lock_file, write_lock


def asking(folder: Path, *lines: str, digest: str = "one", **build: object) -> Gathered:
    facts = gathered(folder, **build)
    return replace(facts, requirements=replace(facts.requirements, lines=lines, digest=digest))


def file_of(facts: Gathered) -> LockFile:
    lock = Lock("3.11", "linux/amd64", "bookworm", (), (), lock_inputs(facts), server=SERVER, asked=asked_of(facts))
    return LockFile((lock,), locked_models(facts))


def said(facts: Gathered, file: LockFile, **more: bool) -> list[str]:
    return [finding.what for finding in drift(facts, file, **more)]


def test_a_lock_that_fits_has_no_drift_whatever_the_facts_of_its_making(tmp_path: Path) -> None:
    facts = asking(tmp_path, "numpy>=2")
    file = file_of(facts)
    other = replace(file.locks[0], made="2020-01-01", compressor="zlib 1.3 level 1", diff_id=f"sha256:{'0' * 64}")
    assert said(facts, file) == said(facts, replace(file, locks=(other,))) == []


def test_each_requirement_package_and_python_that_changed_is_named(tmp_path: Path) -> None:
    before = asking(tmp_path, "numpy>=2", "old==1", "pandas==2.2.0", packages=("libgomp1", "libpq5"))
    after = asking(tmp_path, "numpy>=2", "pandas==2.3.1", "Polars <2", digest="two", packages=("libpq5", "ffmpeg"))
    assert said(replace(after, minor="3.13"), file_of(before)) == [
        "Python 3.11 is locked, and 3.13 is wanted",
        "build.packages has ffmpeg, which is not locked",
        "libgomp1 is locked, and build.packages does not have it any more",
        "old==1 is locked, and .venv does not ask for it any more",
        "pandas==2.2.0 is locked, and .venv asks for pandas==2.3.1",
        ".venv asks for polars<2, which is not locked",
    ]
    assert said(asking(tmp_path, base="debian:12"), file_of(asking(tmp_path))) == [
        "build.base debian is locked, and mlship.yaml says debian:12"
    ]


def test_what_has_no_name_is_said_as_far_as_it_is_known(tmp_path: Path) -> None:
    before, edited = asking(tmp_path, "numpy"), asking(tmp_path, "numpy", digest="two")
    assert said(edited, file_of(before)) == [
        ".venv was edited, or a folder that it names; the packages that it asks for are the same"
    ]
    first = replace(file_of(before).locks[0], asked=None, server=())
    assert said(before, LockFile((first,))) == []
    assert said(edited, LockFile((first,))) == [
        ".venv or mlship.yaml changed (an earlier mlship wrote mlship.lock, without what it was asked for)"
    ]
    assert said(before, LockFile()) == ["there is no mlship.lock"]
    assert said(replace(before, platform="linux/arm64"), file_of(before)) == [
        "mlship.lock has nothing for linux/arm64, only for linux/amd64"
    ]


def test_a_gpu_that_came_or_went_is_named(tmp_path: Path) -> None:
    cpu = asking(tmp_path, "torch==2.13.0")
    gpu = replace(cpu, project=replace(cpu.project, resources=Resources(gpu=Gpu(count=1))))
    assert said(gpu, file_of(cpu)) == ["builds for CPUs are locked, and mlship.yaml has resources.gpu"]
    assert said(cpu, file_of(gpu)) == ["CUDA builds are locked, and mlship.yaml has no resources.gpu"]
    two = replace(gpu, project=replace(gpu.project, resources=Resources(gpu=Gpu(count=2))))
    assert said(two, file_of(gpu)) == []


def test_the_packages_of_another_mlships_server_are_drift(tmp_path: Path) -> None:
    facts = asking(tmp_path)
    file = file_of(facts)
    older = tuple(replace(wheel, version="0.1") if wheel.name == "orjson" else wheel for wheel in SERVER)
    (change,) = said(facts, replace(file, locks=(replace(file.locks[0], server=older),)))
    assert change.startswith("orjson 0.1 is locked, and this mlship's server has ")


def test_a_model_that_nobody_locked_is_refused_unless_it_was_just_trained(tmp_path: Path) -> None:
    facts = asking(tmp_path)
    write_lock(tmp_path / "mlship.lock", file_of(facts).locks, locked_models(facts))
    trained = replace(facts, specs=(replace(SPEC, sha256="bb" * 32),))
    with pytest.raises(FindingsError, match=r"mlship.lock does not fit \.venv and mlship.yaml any more") as refused:
        refuse_drift([trained])
    assert refused.value.exit is Exit.BUILD_FAILED
    assert "the model churn (model.joblib) is bbbbbbbbbbbb, and aaaaaaaaaaaa is locked; mlship lock writes" in str(
        refused.value
    )
    assert "add --retrained" in str(refused.value)
    refuse_drift([trained], retrained=True)
    refuse_drift([facts])


def test_models_that_come_and_go_are_named() -> None:
    churn, fraud = LockedModel("churn", "a.joblib", "aa" * 32), LockedModel("fraud", "b.joblib", "bb" * 32)
    assert list(model_changes((churn,), (fraud,))) == [
        "churn is locked, and mlship.yaml does not have it any more",
        "fraud is not locked",
    ]
    assert list(model_changes((churn,), (replace(churn, path="c.joblib"),))) == ["churn is c.joblib, and a.joblib is locked"]
    assert list(model_changes(None, (churn,))) == []


def test_the_same_remedy_is_said_once(tmp_path: Path) -> None:
    write_lock(tmp_path / "mlship.lock", file_of(asking(tmp_path, "a", "b")).locks)
    with pytest.raises(FindingsError) as refused:
        refuse_drift([asking(tmp_path, digest="two")])
    assert [finding.fix for finding in refused.value.findings] == ["", "mlship lock writes the lock anew; commit it"]


def test_a_build_names_its_models_in_a_lock_that_is_there_and_touches_nothing_else(tmp_path: Path) -> None:
    facts = asking(tmp_path)
    keep_models(facts)
    assert not (tmp_path / "mlship.lock").exists()
    before = file_of(facts)
    write_lock(tmp_path / "mlship.lock", before.locks, before.models)
    trained = replace(facts, specs=(replace(SPEC, sha256="bb" * 32),))
    keep_models(trained)
    assert read_lock_file(tmp_path / "mlship.lock") == LockFile(before.locks, locked_models(trained))
