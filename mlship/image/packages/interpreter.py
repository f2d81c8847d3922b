"""Asks an interpreter what it is and what is installed beside it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from mlship.errors import MlshipError
from mlship.image.packages.addresses import without_credentials
from mlship.image.packages.environment import Distribution, TrainingEnvironment, normalised
from mlship.image.packages.probe_memo import ProbeMemo
from mlship.memo import FORGETFUL, Memo
from mlship.runner import Command, Result, Runner

OLDEST = (3, 8)
_VERSION_ONLY = "import platform, sys; sys.stdout.write(platform.python_implementation() + ' ' + sys.version.split()[0])"
_TIMEOUT_S = 120.0  # a network file system with thousands of packages, cold
_STRANGE = re.compile(r"[^A-Za-z0-9._+!-]")


def ask_interpreter(
    python: Path, source: str, runner: Runner, memo: Memo = FORGETFUL, environ: Mapping[str, str] | None = None
) -> TrainingEnvironment:
    """The environment of an interpreter. source: what people call it, `.venv`. environ: what the interpreter is started with.

    Raises MlshipError where it does not start, is older than 3.8, or is not CPython.
    """
    program = resources.files("mlship.image.packages").joinpath("probe.py").read_text(encoding="utf-8")
    remembered = ProbeMemo(memo, python, program, environ or {})
    answer = remembered.recall()
    if answer is None:
        answer = _asked(python, program, source, runner)
        remembered.keep(answer)
    if answer["implementation"] != "cpython":
        raise _not_cpython(python, source, answer["implementation"])
    prefix = Path(answer["prefix"])
    return TrainingEnvironment(
        source=source,
        version=answer["version"],
        python=python,
        distributions=_distributions(answer["distributions"]),
        prefix=prefix,
    )


def _asked(python: Path, program: str, source: str, runner: Runner) -> dict[str, Any]:
    result = _run(python, ("-I", "-c", program), source, runner)
    answer = _answer(result) if result.ok else None
    if answer is None:
        raise _refusal(python, source, runner, result)
    return answer


def _run(python: Path, arguments: tuple[str, ...], source: str, runner: Runner) -> Result:
    try:
        # cwd: a folder in which no file can shadow a module of the standard library
        return runner.run(Command((str(python), *arguments), cwd=Path("/"), timeout_s=_TIMEOUT_S))
    except OSError as error:
        raise MlshipError(
            f"the interpreter of {source} does not start: {error.strerror or error}",
            where=str(python),
            fix=_MAKE_AGAIN,
            code="broken-python",
        ) from None


_MAKE_AGAIN = "make the environment again, or name another with --python"


def _answer(result: Result) -> dict[str, Any] | None:
    try:
        answer = json.loads(result.stdout)
    except ValueError:
        return None
    return answer if isinstance(answer, dict) and isinstance(answer.get("distributions"), list) else None


def _refusal(python: Path, source: str, runner: Runner, result: Result) -> MlshipError:
    """Why the program did not run: an old Python tells its version in any case, a broken one nothing."""
    told = _run(python, ("-E", "-s", "-c", _VERSION_ONLY), source, runner)
    implementation, _, version = told.text.partition(" ")
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())
    if told.ok and len(numbers) < 2:
        fix = "name an interpreter such as .venv/bin/python with --python"
        return MlshipError(f"{source} is no Python", where=str(python), fix=fix, code="broken-python")
    if not told.ok:
        return MlshipError(
            f"the interpreter of {source} does not start (exit {told.code})",
            where=str(python),
            fix=_MAKE_AGAIN,
            details=tuple(line for line in told.last_lines() if _VERSION_ONLY not in line),
            code="broken-python",
        )
    if implementation != "CPython":
        return _not_cpython(python, source, implementation)
    if numbers < OLDEST:
        return MlshipError(
            f"{source} has Python {version}; the oldest that can be read is {OLDEST[0]}.{OLDEST[1]}",
            where=str(python),
            fix="train the model with a newer Python, or name another environment with --python",
            code="old-python",
        )
    return MlshipError(
        f"the packages of {source} cannot be read (exit {result.code})",
        where=str(python),
        fix=_MAKE_AGAIN,
        details=result.last_lines(),
        code="broken-python",
    )


def _not_cpython(python: Path, source: str, implementation: str) -> MlshipError:
    return MlshipError(
        f"{source} has {implementation}; images run CPython, for which its packages are not made",
        where=str(python),
        fix="train the model with CPython, or name another environment with --python",
        code="not-cpython",
    )


def _distributions(entries: Iterable[Mapping[str, Any]]) -> dict[str, Distribution]:
    found = {}
    for entry in entries:
        name, version = str(entry["name"]), str(entry["version"])
        if _STRANGE.search(name) or _STRANGE.search(version):
            continue  # damaged metadata, such as the `~umpy` that pip leaves behind
        found[normalised(name)] = _distribution(name, version, entry)
    return found


def _distribution(name: str, version: str, entry: Mapping[str, Any]) -> Distribution:
    origin, folder = _origin(entry)
    return Distribution(
        name=name,
        version=version,
        modules=tuple(entry["modules"]) or (folder_modules(folder) if folder else ()),
        requires=tuple(entry["requires"]),
        origin=origin,
        editable=bool(folder and entry["direct_url"]["dir_info"].get("editable")),
    )


def _origin(entry: Mapping[str, Any]) -> tuple[str, Path | None]:
    """Where a package came from when not from an index, and its folder if it was installed from one.

    direct_url.json as PEP 610 has it. conda writes the paths of its own build machines into it: those say nothing.
    """
    direct = entry.get("direct_url")
    if not isinstance(direct, dict) or not isinstance(direct.get("url"), str) or entry.get("installer") == "conda":
        return "", None
    url = direct["url"]
    below = f"#subdirectory={direct['subdirectory']}" if direct.get("subdirectory") else ""
    vcs = direct.get("vcs_info")
    if isinstance(vcs, dict) and vcs.get("vcs") == "git" and vcs.get("commit_id"):
        return f"git+{without_credentials(url)}@{vcs['commit_id']}{below}", None
    if url.startswith("file:"):
        path = Path(unquote(urlsplit(url).path))
        if not path.exists():
            return "", None
        is_folder = isinstance(direct.get("dir_info"), dict)
        return f"file:{path}", path if is_folder else None
    return without_credentials(url), None


def folder_modules(folder: Path) -> tuple[str, ...]:
    """The import names that a project's folder holds, in `src/` or at its top."""
    for base in (folder / "src", folder):
        if base.is_dir():
            packages = {entry.parent.name for entry in base.glob("*/__init__.py") if entry.parent.name.isidentifier()}
            single = {entry.stem for entry in base.glob("*.py") if entry.stem.isidentifier() and entry.stem not in _SCRIPTS}
            if packages or single:
                return tuple(sorted((packages | single) - {"tests", "test", "docs", "examples"}))
    return ()


_SCRIPTS = ("setup", "conftest", "noxfile", "tasks")
