"""Compiled Python files that stay valid: unchecked-hash ones, made by the image's own interpreter.

Time-stamped ones would be invalid under the image's normalised times, and a read-only container cannot write its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from mlship.errors import Exit, MlshipError
from mlship.image.workplace import Workplace
from mlship.oci import rootfs

# A fixed number of groups, whatever the machine: what one process compiled before is the same everywhere.
_GROUPS = 4
_FAN_OUT_FROM = 40
_SCRIPT = """
import json, py_compile, sys
mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
for source, shown, target in json.load(sys.stdin):
    try:
        py_compile.compile(source, target, shown, doraise=True, invalidation_mode=mode)
    except (py_compile.PyCompileError, SyntaxError, UnicodeDecodeError, ValueError, RecursionError):
        pass  # a template or a file for another Python: it is not imported either
"""


def compile_folder(workplace: Workplace, root: Path, python: str, folder: Path, target: str, files: Iterable[Path]) -> None:
    """Writes `__pycache__/*.pyc` beside each of the files, which lie below `folder`.

    root: an image's files, whose interpreter `python` (its path inside the image) compiles. target: where `folder` will be
    inside the image; that path, and none of this machine, goes into the code. Files that do not compile are left without.
    """
    minor = python.rpartition("python")[2].replace(".", "")
    jobs = [[str(path), f"{target}/{path.relative_to(folder).as_posix()}", _target(path, minor)] for path in sorted(files)]
    groups = [jobs[number::_GROUPS] for number in range(_GROUPS)] if len(jobs) >= _FAN_OUT_FROM else [jobs]
    with ThreadPoolExecutor(_GROUPS) as pool:
        list(pool.map(lambda group: _compile(workplace, root, python, group), groups))


def _target(path: Path, minor: str) -> str:
    return str(path.parent / "__pycache__" / f"{path.stem}.cpython-{minor}.pyc")


def _compile(workplace: Workplace, root: Path, python: str, jobs: list[list[str]]) -> None:
    command = rootfs.command(root, (python, "-s", "-S", "-B", "-c", _SCRIPT), {"PYTHONHASHSEED": "0", "LC_ALL": "C.UTF-8"})
    told = workplace.runner.run(replace(command, stdin=json.dumps(jobs).encode(), timeout_s=600))
    if not told.ok:
        raise MlshipError(
            f"the image's interpreter {python} could not compile its files (exit {told.code})",
            where=str(root),
            exit=Exit.BUILD_FAILED,
            code="compile-failed",
            details=told.last_lines(),
        )
