from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pytest import fixture, mark, raises
from requirements_fakes import dist, environment

from mlship.errors import MlshipError
from mlship.image.packages.environment import TrainingEnvironment
from mlship.image.packages.requirements_files import requirements_of, tree_digest
from mlship.image.packages.requirements_lines import included_files, local_folders

NUMPY = dist("numpy", "2.1.0")
SKLEARN = dist("scikit-learn", "1.5.2", modules="sklearn", requires=("numpy",))


@fixture
def root(tmp_path):
    return tmp_path


def of_file(path: Path, own: tuple[str, ...] = ()):
    return requirements_of(TrainingEnvironment(path.name, "3.11", file=path), (), project_root=path.parent, own=own)


def of_environment(*distributions, modules=("sklearn",), **more):
    return requirements_of(environment(*distributions), modules, project_root=Path("/p"), **more)


def write(root: Path, name: str, text: str) -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_an_environment_is_pinned_exactly_as_it_is():
    found = of_environment(NUMPY, SKLEARN, dist("jupyter"))
    assert found.lines == ("numpy==2.1.0", "scikit-learn==1.5.2")
    assert found.overrides == ("numpy==2.1.0", "scikit-learn==1.5.2")


def test_an_environment_without_numpy_gets_the_newest_that_fits():
    assert of_environment(dist("pure"), modules=("pure",)).lines == ("pure==1.0", "numpy")


def test_what_came_from_git_is_not_looked_for_on_an_index():
    found = of_environment(NUMPY, dist("acme", origin="git+https://g.test/acme@c0"), modules=("acme",))
    assert [one.name for one in found.unindexed] == ["acme"]


def test_the_digest_changes_with_the_packages_that_are_needed_alone():
    before = of_environment(NUMPY, SKLEARN).digest
    assert of_environment(NUMPY, SKLEARN, dist("jupyter")).digest == before
    assert of_environment(NUMPY, replace(SKLEARN, version="1.5.1")).digest != before


def test_a_requirements_file_is_handed_on_as_it_is_with_numpy(root):
    path = write(root, "requirements.txt", "scikit-learn\n")
    found = of_file(path)
    assert (found.files, found.lines) == ((path,), ("numpy",))


def test_the_digest_counts_included_files_and_local_folders_but_no_paths(root):
    def digest(folder: str, more: str = "docopt\n", code: str = "x = 1\n") -> str:
        write(root, f"{folder}/more.txt", more)
        write(root, f"{folder}/libs/acme/acme.py", code)
        return of_file(write(root, f"{folder}/requirements.txt", "-r more.txt\n-e ./libs/acme  # ours\n")).digest

    before = digest("a")
    assert digest("b") == before
    assert digest("a", more="six\n") != before
    assert digest("a", code="x = 2\n") != before


def test_included_files_are_found_once_each(root):
    first = write(root, "requirements.txt", "-rmore.txt\n--constraint=c.txt\n-r https://x.test/r.txt\nsix \\\n  ==1.0\n")
    write(root, "more.txt", "-r requirements.txt\n")
    write(root, "c.txt", "")
    assert [path.name for path in included_files(first)] == ["requirements.txt", "more.txt", "c.txt"]


def test_an_included_file_that_is_not_there_is_named(root):
    with raises(MlshipError, match=r"gone\.txt cannot be read: No such file or directory"):
        of_file(write(root, "requirements.txt", "-r gone.txt\n"))


@mark.parametrize(
    ("line", "place"),
    [
        ("-e .", "."),
        ("--editable=./libs/a[fast]", "libs/a"),
        ("./libs/a ; python_version > '3'", "libs/a"),
        ("acme @ file:///srv/acme", "/srv/acme"),
        ("acme @ ./libs/acme", "libs/acme"),
        ("-e git+https://g.test/x#egg=x", None),
        ("acme @ https://x.test/a.whl", None),
        ("numpy>=2  # ./not-this", None),
        ("--find-links ./wheels", None),
    ],
)
def test_local_folders_are_recognised(root, line, place):
    found = local_folders(write(root, "requirements/prod.txt", line + "\n"), root)
    assert found == ([root / place] if place else [])


def test_an_unknown_kind_of_file_names_the_known_ones(root):
    with raises(
        MlshipError, match=r"build.requirements is Pipfile: no known kind of file; known are requirements.txt, uv.lock"
    ):
        of_file(write(root, "Pipfile", ""))


def test_a_pyproject_without_dependencies_says_so(root):
    with raises(MlshipError, match=r"pyproject.toml names no dependencies; write \[project\] dependencies, or name another"):
        of_file(write(root, "pyproject.toml", "[tool.ruff]\n"))
    assert of_file(write(root, "pyproject.toml", "[project]\ndependencies = ['six']\n")).files


def test_a_damaged_toml_file_has_the_place_of_the_mistake(root):
    with raises(MlshipError, match=r"uv.lock is not valid TOML: .*line 1"):
        of_file(write(root, "uv.lock", "= 1\n"))


def test_a_uv_lock_needs_its_project(root):
    path = write(root, "uv.lock", "version = 1\n")
    with raises(MlshipError, match=r"uv.lock has no pyproject.toml beside it; commit both, or use a requirements.txt"):
        of_file(path)
    write(root, "pyproject.toml", "[project]\n")
    assert of_file(path).exported == path


def test_the_folders_of_a_uv_lock_count(root):
    write(root, "pyproject.toml", "[project]\n")
    path = write(
        root, "uv.lock", "[[package]]\nname='a'\nsource={editable='libs/a'}\n[[package]]\nname='me'\nsource={editable='.'}\n"
    )
    assert local_folders(path, root) == [root / "libs/a"]


def test_a_file_that_is_not_text_is_refused(root):
    path = root / "requirements.txt"
    path.write_bytes(b"\xff\xfe\x00")
    with raises(MlshipError, match=r"requirements.txt is not UTF-8 text; save it as UTF-8"):
        of_file(path)


def test_a_file_of_absurd_size_is_refused(root):
    path = root / "requirements.txt"
    with path.open("wb") as file:
        file.truncate(40 * 2**20)
    with raises(MlshipError, match=r"requirements.txt has 41943040 bytes; no requirements file has more than 33554432"):
        of_file(path)


POETRY = """
[[package]]
name = "Web"
version = "1.0"
[[package]]
name = "numpy"
version = "1.26.4"
markers = "python_version < '3.12'"
[[package]]
name = "acme"
version = "0.3"
[package.source]
type = "git"
url = "https://user:tok3n@git.example.test/acme.git"
resolved_reference = "c0ffee"
[[package]]
name = "private"
version = "2.0"
[package.source]
type = "legacy"
url = "https://private.example.test/simple"
[[package]]
name = "pytest"
version = "8.0"
"""


def test_poetrys_main_group_is_wanted_and_all_that_is_locked_constrains(root):
    write(
        root,
        "pyproject.toml",
        "[tool.poetry.dependencies]\npython='^3.11'\nWeb={version='1', extras=['fast']}\nacme='*'\nprivate='*'\n",
    )
    found = of_file(write(root, "poetry.lock", POETRY))
    assert found.lines == ("acme", "private", "web[fast]", "numpy")
    assert found.constraints == ("numpy==1.26.4 ; python_version < '3.12'", "private==2.0", "pytest==8.0", "web==1.0")
    assert [one.origin for one in found.unindexed] == ["git+https://git.example.test/acme.git@c0ffee"]


def test_poetry_with_a_project_table_works_too(root):
    write(root, "pyproject.toml", "[project]\ndependencies=['Web[fast]>=1']\n")
    assert of_file(write(root, "poetry.lock", POETRY)).lines == ("web[fast]", "numpy")


@mark.parametrize("text", ["package = 3\n", "[[package]]\nname = 'a'\n", "[[package]]\nversion = '1'\n"])
def test_a_damaged_poetry_lock_is_named(root, text):
    with raises(MlshipError, match=r"poetry.lock is damaged: .*; poetry lock, then mlship build"):
        of_file(write(root, "poetry.lock", text))


def test_a_requirement_that_is_none_is_named(root):
    write(root, "pyproject.toml", "[project]\ndependencies=['a b c']\n")
    with raises(MlshipError, match=r"pyproject.toml: 'a b c' is not a requirement; correct it"):
        of_file(write(root, "poetry.lock", POETRY))


def test_condas_packages_become_requirements(root):
    text = """
name: ml
dependencies:
  - python=3.11
  - pip
  - conda-forge::scikit-learn=1.5.2=py311h0
  - pandas=2.2
  - scipy>=1.10,<2
  - numpy ==1.26.4
  - pytorch
  - pip:
      - tabulate==0.9
"""
    found = of_file(write(root, "environment.yml", text))
    assert found.lines == (
        "scikit-learn==1.5.2", "pandas==2.2.*", "scipy>=1.10,<2", "numpy==1.26.4", "torch", "tabulate==0.9", "numpy",
    )  # fmt: skip
    assert not found.findings


def test_what_only_conda_has_is_told(root):
    (finding,) = of_file(write(root, "environment.yml", "dependencies: [libgomp=12]\n")).findings
    assert finding.severity == "warning"
    assert "libgomp is a conda package without a Python package of that name; it is left out" in str(finding)
    assert "add its Debian package to build.packages, else remove libgomp" in str(finding)


@mark.parametrize(
    ("text", "message"),
    [
        ("dependencies: {", r"environment.yml is not valid YAML"),
        ("name: x\n", r"environment.yml has no list of dependencies; write dependencies: \[...\]"),
        ("a: &a [x]\nb: *c\n", r"environment.yml is not valid YAML"),
    ],
)
def test_a_damaged_environment_file_is_named(root, text, message):
    with raises(MlshipError, match=message):
        of_file(write(root, "environment.yml", text))


def test_an_entry_that_is_no_package_is_an_error(root):
    (finding,) = of_file(write(root, "environment.yml", "dependencies: ['; rm -rf /']\n")).findings
    assert str(finding).endswith("environment.yml: '; rm -rf /' is not a package; write name=version")


def test_the_digest_of_a_folder_leaves_out_what_tools_leave_there(root):
    write(root, "acme/acme.py", "x = 1\n")
    before = tree_digest(root)
    for name in (".git/config", "acme/__pycache__/a.pyc", "build/lib/a.py", "acme.egg-info/PKG-INFO", ".venv/bin/python"):
        write(root, name, "noise")
    assert tree_digest(root) == before
    write(root, "acme/more.py", "")
    assert tree_digest(root) != before
