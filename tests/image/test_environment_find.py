from __future__ import annotations

import os
import sys
from pathlib import Path

from pytest import fixture, mark, raises
from requirements_fakes import FakeRunner, NoRunner, probe_answer

from mlship.errors import MlshipError
from mlship.image.packages.find_environment import find_environment
from mlship.image.packages.interpreter import ask_interpreter, folder_modules
from mlship.runner import LocalRunner, Result

SKLEARN = {"name": "scikit-learn", "version": "1.5.2", "modules": ["sklearn"]}


def python_in(folder: Path) -> Path:
    (folder / "bin").mkdir(parents=True)
    python = folder / "bin/python"
    python.touch(mode=0o755)
    return python


def having(**by_folder):
    """A runner whose interpreters answer with packages by the name of their environment's folder."""

    def answer(command):
        folder = Path(command.argv[0]).parent.parent.name.strip(".")
        return probe_answer(distributions=by_folder[folder]) if folder in by_folder else None

    return FakeRunner(answer)


@fixture
def project(tmp_path):
    root = tmp_path / "project"
    root.mkdir()
    return root


def find(project, runner, **more):
    return find_environment(project, runner=runner, **{"environ": {}, **more})


def test_the_named_python_goes_before_everything(project):
    python_in(project / ".venv")
    python = python_in(project / "other")
    found = find(project, having(other=[SKLEARN]), python=str(python), environ={"VIRTUAL_ENV": "/x"}, requirements="r.txt")
    assert (found.python, found.source, found.version) == (python, str(python), "3.11.7")
    assert found.versions == {"scikit-learn": "1.5.2"}


def test_python_may_be_the_folder_of_an_environment(project):
    python_in(project / "other")
    assert find(project, having(other=[]), python="other").python == project / "other/bin/python"


def test_python_may_be_a_command_on_the_path(project):
    python_in(project / "tools")
    command = project / "tools/bin/python3.11"
    command.touch(mode=0o755)
    assert find(project, having(tools=[]), python="python3.11", environ={"PATH": str(command.parent)}).python == command


def test_a_python_that_is_not_there_is_named(project):
    with raises(MlshipError, match=r"--python nowhere: there is no such interpreter; give an interpreter such as"):
        find(project, NoRunner(), python="nowhere", environ={"PATH": ""})


def test_the_active_environment_goes_before_the_folder(project, tmp_path):
    python_in(project / ".venv")
    active = python_in(tmp_path / "active")
    assert find(project, having(active=[], venv=[]), environ={"VIRTUAL_ENV": str(active.parent.parent)}).python == active


def test_the_folder_is_looked_for_up_to_the_root_of_the_repository(project):
    python_in(project / ".venv")
    (project / ".git").mkdir()
    inner = project / "services/churn"
    inner.mkdir(parents=True)
    assert find(inner, having(venv=[])).python == project / ".venv/bin/python"


def test_a_folder_outside_the_repository_is_not_taken(project):
    python_in(project / ".venv")
    inner = project / "services"
    (inner / ".git").mkdir(parents=True)
    with raises(MlshipError, match=r"no training environment was found.*--python PATH"):
        find(inner, NoRunner())


def test_conda_is_taken_where_nothing_else_is(project, tmp_path):
    python_in(tmp_path / "ml")
    found = find(project, having(ml=[SKLEARN]), environ={"CONDA_PREFIX": str(tmp_path / "ml")}, modules=("sklearn",))
    assert found.source == "conda environment ml"


def test_the_base_of_conda_counts_only_with_the_packages(project, tmp_path):
    python_in(tmp_path / "base")
    environ = {"CONDA_PREFIX": str(tmp_path / "base"), "CONDA_DEFAULT_ENV": "base"}
    (project / "requirements.txt").write_text("scikit-learn\n")
    assert find(project, having(base=[SKLEARN]), environ=environ, modules=("sklearn",)).python
    assert find(project, having(base=[]), environ=environ, modules=("sklearn",), python_version="3.11").file


def test_an_environment_without_the_models_packages_is_refused_with_the_candidates(project):
    for name in (".venv", "venv"):
        python_in(project / name)
    (project / "requirements.txt").write_text("scikit-learn\n")
    with raises(MlshipError) as caught:
        find(project, having(venv=[]), modules=("sklearn", "os", "pandas"))
    assert str(caught.value) == (
        f"{project}/.venv/bin/python  the training environment .venv (Python 3.11.7) lacks pandas and sklearn, which the "
        "model needs; name the environment that trained the model: --python venv/bin/python or "
        "build.requirements: requirements.txt; or install there: pip install pandas scikit-learn"
    )


def test_an_environment_whose_python_is_gone_is_an_error_not_a_surprise(project):
    python_in(project / ".venv")
    with raises(MlshipError, match=r"/gone has no Python that can be started; make the environment again"):
        find(project, NoRunner(), environ={"VIRTUAL_ENV": "/gone"})


def test_a_dangling_link_says_where_it_pointed(project):
    (project / ".venv/bin").mkdir(parents=True)
    (project / ".venv/bin/python").symlink_to("/old/python3.9")
    with raises(MlshipError, match=r"\.venv has no Python that can be started: it pointed to /old/python3.9, which is gone"):
        find(project, NoRunner())


def test_a_named_file_goes_before_environments(project):
    python_in(project / ".venv")
    (project / "req.txt").write_text("numpy\n")
    found = find(project, having(venv=[]), requirements="req.txt")
    assert (found.file, found.source, found.minor) == (project / "req.txt", "req.txt", "3.11")


def test_a_named_file_that_is_not_there_shows_what_is(project):
    (project / "uv.lock").touch()
    with raises(MlshipError, match=r"build.requirements is req.txt: there is no such file; there are: uv.lock"):
        find(project, NoRunner(), requirements="req.txt")
    (project / "uv.lock").unlink()
    with raises(MlshipError, match=r"remove it to use the training environment"):
        find(project, NoRunner(), requirements="req.txt")


def test_the_most_exact_file_is_taken(project):
    for name in ("requirements.txt", "pyproject.toml", "poetry.lock"):
        (project / name).write_text("")
    assert find(project, NoRunner(), python_version="3.12").source == "poetry.lock"


def test_without_any_hint_of_a_python_the_file_is_not_enough(project):
    (project / "requirements.txt").write_text("numpy\n")
    with raises(MlshipError, match=r'requirements.txt does not say which Python it is for; write build: \{python: "3.11"\}'):
        find(project, NoRunner(), environ={"PATH": ""})


@mark.parametrize(
    ("file", "text", "version"),
    [
        ("pyproject.toml", "[project]\nrequires-python = '>=3.12'\n", "3.12"),
        ("pyproject.toml", "[project]\nrequires-python = '>=3.9,<3.13'\n", "3.11"),
        ("pyproject.toml", "[tool.poetry.dependencies]\npython = '^3.12'\n", "3.12"),
        ("pyproject.toml", "[tool.poetry.dependencies]\npython = '~3.10'\n", "3.10"),
        ("uv.lock", "requires-python = '==3.13.*'\n", "3.13"),
        ("poetry.lock", "[metadata]\npython-versions = '>=3.10'\n", "3.11"),
        ("environment.yml", "dependencies:\n  - python=3.12\n", "3.12"),
        ("requirements.txt", "numpy\n", "3.11"),
        ("pyproject.toml", "[project]\nrequires-python = 'odd'\n", "3.11"),
    ],
)
def test_files_tell_their_python(project, file, text, version):
    python_in(project / ".venv")
    (project / file).write_text(text)
    assert find(project, having(venv=[]), requirements=file).minor == version


def test_a_python_version_file_says_it_exactly(project):
    python_in(project / ".venv")
    (project / ".python-version").write_text("3.13.1\n")
    (project / "requirements.txt").write_text("numpy\n")
    found = find(project, having(venv=[]), requirements="requirements.txt")
    assert (found.version, found.python) == ("3.13", None)


def refused_probe(version: str):
    def answer(command):
        return Result(2, b"", b"Unknown option: -I") if "-I" in command.argv else version.encode()

    return FakeRunner(answer)


@mark.parametrize(
    ("told", "message"),
    [
        ("CPython 2.7.18", r"\.venv has Python 2\.7\.18; the oldest that can be read is 3\.8; train the model with a newer"),
        ("CPython 3.6.15", r"\.venv has Python 3\.6\.15"),
        ("PyPy 3.10.1", r"\.venv has PyPy; images run CPython, for which its packages are not made; train"),
        ("CPython 3.11.7", r"the packages of \.venv cannot be read \(exit 2\); make the environment again"),
        ("", r"\.venv is no Python; name an interpreter such as"),
    ],
)
def test_an_interpreter_that_cannot_be_used_says_why(told, message):
    with raises(MlshipError, match=message):
        ask_interpreter(Path("/env/bin/python"), ".venv", refused_probe(told))


def test_a_program_that_is_no_python_does_not_echo_what_it_was_asked():
    def answer(command):
        said = f"cannot access {command.argv[-1]}\nsee --help"
        return Result(2, b"", said.encode())

    with raises(MlshipError, match=r"the interpreter of /bin/ls does not start \(exit 2\); make the environment") as refused:
        ask_interpreter(Path("/bin/ls"), "/bin/ls", FakeRunner(answer))
    assert refused.value.details == ("see --help",)


def test_pypy_is_refused_by_its_own_answer():
    runner = FakeRunner(lambda command: probe_answer(implementation="pypy"))
    with raises(MlshipError, match="has pypy; images run CPython"):
        ask_interpreter(Path("/env/bin/python"), ".venv", runner)


def test_a_file_that_is_no_program_is_named(tmp_path):
    python = tmp_path / "python"
    python.write_text("not a program")
    python.chmod(0o755)
    with raises(MlshipError, match=r"the interpreter of \.venv does not start: Exec format error"):
        ask_interpreter(python, ".venv", LocalRunner())


def from_direct_url(installer="pip", **direct):
    entry = {"name": "acme", "version": "1.0", "modules": ["acme"], "installer": installer, "direct_url": direct}
    found = ask_interpreter(Path("/p"), ".venv", FakeRunner(lambda command: probe_answer(distributions=[entry])))
    return found.distributions["acme"]


def test_a_git_package_keeps_its_commit_and_loses_its_credentials():
    git = {"vcs": "git", "commit_id": "c0ffee"}
    found = from_direct_url(url="https://user:tok3n@git.example.test/acme.git", vcs_info=git, subdirectory="py")
    assert found.origin == "git+https://git.example.test/acme.git@c0ffee#subdirectory=py"
    assert (
        from_direct_url(url="ssh://git@git.example.test/a.git", vcs_info=git).origin
        == "git+ssh://git@git.example.test/a.git@c0ffee"
    )


def test_a_package_in_development_has_its_folder(tmp_path):
    found = from_direct_url(url=tmp_path.as_uri(), dir_info={"editable": True})
    assert (found.origin, found.editable) == (f"file:{tmp_path}", True)


def test_paths_of_condas_build_machines_say_nothing(tmp_path):
    assert from_direct_url(installer="conda", url=tmp_path.as_uri(), dir_info={}).origin == ""
    assert from_direct_url(url="file:///home/feedstock/build_artifacts/acme", dir_info={}).origin == ""


def test_the_address_of_a_wheel_is_kept_without_its_token():
    assert (
        from_direct_url(url="https://t:k@x.example.test/acme.whl?sig=1", archive_info={}).origin
        == "https://x.example.test/acme.whl"
    )


def test_damaged_metadata_is_passed_over():
    entries = [{"name": "~umpy", "version": "1.0"}, {"name": "a b", "version": "1"}, SKLEARN]
    found = ask_interpreter(Path("/p"), ".venv", FakeRunner(lambda command: probe_answer(distributions=entries)))
    assert list(found.distributions) == ["scikit-learn"]


def test_the_modules_of_a_project_folder_are_its_packages(tmp_path):
    (tmp_path / "acme").mkdir()
    (tmp_path / "acme/__init__.py").touch()
    for name in ("setup.py", "single.py"):
        (tmp_path / name).touch()
    assert folder_modules(tmp_path) == ("acme", "single")
    (tmp_path / "src/inner").mkdir(parents=True)
    (tmp_path / "src/inner/__init__.py").touch()
    assert folder_modules(tmp_path) == ("inner",)


def test_a_real_interpreter_tells_its_packages():
    found = ask_interpreter(Path(sys.executable), "this one", LocalRunner())
    assert found.version == ".".join(map(str, sys.version_info[:3]))
    assert found.distributions["pytest"].modules and "iniconfig" in " ".join(found.distributions["pytest"].requires)
    assert os.fspath(found.prefix) == sys.prefix


@mark.parametrize(("path", "module"), [("a/b.py", "a"), ("six.py", "six"), ("x.cpython-311-x86_64-linux-gnu.so", "x"),
                                       ("a-1.dist-info/RECORD", None), ("../../bin/x", None), ("a.libs/z.so", None),
                                       ("__pycache__/six.pyc", None), ("my-data/x.py", None), ("x.pth", None)])  # fmt: skip
def test_paths_of_a_record_tell_the_import_name(path, module):
    from mlship.image.packages.probe import top_level

    assert top_level(path) == module
