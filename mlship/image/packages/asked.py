"""Requirements as lines that people know: what a lock was asked for, to say later which of them changed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from mlship.image.packages.addresses import without_credentials
from mlship.image.packages.environment import Distribution, normalised
from mlship.image.packages.python_version import read_toml, table
from mlship.image.packages.requirements_files import Requirements
from mlship.image.packages.requirements_lines import included_files, requirement_lines

_NAMED = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)\s*(?P<rest>.*)")
_ADDRESS = re.compile(r"[a-z0-9+.-]+://\S+")


def asked_lines(requirements: Requirements) -> tuple[str, ...]:
    """`numpy==2.1.0`, `pandas>=2 ; python_version < "3.12"`, sorted; without credentials and paths of this machine."""
    exported = _of_uv_lock(requirements.exported) if requirements.exported else ()
    own = (_unindexed(package) for package in requirements.unindexed)
    lines = (*requirements.lines, *requirements.overrides, *requirements.constraints, *_of_files(requirements.files), *exported)
    return tuple(sorted({*filter(None, map(_plain, lines)), *own}))


def asked_changes(before: Iterable[str], after: Iterable[str], source: str) -> tuple[str, ...]:
    """What is asked for now and was not, in words, by name: `numpy==2.1.0 is locked, .venv asks for numpy==2.2.0`. Pure."""
    old, new = _by_name(before), _by_name(after)
    changes = []
    for name in sorted({*old, *new}):
        was, now = old.get(name, ""), new.get(name, "")
        if not was:
            changes.append(f"{source} asks for {now}, which is not locked")
        elif not now:
            changes.append(f"{was} is locked, and {source} does not ask for it any more")
        elif was != now:
            changes.append(f"{was} is locked, and {source} asks for {now}")
    return tuple(changes)


def _of_files(files: Iterable[Path]) -> Iterator[str]:
    for path in files:
        if path.name == "pyproject.toml":
            yield from _of_pyproject(path)
        else:
            yield from (line for each in included_files(path) for line in requirement_lines(each))


def _of_pyproject(path: Path) -> Iterator[str]:
    document = read_toml(path)
    named = table(document, "project").get("dependencies", [])
    yield from (line for line in named if isinstance(line, str))
    for name, wanted in table(document, "tool", "poetry", "dependencies").items():
        version = wanted.get("version", "") if isinstance(wanted, dict) else wanted
        yield f"{name} {version}" if name != "python" else ""


def _of_uv_lock(path: Path) -> Iterator[str]:
    for package in read_toml(path).get("package", []):
        if isinstance(package, dict) and package.get("version") and "registry" in table(package, "source"):
            yield f"{package.get('name', '')}=={package['version']}"


def _unindexed(package: Distribution) -> str:
    place = package.origin if not package.origin.startswith("file:") else f"file:{Path(package.origin[5:]).name}"
    return f"{normalised(package.name)} @ {place}"


def _plain(line: str) -> str:
    """`NumPy  >=2  --hash=...` -> `numpy>=2`; empty for what is no requirement by name."""
    named = _NAMED.fullmatch(re.sub(r"\s+--hash[=\s]\S+", "", line).strip())
    if named is None:
        return ""
    rest = _ADDRESS.sub(lambda match: without_credentials(match[0]), named["rest"])
    return f"{normalised(named['name'])}{' ' if rest.startswith(('@', ';')) else ''}{' '.join(rest.split())}"


def _by_name(lines: Iterable[str]) -> dict[str, str]:
    """An exact pin says more than a bare name."""
    found: dict[str, str] = {}
    for line in sorted(lines):
        named = _NAMED.fullmatch(line)
        name = named["name"] if named else line
        if name not in found or "==" in line or "==" not in found[name]:
            found[name] = line
    return found
