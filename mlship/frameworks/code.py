"""The user's own packages: which files they are, what they import, and which of them a model needs."""

from __future__ import annotations

import ast
import os
import sys
from collections.abc import Collection, Iterable, Iterator
from difflib import get_close_matches
from itertools import islice
from pathlib import Path

from mlship.errors import Finding
from mlship.frameworks.base import CodeFile
from mlship.frameworks.digest import FileDigests
from mlship.frameworks.entering import files_of, is_broken, leads_out, link_leads_out

_LEFT_OUT = "site-packages"
_LEFT_OUT_SUFFIXES = (".pyc", ".pyo", ".egg-info", ".dist-info", ".ipynb")
MAX_FILES = 20_000


def code_files(
    root: Path,
    listed: Iterable[str],
    where: str,
    leave_out: Iterable[Path] = (),
    digests: FileDigests | None = None,
) -> tuple[tuple[CodeFile, ...], tuple[Finding, ...]]:
    """The files of the packages and modules that `model.code` lists, sorted by name, and what is wrong with the list.

    root: the project's folder. leave_out: what travels otherwise, such as the model itself, and folders of mlship's own.
    """
    known = digests or FileDigests()
    found: list[CodeFile] = []
    findings: list[Finding] = []
    skipped = frozenset(Path(os.path.realpath(path)) for path in leave_out)
    for text in listed:
        top = root / text
        problem = _problem(root, top, text, where)
        if problem is not None:
            findings.append(problem)
            continue
        base = import_base(top)
        inside = list(islice(_walk(top, skipped), MAX_FILES + 1))
        if len(inside) > MAX_FILES:
            findings.append(_too_many(text, where))
            continue
        for file in (*_parents(top, base), *inside):
            if link_leads_out(file, root):
                findings.append(_leads_out(file.relative_to(root).as_posix(), where))
            elif is_broken(file):
                findings.append(_no_file(file.relative_to(root).as_posix(), where))
            else:
                name = file.relative_to(base).as_posix()
                told = known.of(file)
                found.append(CodeFile(file, name, told.sha256, told.size, told.state))
    named = {file.name: file for file in found}
    return tuple(named[name] for name in sorted(named)), (*findings, *clashes(found, root, where))


def clashes(files: Iterable[CodeFile], root: Path, where: str) -> Iterator[Finding]:
    """Files that would be one: everything of an image is imported from one folder. Pure."""
    known: dict[str, CodeFile] = {}
    for file in files:
        other = known.setdefault(file.name, file)
        if other.sha256 != file.sha256:
            first, second = (each.path.relative_to(root) if root in each.path.parents else each.path for each in (other, file))
            fix = "rename one of the modules, or put it into a package of its own name"
            yield Finding(f"{first} and {second} would both be {file.name} in the image", where, fix, code="same-module")


def import_base(path: Path) -> Path:
    """The folder that goes on sys.path so that the package or module is found under its own name."""
    base = path.parent
    while (base / "__init__.py").is_file():
        base = base.parent
    return base


def imported_modules(files: Iterable[Path]) -> set[str]:
    """Top-level names that the files import, the standard library's left out. Files that do not parse tell nothing."""
    found: set[str] = set()
    for file in files:
        if file.suffix == ".py":
            found |= {name.partition(".")[0] for name in _imports(file)}
    return found - sys.stdlib_module_names - {"__future__"}


def own_modules(files: Iterable[CodeFile]) -> set[str]:
    """Import names of the user's own code."""
    return {file.name.partition("/")[0].removesuffix(".py") for file in files}


def module_of(listed: str) -> str:
    """Import name of what `model.code` lists: `src/churn/` -> `churn`."""
    return listed.rstrip("/").rpartition("/")[2].removesuffix(".py")


def find_own(folder: Path, modules: Iterable[str]) -> tuple[str, ...]:
    """What `model.code` has to list for these dotted modules: those that are files of the folder, and what they import of it.

    Looks in the folder itself and in its `src`. Paths are relative to the folder; packages end with `/`.
    """
    waiting = sorted({name.partition(".")[0] for name in modules})
    found: dict[str, str] = {}
    while waiting:
        name = waiting.pop()
        path = _place(folder, name)
        if path is None or name in found:
            continue
        found[name] = path.relative_to(folder).as_posix() + ("/" if path.is_dir() else "")
        waiting += sorted(imported_modules(_walk(path)))
    return tuple(sorted(found.values()))


def has_module(folder: Path, dotted: str) -> bool:
    """True when the dotted module is a file of the folder or its `src`."""
    parts = dotted.split(".")
    for base in (folder, folder / "src"):
        path = base.joinpath(*parts)
        if path.with_suffix(".py").is_file() or (path / "__init__.py").is_file():
            return True
    return False


def near_module(folder: Path, name: str) -> str:
    """A top-level module of the folder or its `src` with nearly this name, or empty."""
    entries = [entry for base in (folder, folder / "src") if base.is_dir() for entry in base.iterdir()]
    names = [entry.name.removesuffix(".py") for entry in entries if entry.suffix == ".py" or _place(folder, entry.name)]
    return next(iter(get_close_matches(name, names, n=1)), "")


def _place(folder: Path, name: str) -> Path | None:
    if not name.isidentifier():
        return None
    for base in (folder, folder / "src"):
        if (base / f"{name}.py").is_file():
            return base / f"{name}.py"
        if (base / name).is_dir() and any((base / name).glob("*.py")):
            return base / name
    return None


def _problem(root: Path, top: Path, text: str, where: str) -> Finding | None:
    if not top.exists():
        return Finding(
            f"there is no {text} in {root.name or root}", where, "name a package folder or a .py file", code="missing-code"
        )
    if leads_out(top, root):
        return _leads_out(text, where)
    if top.is_file() and top.suffix != ".py":
        return Finding(f"{text} is no Python module", where, "name a package folder or a .py file", code="no-module")
    if top.is_dir() and not any(file.suffix == ".py" for file in _walk(top)):
        return Finding(f"there is no Python module in {text}", where, "name a package folder or a .py file", code="no-module")
    return None


def _leads_out(text: str, where: str) -> Finding:
    return Finding(
        f"{text} leads out of the project's folder", where, "copy what it points to into the project", code="leads-out"
    )


def _no_file(text: str, where: str) -> Finding:
    return Finding(f"{text} is a link to what is no file", where, "copy what it points to, or remove it", code="no-file")


def _too_many(text: str, where: str) -> Finding:
    return Finding(
        f"{text} holds more than {MAX_FILES:,} files",
        where,
        "name the packages and modules that the model needs; data is not code",
        code="too-many-files",
    )


def _parents(top: Path, base: Path) -> Iterator[Path]:
    """The `__init__.py` of the packages above, without which a part of a package is not found."""
    folder = top.parent
    while folder != base:
        yield folder / "__init__.py"
        folder = folder.parent


def _walk(path: Path, own: Collection[Path] = ()) -> Iterator[Path]:
    if path.is_file():
        if Path(os.path.realpath(path)) not in own:
            yield path
        return
    yield from files_of(path, own, lambda name: name == _LEFT_OUT or name.endswith(_LEFT_OUT_SUFFIXES))


def _imports(file: Path) -> Iterator[str]:
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError, RecursionError, OSError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            yield node.module
