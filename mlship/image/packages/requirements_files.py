"""What has to be resolved, as values: from the packages of an environment, or from a file that names them."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mlship.errors import Finding, MlshipError, need
from mlship.frameworks.base import Pinned
from mlship.image.packages.addresses import without_credentials
from mlship.image.packages.closure import ALWAYS, Closure, closure
from mlship.image.packages.environment import Distribution, TrainingEnvironment, normalised
from mlship.image.packages.pinned import chosen_lines
from mlship.image.packages.python_version import read_text, read_toml, table
from mlship.image.packages.requirements_lines import included_files, local_folders
from mlship.image.packages.unused import dropped, left_out
from mlship.memo import FORGETFUL, Memo


@dataclass(frozen=True)
class Requirements:
    """The question that the resolver answers.

    source: for people. lines: requirements (PEP 508). overrides: pins that hold whatever a package demands of another
    (the environment proved that they work together); constraints: pins where the name is needed at all. files: handed to uv
    as they are. exported: a uv.lock, which uv turns into requirements first. unindexed: packages from git or a folder,
    made into wheels first. digest: over all that the answer depends on
    and that is known here; credentials and machine paths are not in it. is_mlships: nobody is told which index each comes from.
    """

    source: str
    root: Path
    lines: tuple[str, ...] = ()
    overrides: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()
    exported: Path | None = None
    unindexed: tuple[Distribution, ...] = ()
    own: tuple[str, ...] = ()
    digest: str = ""
    findings: tuple[Finding, ...] = ()
    is_mlships: bool = False


def requirements_of(
    environment: TrainingEnvironment,
    modules: Iterable[str],
    *,
    project_root: Path,
    own: Iterable[str] = (),
    platform: str = "linux/amd64",
    memo: Memo = FORGETFUL,
    brought: Iterable[str] = (),
) -> Requirements:
    """What an image of the platform needs from this environment; starts no program.

    modules: import names of the model and its code. brought: pins of packages that the environment lacks; the modules of their names
    are theirs. own: import names of the user's own code (model.code), whose project is
    not installed. Raises MlshipError for a file that cannot be read; what is missing stands in `findings`.
    """
    own_names, pins = tuple(sorted(own)), tuple(sorted(brought))
    if environment.file is None:
        there = set(modules) - {pin.partition("==")[0] for pin in pins}
        needed = closure(environment, there, own=own_names, platform=platform, memo=memo)
        found = _from_closure(needed, environment, project_root, own_names)
        return _with_digest(replace(found, lines=(*found.lines, *pins)))
    if environment.pinned is not None:
        found = _from_pinned(environment.pinned, modules, own_names)
    else:
        found = _reader(environment.file)(environment.file)
    named = replace(found, source=environment.source, root=project_root, own=own_names, lines=(*found.lines, ALWAYS))
    return _with_digest(named)


def _from_closure(needed: Closure, environment: TrainingEnvironment, root: Path, own: tuple[str, ...]) -> Requirements:
    lines = [_pin(package) for package in needed.roots]
    if ALWAYS not in environment.distributions:
        lines.append(ALWAYS)
    return Requirements(
        source=environment.source,
        root=root,
        lines=tuple(lines),
        overrides=(*map(_pin, needed.packages), *map(dropped, left_out([normalised(p.name) for p in needed.packages]))),
        unindexed=tuple(package for package in needed.packages if package.origin),
        own=own,
        findings=needed.findings,
    )


def _from_pinned(pinned: Pinned, modules: Iterable[str], own: tuple[str, ...]) -> Requirements:
    chosen = chosen_lines(pinned, modules, own)
    return Requirements(pinned.file.name, pinned.file.parent, chosen.lines, constraints=chosen.constraints)


def _pin(package: Distribution) -> str:
    return f"{normalised(package.name)}=={package.version}"


def _reader(path: Path) -> Callable[[Path], Requirements]:
    if path.name == "uv.lock":
        return _from_uv_lock
    if path.name == "poetry.lock":
        return _from_poetry_lock
    if path.name == "pyproject.toml":
        return _from_pyproject
    if path.suffix in (".yml", ".yaml"):
        return _from_conda
    if path.suffix in (".txt", ".in"):
        return _from_text
    raise MlshipError(
        f"build.requirements is {path.name}: no known kind of file",
        where=str(path),
        fix="known are requirements.txt, uv.lock, poetry.lock, pyproject.toml and environment.yml",
        code="unknown-requirements",
    )


def _from_text(path: Path) -> Requirements:
    return Requirements(source=path.name, root=path.parent, files=(path,))


def _from_pyproject(path: Path) -> Requirements:
    document = read_toml(path)
    project = table(document, "project")
    if "dependencies" not in project and not table(document, "tool", "poetry", "dependencies"):
        raise MlshipError(
            f"{path.name} names no dependencies",
            where=str(path),
            fix="write [project] dependencies, or name another file in build.requirements",
            code="no-dependencies",
        )
    return Requirements(source=path.name, root=path.parent, files=(path,))


def _from_uv_lock(path: Path) -> Requirements:
    read_toml(path)  # a damaged one is named before uv is started
    if not (path.parent / "pyproject.toml").is_file():
        raise MlshipError(
            "uv.lock has no pyproject.toml beside it", where=str(path), fix="commit both, or use a requirements.txt"
        )
    return Requirements(source=path.name, root=path.parent, exported=path)


def _from_conda(path: Path) -> Requirements:
    from mlship.image.packages.conda_file import conda_requirements  # few projects have such a file

    lines, findings = conda_requirements(read_text(path), path)
    return Requirements(source=path.name, root=path.parent, lines=lines, findings=findings)


def _from_poetry_lock(path: Path) -> Requirements:
    """The project's own dependencies as requirements, all that is locked as constraints."""
    packages = _poetry_packages(path)
    by_name = {normalised(package["name"]): package for package in packages}
    pyproject = path.parent / "pyproject.toml"
    wanted = _poetry_main(pyproject) if pyproject.is_file() else dict.fromkeys(by_name, "")
    unindexed = tuple(found for found in (_poetry_unindexed(package, path.parent) for package in packages) if found)
    return Requirements(
        source=path.name,
        root=path.parent,
        lines=tuple(f"{name}{extras}" for name, extras in sorted(wanted.items()) if name in by_name),
        constraints=tuple(sorted(_poetry_pin(package) for package in packages if not _is_unindexed(package))),
        unindexed=unindexed,
    )


def _poetry_packages(path: Path) -> list[dict[str, Any]]:
    packages = read_toml(path).get("package", [])
    entries = packages if isinstance(packages, list) else [packages]
    for entry in entries:
        if not isinstance(entry, dict) or not all(isinstance(entry.get(key), str) for key in ("name", "version")):
            raise MlshipError(
                f"{path.name} is damaged: {str(entry)[:80]} is not a package with a version",
                where=str(path),
                fix="poetry lock, then mlship build",
                code="damaged-lock",
            )
    return entries


def _poetry_main(path: Path) -> dict[str, str]:
    """Names of the main group with their extras, `[standard]` or ""."""
    requirements = need("packaging.requirements")
    document = read_toml(path)
    found = {}
    for line in table(document, "project").get("dependencies", []):
        try:
            parsed = requirements.Requirement(line)
        except (requirements.InvalidRequirement, TypeError):
            raise MlshipError(f"{path.name}: {line!r} is not a requirement", where=str(path), fix="correct it") from None
        found[normalised(parsed.name)] = f"[{','.join(sorted(parsed.extras))}]" if parsed.extras else ""
    for name, wanted in table(document, "tool", "poetry", "dependencies").items():
        detail = wanted if isinstance(wanted, dict) else {}
        if name != "python" and not detail.get("optional"):
            extras = ",".join(sorted(str(extra) for extra in detail.get("extras", [])))
            found[normalised(name)] = f"[{extras}]" if extras else ""
    return found


def _poetry_pin(package: dict[str, Any]) -> str:
    markers = package.get("markers")
    mark = f" ; {markers}" if isinstance(markers, str) else ""
    return f"{normalised(str(package['name']))}=={package['version']}{mark}"


def _is_unindexed(package: dict[str, Any]) -> bool:
    return table(package, "source").get("type") in ("git", "directory", "file", "url")


def _poetry_unindexed(package: dict[str, Any], root: Path) -> Distribution | None:
    source = table(package, "source")
    if not _is_unindexed(package):
        return None
    url, kind = str(source.get("url", "")), source["type"]
    if kind == "git":
        below = f"#subdirectory={source['subdirectory']}" if source.get("subdirectory") else ""
        origin = f"git+{without_credentials(url)}@{source.get('resolved_reference', '')}{below}"
    else:
        origin = without_credentials(url) if kind == "url" else f"file:{(root / url).resolve()}"
    return Distribution(str(package["name"]), str(package["version"]), origin=origin)


def _with_digest(found: Requirements) -> Requirements:
    """The digest counts contents, never paths of this machine, so that a laptop and CI agree."""
    files = [path for start in found.files for path in included_files(start)]
    if found.exported:
        files.append(found.exported)
    folders = {folder for path in files for folder in local_folders(path, found.root)}
    folders |= {Path(package.origin[5:]) for package in found.unindexed if package.origin.startswith("file:")}
    counted = {
        "lines": found.lines,
        "overrides": found.overrides,
        "constraints": found.constraints,
        "unindexed": [(p.name, p.version, p.origin if not p.origin.startswith("file:") else "") for p in found.unindexed],
        "own": found.own,
        "files": [(os.path.relpath(path, found.root), _sha256(path.read_bytes())) for path in files],
        "folders": sorted(tree_digest(folder) for folder in folders if folder.exists()),
    }
    return replace(found, digest=_sha256(json.dumps(counted, sort_keys=True).encode()))


_NOT_SOURCE = frozenset({"__pycache__", "node_modules", "build", "dist", "venv", "env"})


def tree_digest(path: Path) -> str:
    """sha256 over the names and contents of a file, or of a folder without what builds and tools leave there."""
    if path.is_file():
        return _sha256(path.read_bytes())
    found = hashlib.sha256()
    for folder, folders, names in os.walk(path):
        folders[:] = sorted(
            n for n in folders if not n.startswith(".") and n not in _NOT_SOURCE and not n.endswith(".egg-info")
        )
        for name in sorted(names):
            file = Path(folder) / name
            if not name.startswith(".") and not name.endswith((".pyc", ".pyo")) and file.is_file():
                found.update(f"{file.relative_to(path).as_posix()}\0{_sha256(file.read_bytes())}\n".encode())
    return found.hexdigest()


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
