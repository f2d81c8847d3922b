"""Compiled Python files that stay valid: unchecked-hash ones, made by the image's own interpreter.

Time-stamped ones would be invalid under the image's normalised times, and a read-only container cannot write its own.
The code carries its path inside the image, never one of this machine.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from mlship.errors import Exit, MlshipError
from mlship.image import docstrings
from mlship.image.workplace import Workplace
from mlship.oci import rootfs
from mlship.oci.image import Layer

# A fixed number of groups, whatever the machine: what one process compiled before is the same everywhere.
_GROUPS = 4
_FAN_OUT_FROM = 40

# Packages that load their parts only when somebody asks: all parts are compiled, so that the layer does not depend on which
# of them this version of the model uses.
_WHOLE = ("sklearn",)

# What else a process has interned decides three things that follow from no source: which strings marshal takes for shared (it
# counts references: so all are held), whether it calls a single character interned (there is one object of each: so those of Latin-1 are),
# and which equal frozensets the compiler keeps apart (code.c, intern_string_constants: so they are made one). Then the bytes
# follow from source, path and version of Python alone, on every processor. Of the time that compiling scikit-learn and what it
# imports takes, a third went into this and the collector of garbage, which finds nothing here: so it is told in loops and types.
_STEADY = """
import gc, importlib._bootstrap_external as external, importlib.util, sys
gc.disable()
code_type = type((lambda: 0).__code__)
for character in ("", *map(chr, range(256))):
    sys.intern(character)
def steady(code, source):
    if has_sets(code.co_consts):
        code = one_of_each(code, {})
    kept = held(code, [])
    return external._code_to_hash_pyc(code, importlib.util.source_hash(source), False)
def held(code, kept):
    kept += code.co_names
    kept += code.co_varnames
    kept += code.co_freevars
    kept += code.co_cellvars
    kept += (code.co_name, code.co_filename, getattr(code, "co_qualname", ""))
    return held_of(code.co_consts, kept)
def held_of(values, kept):
    for value in values:
        kind = type(value)
        if kind is str:
            kept.append(value)
        elif kind is code_type:
            held(value, kept)
        elif kind is tuple or kind is frozenset:
            held_of(value, kept)
    return kept
def has_sets(values):
    for value in values:
        kind = type(value)
        if kind is frozenset:
            return True
        if kind is code_type and has_sets(value.co_consts) or kind is tuple and has_sets(value):
            return True
    return False
def one_of_each(value, known):
    if isinstance(value, code_type):
        return value.replace(co_consts=tuple(one_of_each(part, known) for part in value.co_consts))
    if isinstance(value, tuple) and has_sets(value):
        return tuple(one_of_each(part, known) for part in value)
    if isinstance(value, frozenset):
        return known.setdefault(repr(sorted((type(part).__name__, repr(part)) for part in value)), value)
    return value
"""

_SCRIPT = _STEADY + docstrings.SCRIPT

_COMPILE = """
import json, os, sys
job = json.load(sys.stdin)
folders = set(job["bare"])
for source, shown, target in job["files"]:
    with open(source, "rb") as file:
        data = file.read()
    without = is_bare(shown, folders)
    try:
        code = compile(undocumented(data) if without else data, shown, "exec", dont_inherit=True, optimize=-1)
    except (SyntaxError, UnicodeDecodeError, ValueError, RecursionError):
        continue  # a template or a file for another Python: it is not imported either
    if without:
        code = bare(code)
    os.makedirs(os.path.dirname(target), exist_ok=True)
    with open(target, "wb") as file:
        file.write(steady(code, data))
"""

# Compiles what an import loads, while it loads it: each file is compiled once, and only those that are needed.
_IMPORT = """
import importlib, importlib.machinery, json, os, pkgutil, sys
job = json.load(sys.stdin)
folder, target, into, folders = job["folder"] + "/", job["target"], job["into"], set(job["bare"])
sys.path.insert(0, job["folder"])
compile_source = importlib.machinery.SourceFileLoader.source_to_code
def source_to_code(self, data, path, **options):
    if not path.startswith(folder):
        return compile_source(self, data, path, **options)
    shown = target + "/" + path[len(folder):]
    without = is_bare(path[len(folder):], folders)
    code = compile_source(self, undocumented(data) if without else data, shown, **options)
    if without:
        code = bare(code)
    place = into + importlib.util.cache_from_source(shown)
    os.makedirs(os.path.dirname(place), exist_ok=True)
    with open(place, "wb") as file:
        file.write(steady(code, data))
    return code
importlib.machinery.SourceFileLoader.source_to_code = source_to_code
failed = {}
def load(module):
    try:
        return importlib.import_module(module)
    except BaseException as error:
        failed[module] = type(error).__name__ + ": " + str(error)
for module in job["modules"]:
    loaded = load(module)
    if loaded is not None and module in job["whole"]:
        parts = [part.name for part in pkgutil.iter_modules(loaded.__path__) if part.ispkg]
        for part in parts:
            if not part.startswith("_") and part not in ("tests", "experimental", "externals"):
                load(module + "." + part)
sys.stdout.flush()
os.write(2, ("\\n" + json.dumps(failed)).encode())
os._exit(0)
"""


@dataclass(frozen=True)
class Compiler:
    """The interpreter of a base. python: its path inside the image. below: the layers under the base's topmost, bottom first."""

    base: Layer
    python: str
    below: tuple[Layer, ...] = ()

    @property
    def key(self) -> str:
        """Names the base's files and the interpreter among them; of an assembled base it is its diff_id."""
        if not self.below and self.python.startswith("/usr/bin/"):
            return self.base.diff_id
        text = " ".join((*(layer.diff_id for layer in (*self.below, self.base)), self.python))
        return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"

    def root(self, workplace: Workplace) -> Path:
        """The base's files on this machine, unpacked once."""
        place = workplace.home.cache / "roots" / self.key.removeprefix("sha256:")
        layers = (*self.below, self.base)
        return rootfs.assemble(workplace.layout, layers, place, workplace.home, python=self.python)


def compile_files(
    workplace: Workplace,
    root: Path,
    python: str,
    sources: Iterable[tuple[Path, str]],
    into: Path,
    bare: Collection[str] = (),
) -> None:
    """Compiles (file, its absolute path inside the image); writes below `into` by their paths inside the image.

    root: an image's files, with the interpreter `python`. bare: names of folders whose files go without docstrings. Files that
    do not compile are left without.
    """
    jobs = [[str(path), inside, f"{into}{_target(inside, python)}"] for path, inside in sorted(sources)]
    groups = [jobs[number::_GROUPS] for number in range(_GROUPS)] if len(jobs) >= _FAN_OUT_FROM else [jobs]
    with ThreadPoolExecutor(_GROUPS) as pool:
        list(
            pool.map(lambda group: _run(workplace, root, python, _SCRIPT + _COMPILE, {"files": group, "bare": [*bare]}), groups)
        )


def compile_imported(
    workplace: Workplace,
    root: Path,
    python: str,
    folder: Path,
    target: str,
    modules: Sequence[str],
    into: Path,
    bare: Collection[str] = (),
) -> dict[str, str]:
    """Imports the modules from `folder`, in a process of the image's interpreter, and compiles what that loads.

    target: where `folder` will be inside the image. bare: names of folders whose files go without docstrings. Gives module -> reason
    for those that could not be imported.
    """
    job = {
        "folder": str(folder),
        "target": target,
        "into": str(into),
        "modules": list(modules),
        "whole": _WHOLE,
        "bare": [*bare],
    }
    said = _run(workplace, root, python, _SCRIPT + _IMPORT, job).rstrip().rpartition(b"\n")[2]
    failed: dict[str, str] = json.loads(said)
    return failed


def source_of(path: str) -> str:
    """`numpy/__pycache__/version.cpython-311.pyc` -> `numpy/version.py`; another path as it is. Pure."""
    if not path.endswith(".pyc"):
        return path
    compiled = re.fullmatch(r"(?:(.*)/)?__pycache__/([^/]+)\.cpython-\d+\.pyc", path)
    return path if compiled is None else f"{compiled[1]}/{compiled[2]}.py" if compiled[1] else f"{compiled[2]}.py"


def _target(inside: str, python: str) -> str:
    path = PurePosixPath(inside)
    tag = "cpython-" + python.rpartition("python")[2].replace(".", "")
    return str(path.parent / "__pycache__" / f"{path.stem}.{tag}.pyc")


def _run(workplace: Workplace, root: Path, python: str, script: str, job: Any) -> bytes:
    command = rootfs.command(root, (python, "-s", "-P", "-c", script), rootfs.IMPORTING)
    told = workplace.runner.run(replace(command, stdin=json.dumps(job).encode(), timeout_s=900))
    if not told.ok:
        raise MlshipError(
            f"the image's interpreter {python} could not compile its files (exit {told.code})",
            where=str(root),
            exit=Exit.BUILD_FAILED,
            code="compile-failed",
            details=told.last_lines(),
        )
    return told.stderr
