"""The packages that an MLflow model folder names: those that trained it (mlflow 3.17, mlflow/utils/environment.py)."""

from __future__ import annotations

import re
from pathlib import Path

from mlship.errors import need
from mlship.frameworks.base import Pinned

REQUIREMENTS, PYTHON = "requirements.txt", "python_env.yaml"
_MAX_BYTES = 2**20
_ITSELF = re.compile(r"mlflow(-skinny|-tracing)?(\[[^\]]*\])?(?=$|[\s=<>!~;@])(?P<version>[^;]*)")
_PYTHON_LINE = re.compile(r"^python:\s*['\"]?(3\.\d{1,2}(\.\d{1,3})?)", re.MULTILINE)


def pinned(folder: Path, needs_mlflow: bool = False) -> Pinned | None:
    """None where the folder names no packages.

    mlflow is not needed to serve a framework's own file, and mlflow-skinny is enough to serve a python_function; the version
    that saved the model stays.
    """
    lines = [line for line in _lines(folder / REQUIREMENTS) if not _ITSELF.match(line)]
    itself = [found for line in _lines(folder / REQUIREMENTS) if (found := _ITSELF.match(line))]
    if needs_mlflow:
        lines.insert(0, f"mlflow-skinny{itself[0]['version'].strip() if itself else ''}")
        lines += [name for name in ("pandas", "numpy") if not any(line.startswith(name) for line in lines)]
    if not lines:
        return None
    return Pinned(folder / REQUIREMENTS, tuple(lines), _python(folder / PYTHON), is_whole=needs_mlflow)


def _lines(path: Path) -> list[str]:
    """What names a package of an index; an address would be of the stranger's choice.

    Addresses, options, other files and what no index has are left to `build.requirements`."""
    requirements = need("packaging.requirements")
    found = []
    for line in _text(path).splitlines():
        bare = re.sub(r"(^|\s)#.*$", "", line).strip()
        try:
            is_of_index = requirements.Requirement(bare).url is None
        except requirements.InvalidRequirement:
            continue
        found += [bare] if is_of_index else []
    return found


def _python(path: Path) -> str:
    found = _PYTHON_LINE.search(_text(path))
    return found[1] if found else ""


def _text(path: Path) -> str:
    if not path.is_file() or path.stat().st_size > _MAX_BYTES:
        return ""
    return path.read_bytes().decode(errors="replace")
