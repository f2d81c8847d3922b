"""What a build starts from, and when a lock still fits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from mlship.config.project import Project
from mlship.config.schema import Build, Model
from mlship.errors import Exit, Finding, FindingsError, MlshipError
from mlship.flows.building.inputs import current_lock, lock_inputs
from mlship.flows.gather import (
    Gathered,
    for_platforms,
    minor_findings,
    old_python_findings,
    own_modules,
    recorded_findings,
    refuse_errors,
    specs_of,
    wanted_platforms,
)
from mlship.flows.layers import LARGE, code_plans, image_config, model_plans
from mlship.flows.locking import locked
from mlship.flows.model_check import refuse_foreign
from mlship.flows.reports import inputs_line
from mlship.flows.used_keys import used_keys
from mlship.frameworks.base import CodeFile, ModelFile, ModelSpec
from mlship.home import Home
from mlship.image.lock import Lock
from mlship.image.lock_file import write_lock
from mlship.image.packages.environment import Distribution, TrainingEnvironment
from mlship.image.packages.indexes import Indexes
from mlship.image.packages.requirements_files import Requirements
from mlship.image.packages.wheels import server_pins
from mlship.image.plan import Wheel, entrypoint
from mlship.image.workplace import Workplace
from mlship.progress import Silent
from mlship.runner import LocalRunner
from mlship.server.manifest import Feature, Signature

SPEC = ModelSpec(
    name="churn",
    uri="model.joblib",
    files=(ModelFile(Path("model.joblib"), "model.joblib", "aa" * 32, 12),),
    framework="sklearn",
    format="joblib",
    sha256="aa" * 32,
    versions={"scikit-learn": "1.5.2"},
    code=(CodeFile(Path("churn/__init__.py"), "churn/__init__.py", "bb" * 32, 0), CodeFile(Path("f.py"), "f.py", "cc" * 32, 3)),
)

# of this mlship's server, as a lock has them
SERVER = tuple(
    Wheel(name.replace("_", "-"), version, "dd" * 32)
    for name, _, version in (pin.partition("==") for pin in server_pins("3.11"))
)


def gathered(folder: Path, **build: object) -> Gathered:
    project = Project(
        folder / "mlship.yaml", "churn", "", "local", (("churn", Model(uri="model.joblib")),), build=Build(**build)
    )
    environment = TrainingEnvironment(
        ".venv",
        "3.11.7",
        Path("python"),
        distributions={"scikit-learn": Distribution("scikit-learn", "1.9.1")},
    )
    requirements = Requirements(".venv", folder, digest="one")
    return Gathered(project, (SPEC,), environment, requirements, Indexes(), "linux/amd64", "3.11", ())


def workplace(folder: Path) -> Workplace:
    return Workplace(Home(folder / "home"), LocalRunner(), Silent(), {})


def test_modules_of_two_models_that_have_one_name_are_told(tmp_path: Path) -> None:
    models = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "net.py").write_text(f"class Net:\n    name = '{name}'\n")
        (tmp_path / name / "weights").write_text("1")
        models.append((name, Model(uri=f"{name}/weights", framework="python", loader="net:Net", code=(f"{name}/net.py",))))
    project = Project(tmp_path / "mlship.yaml", "churn", "", "local", tuple(models))
    _, findings = specs_of(project)
    assert [finding.what for finding in findings] == ["a/net.py and b/net.py would both be net.py in the image"]


def test_a_lock_is_used_while_nothing_that_it_depends_on_has_changed(tmp_path: Path) -> None:
    facts = gathered(tmp_path)
    lock = Lock("3.11", "linux/amd64", "bookworm", (), (), lock_inputs(facts), server=SERVER)
    write_lock(tmp_path / "mlship.lock", [lock])
    assert current_lock(facts) == lock
    assert locked(workplace(tmp_path), facts, lambda: None, frozen=True, now=0).lock == lock
    for changed in (
        replace(facts, requirements=replace(facts.requirements, digest="two")),
        replace(facts, minor="3.13"),
        replace(facts, platform="linux/arm64"),
        gathered(tmp_path, packages=("libgomp1",)),
    ):
        assert current_lock(changed) is None


def test_a_frozen_lock_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MlshipError, match=r"mlship.lock does not fit \.venv and mlship.yaml any more") as refused:
        locked(workplace(tmp_path), gathered(tmp_path), lambda: None, frozen=True, now=0)
    assert refused.value.exit is Exit.BUILD_FAILED


def test_without_an_archive_nothing_can_be_resolved(tmp_path: Path) -> None:
    with pytest.raises(MlshipError, match="no package archive to take the base from"):
        locked(workplace(tmp_path), gathered(tmp_path), lambda: None, frozen=False, now=0)


def test_a_model_of_another_minor_version_is_an_error(tmp_path: Path) -> None:
    facts = gathered(tmp_path)
    (finding,) = recorded_findings(facts.specs, facts.environment)
    assert finding.severity == "error"
    assert "1.5.2" in finding.what and "1.9.1" in finding.what


def test_another_python_than_the_trained_one_is_said(tmp_path: Path) -> None:
    facts = gathered(tmp_path, python="3.13")
    (finding,) = minor_findings(facts.project, facts.environment)
    assert finding.what == "build.python is 3.13, but .venv is Python 3.11.7"
    assert minor_findings(gathered(tmp_path, python="3.11").project, facts.environment) == ()


@pytest.mark.parametrize(("minor", "refused"), [("", 0), ("3.8", 1), ("3.10", 1), ("3.11", 0), ("3.20", 0)])
def test_a_python_that_the_server_does_not_start_with_is_refused(minor: str, refused: int, tmp_path: Path) -> None:
    facts = gathered(tmp_path, python=minor)
    found = old_python_findings(facts.project, facts.environment)
    assert [(finding.code, finding.severity) for finding in found] == [("not-yet", "error")] * refused


def test_errors_stop_a_build_and_warnings_do_not(tmp_path: Path) -> None:
    warned = replace(gathered(tmp_path), findings=(Finding("old", severity="warning"),))
    assert refuse_errors(warned) == warned
    with pytest.raises(FindingsError, match="churn has a problem"):
        refuse_errors(replace(warned, findings=(Finding("bad"),)))


def test_own_modules_are_packages_and_single_files() -> None:
    assert own_modules((SPEC,)) == ("churn", "f")


def test_the_platforms_are_the_files_with_this_machines_first(tmp_path: Path) -> None:
    [here] = wanted_platforms(gathered(tmp_path).project)
    other = "linux/arm64" if here == "linux/amd64" else "linux/amd64"
    assert wanted_platforms(gathered(tmp_path, platforms=(other,)).project) == (other,)
    assert wanted_platforms(gathered(tmp_path, platforms=(other, here)).project) == (here, other)


def test_each_platform_has_requirements_of_its_own(tmp_path: Path) -> None:
    both = gathered(tmp_path, platforms=("linux/amd64", "linux/arm64"))
    needs = ('mkl; platform_machine == "x86_64"',)
    sklearn = replace(both.environment.distributions["scikit-learn"], requires=needs, modules=("sklearn",))
    installed = {"scikit-learn": sklearn, "mkl": Distribution("mkl", "1.0")}
    own = replace(
        both,
        environment=replace(both.environment, distributions=installed),
        findings=(Finding("old", severity="warning"),),
        specs=(replace(SPEC, code=(), modules=("sklearn",)),),
        platform=wanted_platforms(both.project)[0],
    )
    [_, other] = for_platforms(own)
    assert other.platform == wanted_platforms(both.project)[1]
    pins = {pin.partition("=")[0] for pin in other.requirements.overrides}
    assert ("mkl" in pins) == (other.platform == "linux/amd64")
    assert other.findings == own.findings


def test_layers_of_models_and_code_depend_on_contents_and_names_only(tmp_path: Path) -> None:
    [plan] = model_plans(SPEC)
    assert [file.target for file in plan.files] == ["/opt/mlship/models/churn/model.joblib"]
    elsewhere = replace(SPEC, files=(replace(SPEC.files[0], path=Path("/elsewhere/model.joblib")),))
    assert model_plans(elsewhere)[0].key == plan.key
    assert model_plans(replace(SPEC, files=(replace(SPEC.files[0], sha256="dd" * 32),)))[0].key != plan.key
    (code,) = code_plans(gathered(tmp_path))
    assert [file.target for file in code.files] == ["/opt/mlship/code/churn/__init__.py", "/opt/mlship/code/f.py"]
    assert code_plans(replace(gathered(tmp_path), specs=(replace(SPEC, code=()),))) == ()


def test_a_large_file_of_a_model_has_a_layer_of_its_own() -> None:
    small, large = SPEC.files[0], replace(SPEC.files[0], name="weights.bin", size=LARGE, sha256="ee" * 32)
    plans = model_plans(replace(SPEC, files=(small, replace(small, name="config.json"), large)))
    assert [(plan.name, len(plan.files)) for plan in plans] == [("churn", 2), ("churn weights.bin", 1)]
    [alone] = model_plans(replace(SPEC, files=(replace(small, size=LARGE),)))
    assert alone.name == "churn"


def test_the_image_says_whose_it_is_and_how_it_starts(tmp_path: Path) -> None:
    config = image_config(gathered(tmp_path), entrypoint("/usr/bin/python3.11"))
    assert config.labels["mlship.project"] == "churn"
    assert config.entrypoint[0] == "/usr/bin/python3.11"
    assert config.user == "65532:65532"


def test_the_keys_that_a_target_has_to_honour_are_named_with_their_places(tmp_path: Path) -> None:
    project = gathered(tmp_path).project
    positions = {"name": (1, 1), "env": (2, 1), "env.LOG": (2, 7), "resources": (3, 1), "resources.memory": (3, 13)}
    assert used_keys(replace(project, positions=positions)) == {
        "env": "mlship.yaml:2:1 env",
        "resources.memory": "mlship.yaml:3:13 resources.memory",
    }


def test_inputs_in_one_line() -> None:
    features = (Feature("a", "string", nullable=True), Feature("b"), Feature("c", "string"))
    assert inputs_line(Signature(features)) == "3 features (2 text, 1 nullable)"
    assert inputs_line(Signature((Feature("a"),))) == "1 feature"
    assert inputs_line(Signature()) == ""


def test_a_library_of_this_machine_that_the_image_lacks_ends_the_build() -> None:
    own = "/home/rootfs/usr/lib/libc.so.6"
    refuse_foreign([Path("/home/rootfs")], "churn", [own])
    with pytest.raises(MlshipError, match=r"churn loads libgomp\.so\.1, which the image does not have"):
        refuse_foreign([Path("/home/rootfs")], "churn", [own, "/usr/lib/libgomp.so.1"])
