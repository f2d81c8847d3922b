"""Which Python a file that names packages is for."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mlship.errors import MlshipError, need

_MINOR = re.compile(r"3\.\d{1,2}")
_LARGEST = 32 * 2**20  # bytes; lock files of large monorepos have some MB
OLDEST_SERVED = 11  # of Python 3: the server uses asyncio.Runner, and images start it with -P; both are new in 3.11
NEWEST_TRIED = 20


def python_of_file(path: Path, available: str) -> str:
    """The minor version that a requirements file is for, `3.11`, or "" where nothing tells.

    `.python-version` beside it says it exactly; else what the file demands, for which `available` (the version of a found
    interpreter, or "") is taken if it fits, and otherwise the lowest that fits and is served; else one that is refused later.
    """
    pinned = _python_version_file(path.parent)
    if pinned:
        return pinned
    minor = ".".join(available.split(".")[:2])
    demanded = _demanded(path)
    if not demanded:
        return minor
    specifiers = need("packaging.specifiers")
    try:
        fits = specifiers.SpecifierSet(demanded)
    except specifiers.InvalidSpecifier:
        return minor
    if available and fits.contains(available):
        return minor
    tried = (*range(OLDEST_SERVED, NEWEST_TRIED), *range(8, OLDEST_SERVED))
    return next((f"3.{number}" for number in tried if fits.contains(f"3.{number}.99")), minor)


def read_toml(path: Path) -> dict[str, Any]:
    """A TOML file as plain data. Raises MlshipError with the place of the mistake."""
    import tomllib  # a training environment needs none of it

    try:
        return tomllib.loads(read_text(path))
    except tomllib.TOMLDecodeError as error:
        raise MlshipError(f"{path.name} is not valid TOML: {error}", where=str(path), fix="correct it") from None


def read_text(path: Path) -> str:
    """A text file of reasonable size. Raises MlshipError."""
    try:
        if path.stat().st_size > _LARGEST:
            raise MlshipError(
                f"{path.name} has {path.stat().st_size} bytes; no requirements file has more than {_LARGEST}", where=str(path)
            )
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise MlshipError(f"{path.name} is not UTF-8 text", where=str(path), fix="save it as UTF-8") from None
    except OSError as error:
        raise MlshipError(f"{path.name} cannot be read: {error.strerror}", where=str(path)) from None


def table(document: Any, *keys: str) -> dict[str, Any]:
    """A nested table, empty where it or a parent is absent or something else."""
    for key in keys:
        document = document.get(key) if isinstance(document, dict) else None
    return document if isinstance(document, dict) else {}


def _python_version_file(folder: Path) -> str:
    path = folder / ".python-version"
    found = _MINOR.search(read_text(path)) if path.is_file() else None
    return found[0] if found else ""


def _demanded(path: Path) -> str:
    """A version specifier such as `>=3.10,<3.13`."""
    if path.name == "uv.lock":
        return str(read_toml(path).get("requires-python", ""))
    if path.name == "poetry.lock":
        return _poetry_specifier(str(table(read_toml(path), "metadata").get("python-versions", "")))
    if path.name == "pyproject.toml":
        document = read_toml(path)
        poetry = table(document, "tool", "poetry", "dependencies").get("python", "")
        return str(table(document, "project").get("requires-python") or _poetry_specifier(str(poetry)))
    if path.suffix in (".yml", ".yaml"):
        return _conda_python(read_text(path))
    return ""


def _poetry_specifier(text: str) -> str:
    """Poetry's `^3.10` and `~3.10` as PEP 440 says them."""
    caret = re.fullmatch(r"\^3\.(\d+)(\.\d+)?", text.strip())
    if caret:
        return f">=3.{caret[1]},<4"
    tilde = re.fullmatch(r"~3\.(\d+)(\.\d+)?", text.strip())
    return f"==3.{tilde[1]}.*" if tilde else text


def _conda_python(text: str) -> str:
    found = re.search(r"^\s*-\s*[\"']?(?:[\w-]+::)?python\s*(?:=|==|>=|~=)\s*(3\.\d+)", text, re.MULTILINE)
    return f"=={found[1]}.*" if found else ""
