"""What `init` proposes for a model file of a class of one's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlship.errors import MlshipError
from mlship.frameworks.propose import propose_own_class


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name, text in {
        "iris/__init__.py": "",
        "iris/model.py": "import shared\n\n\nclass Nearest: ...\n",
        "shared.py": "",
        "train.py": "import sklearn\n",
        "centres.json": "{}",
    }.items():
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    return tmp_path


def test_the_module_and_what_it_imports_of_the_project_are_the_code(project: Path) -> None:
    found = propose_own_class(project / "centres.json", project, "iris.model:Nearest")
    assert (found.framework, found.format, found.loader) == ("python", "none", "iris.model:Nearest")
    assert found.code == ("iris/", "shared.py")
    assert found.trust == ()


def test_a_class_below_src_is_found(project: Path) -> None:
    (project / "iris").rename(project / "src")
    (project / "src" / "flowers").mkdir()
    (project / "src" / "flowers" / "__init__.py").write_text("")
    assert propose_own_class(project / "centres.json", project, "flowers:Nearest").code == ("src/flowers/",)


def test_a_module_that_is_not_the_projects_has_to_be_installed(project: Path) -> None:
    assert propose_own_class(project / "centres.json", project, "acme_models.net:Net").code == ()


def test_a_folder_may_be_what_the_class_loads(project: Path) -> None:
    assert propose_own_class(project / "iris", project, "shared:Nearest").code == ("shared.py",)


@pytest.mark.parametrize(
    ("loader", "message"),
    [
        ("irs.model:Nearest", r"there is no module irs\.model in .*; did you mean iris\?"),
        ("iris.modle:Nearest", r"there is no module iris\.modle in iris/; name the module and the class in it"),
    ],
)
def test_a_module_that_is_not_there_is_said(project: Path, loader: str, message: str) -> None:
    with pytest.raises(MlshipError, match=message):
        propose_own_class(project / "centres.json", project, loader)


def test_a_model_file_that_is_not_there_is_said(project: Path) -> None:
    with pytest.raises(MlshipError, match=r"there is no c\.json in .*train and save the model first"):
        propose_own_class(project / "c.json", project, "iris.model:Nearest")
