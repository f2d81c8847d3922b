"""Finds the environment that the model was trained in. It is never the one that mlship itself runs in by chance."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from mlship.errors import MlshipError
from mlship.frameworks.base import Pinned
from mlship.image.packages.closure import missing_modules, package_name
from mlship.image.packages.environment import TrainingEnvironment
from mlship.image.packages.interpreter import ask_interpreter
from mlship.image.packages.pinned import has_pinned
from mlship.image.packages.python_version import python_of_file
from mlship.memo import FORGETFUL, Memo
from mlship.runner import Runner

# In the order of how exactly they say what was installed.
FILES = ("uv.lock", "poetry.lock", "pyproject.toml", "requirements.txt", "environment.yml", "environment.yaml")


@dataclass(frozen=True)
class Candidate:
    """A place where an interpreter should be. source: as people call it; python: the interpreter that it should have."""

    source: str
    python: Path
    optional: bool = False


def find_environment(
    project_root: Path,
    *,
    python: str = "",
    requirements: str | None = None,
    environ: Mapping[str, str],
    runner: Runner,
    modules: tuple[str, ...] = (),
    python_version: str = "",
    memo: Memo = FORGETFUL,
    pinned: Pinned | None = None,
) -> TrainingEnvironment:
    """The training environment: `--python`, else VIRTUAL_ENV, `.venv`, conda; else a file that names the packages.

    python: what --python says: an interpreter, an environment's folder, or a command. requirements: `build.requirements`,
    which goes before every environment but --python. modules: import names that the model needs; an environment without
    them is refused. python_version: `build.python`, for files that do not tell it. memo: interpreters that are known from
    before are not started. pinned: packages that came with the model; an environment that has not these very versions is passed
    over for them. Starts at most a few.
    """
    project_root = project_root.absolute()

    def ask(path: Path, source: str) -> TrainingEnvironment:
        return ask_interpreter(path, source, runner, memo, environ)

    if python:
        chosen = ask(interpreter_of(python, project_root, environ), python)
        return _complete(chosen, modules, project_root, environ)
    if requirements is not None:
        return _from_file(_named_file(project_root, requirements), project_root, environ, ask, python_version)
    passed_over = ""
    for candidate in candidates(project_root, environ):
        found = ask(_existing(candidate), candidate.source)
        if pinned is not None and not has_pinned(found, pinned, modules):
            passed_over = passed_over or candidate.source
            continue
        if candidate.optional and missing_modules(found, modules):
            continue
        return _complete(found, modules, project_root, environ)
    if pinned is not None:
        found = _from_file(pinned.file, project_root, environ, ask, python_version or pinned.python)
        return replace(found, pinned=pinned, passed_over=passed_over)
    for name in FILES:
        if (project_root / name).is_file():
            return _from_file(project_root / name, project_root, environ, ask, python_version)
    raise MlshipError(
        "no training environment was found: no active environment, no .venv, no file that names packages",
        where=str(project_root),
        fix="name the Python that trained the model: --python PATH; or write a requirements.txt beside mlship.yaml",
        code="no-environment",
    )


def candidates(project_root: Path, environ: Mapping[str, str]) -> list[Candidate]:
    """Where the environment may be, first choice first."""
    found = []
    if environ.get("VIRTUAL_ENV"):
        folder = Path(environ["VIRTUAL_ENV"])
        found.append(Candidate(_shown(folder, project_root), _python_in(folder)))
    for folder in _folders_up(project_root):
        if (folder / ".venv").is_dir():
            found.append(Candidate(_shown(folder / ".venv", project_root), _python_in(folder / ".venv")))
            break
    if environ.get("CONDA_PREFIX"):
        folder = Path(environ["CONDA_PREFIX"])
        name = environ.get("CONDA_DEFAULT_ENV") or folder.name
        is_base = name == "base" or (folder / "condabin").is_dir()
        found.append(Candidate(f"conda environment {name}", _python_in(folder), optional=is_base))
    return found


def interpreter_of(python: str, project_root: Path, environ: Mapping[str, str]) -> Path:
    """The interpreter that `--python` means. Raises MlshipError where there is none."""
    path = Path(python).expanduser()
    path = path if path.is_absolute() else project_root / path
    if path.is_dir():
        return _existing(Candidate(python, _python_in(path)))
    if path.is_file():
        return path
    if os.sep not in python:
        on_path = shutil.which(python, path=environ.get("PATH"))
        if on_path:
            return Path(on_path)
    raise MlshipError(
        f"--python {python}: there is no such interpreter",
        where=str(path),
        fix="give an interpreter such as .venv/bin/python, or the folder of an environment",
        code="no-python",
    )


def _complete(
    environment: TrainingEnvironment, modules: tuple[str, ...], project_root: Path, environ: Mapping[str, str]
) -> TrainingEnvironment:
    missing = missing_modules(environment, modules)
    if not missing:
        return environment
    names = " ".join(package_name(module) for module in missing)
    raise MlshipError(
        f"the training environment {environment.source} (Python {environment.version}) lacks {_and(missing)}, "
        "which the model needs",
        where=str(environment.python),
        fix=f"name the environment that trained the model: {_choices(environment, project_root, environ)}; "
        f"or install there: pip install {names}",
        code="missing-modules",
    )


def _choices(environment: TrainingEnvironment, project_root: Path, environ: Mapping[str, str]) -> str:
    others = [c.python for c in candidates(project_root, environ) if c.python != environment.python and c.python.exists()]
    others += [
        _python_in(project_root / name)
        for name in ("venv", "env")
        if _python_in(project_root / name).exists() and _python_in(project_root / name) != environment.python
    ]
    files = [f"build.requirements: {name}" for name in FILES if (project_root / name).is_file()]
    return " or ".join([*(f"--python {_shown(path, project_root)}" for path in others), *files[:1]]) or "--python PATH"


def _named_file(project_root: Path, requirements: str) -> Path:
    path = project_root / requirements
    if path.is_file():
        return path
    beside = [name for name in FILES if (project_root / name).is_file()]
    raise MlshipError(
        f"build.requirements is {requirements}: there is no such file",
        where=str(path),
        fix=f"there are: {', '.join(beside)}" if beside else "remove it to use the training environment",
        code="no-requirements",
    )


def _from_file(
    path: Path,
    project_root: Path,
    environ: Mapping[str, str],
    ask: Callable[[Path, str], TrainingEnvironment],
    python_version: str,
) -> TrainingEnvironment:
    """A file tells no interpreter: one that is found is only asked for its version, and builds what is source only."""
    python = next((c.python for c in candidates(project_root, environ) if c.python.exists()), None)
    if python is None:
        on_path = shutil.which("python3", path=environ.get("PATH"))
        python = Path(on_path) if on_path else None
    asked = ask(python, str(python)) if python and not python_version else None
    version = python_version or python_of_file(path, asked.version if asked else "")
    source = _shown(path, project_root)
    if not version:
        raise MlshipError(
            f"{source} does not say which Python it is for",
            where=str(path),
            fix='write build: {python: "3.11"} into mlship.yaml',
            code="no-python-version",
        )
    fits = asked is not None and asked.version.startswith(f"{'.'.join(version.split('.')[:2])}.")
    return TrainingEnvironment(
        source=source,
        version=version,
        python=python if fits else None,
        file=path,
        prefix=asked.prefix if asked and fits else None,
    )


def _existing(candidate: Candidate) -> Path:
    if candidate.python.exists():
        return candidate.python
    broken = candidate.python.is_symlink()
    raise MlshipError(
        f"{candidate.source} has no Python that can be started"
        + (f": it pointed to {candidate.python.readlink()}, which is gone" if broken else ""),
        where=str(candidate.python),
        fix="make the environment again, deactivate it, or name another with --python",
        code="no-python",
    )


def _python_in(folder: Path) -> Path:
    return folder / "bin" / "python"


def _folders_up(start: Path) -> list[Path]:
    """The folder and its parents up to the root of its git repository; without one only the folder itself."""
    folders = [start, *start.parents]
    for index, folder in enumerate(folders):
        if (folder / ".git").exists():
            return folders[: index + 1]
    return [start]


def _shown(path: Path, root: Path) -> str:
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)


def _and(names: tuple[str, ...]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
