"""Asks a model what it is, in a locked-down process of the environment that it will run in."""

from __future__ import annotations

import hashlib
import json
import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlship
from mlship.disk import scratch_folder
from mlship.errors import Exit, MlshipError
from mlship.frameworks.base import Loaded
from mlship.frameworks.primed import Primed, Question, writable_in
from mlship.home import Home
from mlship.runner import Command, Result, Runner
from mlship.server import manifest
from mlship.units import size_text

# what an interpreter may need of the user's environment; nothing with a secret in it
_PASSED_ON = (
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "TZ",
    "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH",
    "VIRTUAL_ENV",
    "CONDA_PREFIX",
)
_THREADS = 4  # of OpenBLAS and OpenMP: each takes memory, and the figures should not depend on this machine's size
_SLACK = 256 * 2**20  # what an interpreter with numpy takes before the model
_FASTER = "make it load faster: a build waits no longer, whatever serve.startup_timeout says"


@dataclass(frozen=True)
class ChildPython:
    """How the environment's Python is started: arguments up to `-m`, and its whole environment."""

    argv: tuple[str, ...]
    environ: Mapping[str, str]


def child_python(python: Path, home: Home, environ: Mapping[str, str], code: Sequence[Path] = ()) -> ChildPython:
    """A training environment's interpreter with mlship's server half on its path, and nothing else of mlship.

    code: folders that go on sys.path for the user's own modules. environ: the machine's; only harmless parts are passed on.
    """
    path = os.pathsep.join(map(str, (server_tree(home), *code)))
    passed = {name: environ[name] for name in _PASSED_ON if name in environ}
    return ChildPython(argv=(str(python),), environ={**passed, "PYTHONPATH": path})


def server_tree(home: Home) -> Path:
    """A folder that holds `mlship/server` alone, for the path of another environment's Python. Made once for each content."""
    source = Path(mlship.__file__).parent
    own = (path for path in (source / "server").rglob("*") if path.is_file() and path.suffix in (".py", ".html"))
    files = [source / "__init__.py", *sorted(own)]
    names = [file.relative_to(source.parent).as_posix() for file in files]
    contents = [file.read_bytes() for file in files]
    key = hashlib.sha256()
    for name, content in zip(names, contents, strict=True):
        key.update(f"{name} {len(content)}\n".encode() + content)
    target = home.cache / "server" / key.hexdigest()[:16]
    if not target.is_dir():
        _write_tree(target, names, contents)
    return target


def load_in_child(
    runner: Runner,
    python: ChildPython,
    entry: manifest.Model,
    root: Path,
    sample: Sequence[Any] | None,
    *,
    timeout_s: float = 120,
    memory: int = 0,
    whole_table: bool = False,
    primed: Primed | None = None,
) -> Loaded:
    """What the model is, and its answers to the sample.

    root: the folder that `entry.path` is relative to. timeout_s: of wall time. memory: bytes that the model may take, 0 for
    what the machine has. whole_table: the sample has every column of a table; those that the model answers without are looked
    for. primed: is asked first. Raises MlshipError (exit 5) with the cause; `code` is the kind, such as `unknown-name` or
    `missing-module`.
    """
    text = manifest.to_json(manifest.Manifest(project="inspect", models=(entry,))).decode()
    asked = {
        "root": str(root.absolute()),
        "manifest": text,
        "sample": list(sample) if sample else None,
        "whole_table": whole_table,
    }
    where = entry.path.removeprefix(f"models/{entry.name}/")  # the file's own name
    early = None if primed is None or memory else _asked_early(primed, python, asked, where=where, timeout_s=timeout_s)
    answer = early or ask(runner, python, asked, where=where, timeout_s=timeout_s, memory=memory)
    return Loaded(
        signature=manifest.signature_from_dict(answer["signature"]),
        title=answer["title"],
        answers=answer["answers"],
        load_s=answer["load_s"],
        peak_memory=answer["peak_memory"],
        versions=answer["versions"],
        protections=tuple(answer["protections"]),
        needless=tuple(answer["needless"]),
        libraries=tuple(answer["libraries"]),
        row_s=answer["row_s"] or 0.0,
        modules=tuple(answer.get("modules", ())),
    )


def ask(
    runner: Runner,
    python: ChildPython,
    asked: Mapping[str, Any],
    *,
    where: str,
    timeout_s: float,
    memory: int = 0,
    writable: Path | None = None,
) -> dict[str, Any]:
    """One question to `mlship.server.inspect`, and its answer. writable: the one folder that it may write to; left out: one that
    is gone afterwards. Raises MlshipError (exit 5).
    """
    with nullcontext(writable) if writable else scratch_folder() as folder:
        question = question_for(python, folder, timeout_s, memory)
        command = Command(
            argv=question.argv,
            environ=question.environ,
            cwd=folder,
            stdin=json.dumps({**asked, **question.limits}).encode(),
            timeout_s=timeout_s,
        )
        try:
            result = runner.run(command)
        except MlshipError as error:
            if error.exit is not Exit.TIMED_OUT:
                raise
            raise _too_slow(timeout_s, where) from None
    return _read(result, where, memory)


def question_for(python: ChildPython, writable: Path, timeout_s: float, memory: int = 0) -> Question:
    """The program that is asked, and what it gives up. writable, timeout_s, memory: as in `ask`."""
    limits = {
        "memory": memory + _SLACK if memory else _machine_memory(),
        "cpu_s": max(1, int(timeout_s * _THREADS)),
        "writable": str(writable),
    }
    return Question((*python.argv, "-m", "mlship.server.inspect"), {**python.environ, **_settings(str(writable))}, limits)


def _asked_early(
    primed: Primed, python: ChildPython, asked: Mapping[str, Any], *, where: str, timeout_s: float
) -> dict[str, Any] | None:
    """None where it does not say what the model is: then a process of its own says why."""
    if primed.folder is None:
        return None
    try:
        said = primed.ask(question_for(python, writable_in(primed.folder), timeout_s), asked, timeout_s)
    except TimeoutError:
        raise _too_slow(timeout_s, where) from None
    try:
        answer = json.loads(said)
    except ValueError:
        return None
    return None if "error" in answer else dict(answer)


def _too_slow(timeout_s: float, where: str) -> MlshipError:
    return _failed("timeout", f"the model did not load within {timeout_s:g} s", where, _FASTER)


def _machine_memory() -> int:
    """Bytes; a file that asks for more than there is would have the system end somebody else's process."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _settings(writable: str) -> dict[str, str]:
    return {
        "PYTHONSAFEPATH": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
        "PYTHONHASHSEED": "0",
        "TMPDIR": writable,
        "MPLCONFIGDIR": writable,
        "NUMBA_CACHE_DIR": writable,
        "OMP_NUM_THREADS": str(_THREADS),
        "OPENBLAS_NUM_THREADS": str(_THREADS),
        "JOBLIB_MULTIPROCESSING": "0",
        "MALLOC_ARENA_MAX": "4",
    }


def _read(result: Result, where: str, memory: int) -> dict[str, Any]:
    try:
        answer = json.loads(result.stdout)
        error = answer.get("error")
    except (ValueError, AttributeError):
        raise _ended(result, where, memory) from None
    if error:
        raise _failed(error["kind"], error["message"], where, error["fix"])
    return dict(answer)


def _ended(result: Result, where: str, memory: int) -> MlshipError:
    """The process ended without a word: the signal tells why."""
    said = result.last_lines(6)
    if result.code in (-signal.SIGKILL, -signal.SIGABRT) and memory:
        return _failed("memory", f"the model needs more memory than {size_text(memory)}", where, "raise resources.memory", said)
    if result.code == -signal.SIGXCPU:
        return _failed("timeout", "the model took too much processor time to load", where, _FASTER, said)
    how = f"signal {signal.Signals(-result.code).name}" if result.code < 0 else f"exit {result.code}"
    fix = "run the file's training script in this environment and save the model again"
    return _failed("crash", f"the process that loads the model ended with {how}", where, fix, said)


def _failed(kind: str, what: str, where: str, fix: str, details: Sequence[str] = ()) -> MlshipError:
    return MlshipError(what, where, fix, exit=Exit.BUILD_FAILED, code=kind, details=details)


def _write_tree(target: Path, names: Sequence[str], contents: Sequence[bytes]) -> None:
    with scratch_folder(target.parent) as folder:
        for name, content in zip(names, contents, strict=True):
            file = folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        folder.chmod(0o755)
        try:
            folder.rename(target)
        except OSError:
            if not target.is_dir():  # unless another mlship made it in the meantime
                raise
