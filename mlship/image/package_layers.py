"""The layers of the installed packages: each heavy wheel has one of its own, so that an update of another one moves no byte of it.

Their paths are disjoint. What is compiled of a wheel lies in its layer.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import re
import stat
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from mlship.disk import disk_errors, write_atomic
from mlship.image.builder import Bytecode, bytecode_facts, cached, compile_modules, key, known, written_and_kept
from mlship.image.bytecode import source_of
from mlship.image.packages.debug_info import without_debug_info
from mlship.image.packages.environment import normalised
from mlship.image.packages.strip import RULES, needless
from mlship.image.plan import Wheel
from mlship.image.workplace import Workplace, scratch
from mlship.oci.image import Layer
from mlship.oci.layer import Entry, entries_of_folder, without_bytecode
from mlship.oci.layer import parents as parents_of
from mlship.parallel import in_parallel

HEAVY = 10 * 2**20  # bytes, uncompressed, from which a wheel gets a layer of its own
MOST = 10  # such layers; engines take 128 layers at most, and each costs a request at every pull
LIGHT = "packages"  # the name of the layer of all others
PURE = "pure Python"  # of those the ones that hold Python alone: the same layer on every platform


@dataclass(frozen=True)
class Part:
    """What of an installed folder goes into one layer. name: of the wheel, PURE or LIGHT; sha256: of its wheels.

    paths: relative to the folder; of the light part they are not told: whatever no other part has.
    """

    name: str
    sha256: str
    paths: frozenset[str] = frozenset()


def package_layers(
    workplace: Workplace,
    folder: Path,
    target: str,
    wheels: Sequence[Wheel],
    *,
    inputs: str,
    bytecode: Bytecode | None = None,
    whole: Collection[str] = (),
) -> tuple[Layer, ...]:
    """An installed folder as layers at the absolute image path `target`: heavy wheels by name, then light ones in Python alone,
    then all others.

    inputs: a digest over everything that the folder was made from; it is only read when that is new. whole: names of wheels of
    which nothing is left out (strip.py).
    """
    kept = sorted(map(normalised, whole))
    facts = {
        "inputs": inputs,
        "target": target,
        "bytecode": bytecode_facts(bytecode),
        "heavy": [HEAVY, MOST, PURE],
        "whole": kept,
    }
    listed = workplace.home.cache / "layers" / f"{key('packages', {**facts, 'strip': RULES}, workplace.compression)}.list"
    found = _remembered(workplace, listed)
    if found is not None:
        return found
    with disk_errors(workplace.home.root), scratch(workplace) as compiled, scratch(workplace) as shortened:
        if bytecode:
            compile_modules(workplace, bytecode, folder, target, compiled)
        files = owned(folder)
        unstripped = frozenset[str]().union(*(files.get(name, ()) for name in kept))
        entries = (*without_bytecode(entries_of_folder(folder, target)), *entries_of_folder(compiled, "/"))
        few = _short(stripped(entries, target, unstripped), target, unstripped, shortened)
        split = _filled(divided(few, parts(folder, files, wheels), target))
        keys = {part: _part_key(workplace, part, of_part, target, bytecode, shortened) for part, of_part in split.items()}
        layers = tuple(in_parallel(lambda part: _layer(workplace, part, split[part], keys[part]), tuple(split)))
    write_atomic(listed, json.dumps(list(keys.values())).encode())
    return layers


def _short(entries: Iterable[Entry], target: str, unstripped: Collection[str], scratch: Path) -> tuple[Entry, ...]:
    """Libraries without debug information, but for files that stay as they are."""
    kept = {f"{target.strip('/')}/{path}" for path in unstripped}
    told = tuple(entries)
    short = without_debug_info((entry for entry in told if entry.path not in kept), scratch)
    return tuple(sorted((*short, *(entry for entry in told if entry.path in kept)), key=lambda entry: entry.path))


def _layer(workplace: Workplace, part: Part, entries: tuple[Entry, ...], part_key: str) -> Layer:
    return cached(workplace, part_key, lambda: written_and_kept(workplace, entries, "packages", part.name))


def owned(folder: Path) -> dict[str, dict[str, int]]:
    """By name of each wheel the files that it brought, relative to the installed folder, with their sizes in bytes."""
    return {_distribution(record): _sizes(record, str(folder)) for record in sorted(folder.glob("*.dist-info/RECORD"))}


def stripped(entries: Sequence[Entry], target: str, unstripped: Collection[str]) -> Iterator[Entry]:
    """Without files that nothing needs, and folders that are empty then. unstripped: files that stay. Pure."""
    base = target.strip("/") + "/"
    shown = [(entry, entry.path.removeprefix(base)) for entry in entries]
    loaded = {source_of(path).rpartition("/")[0] for _, path in shown if path.endswith(".pyc")}
    kept = [
        entry for entry, path in shown if entry.folder or source_of(path) in unstripped or not needless(source_of(path), loaded)
    ]
    held = {parent for entry in kept if not entry.folder for parent in parents_of(entry.path)}
    return (entry for entry in kept if not entry.folder or entry.path in held)


def parts(folder: Path, installed: Mapping[str, Mapping[str, int]], wheels: Iterable[Wheel]) -> tuple[Part, ...]:
    """The heaviest wheels from HEAVY on, at most MOST, by name; then light ones that are the same for every platform, and the
    rest. installed: as `owned` gives it."""
    hashes = {wheel.name: wheel.sha256 for wheel in wheels}
    sizes = {name: sum(files.values()) for name, files in installed.items() if name in hashes}
    heavy = sorted(sorted((name for name in sizes if sizes[name] >= HEAVY), key=lambda name: (-sizes[name], name))[:MOST])
    light = sorted(hashes.keys() - set(heavy))
    pure = [name for name in light if name in installed and _is_pure(folder, installed[name])]
    parts = [Part(name, hashes[name], frozenset(installed[name])) for name in heavy]
    if pure:
        held = frozenset[str]().union(*(installed[name] for name in pure))
        parts.append(Part(PURE, _sum(hashes[name] for name in pure), held))
    return (*parts, Part(LIGHT, _sum(hashes[name] for name in light if name not in pure)))


def _sum(hashes: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(sorted(hashes)).encode()).hexdigest()


def _is_pure(folder: Path, files: Collection[str]) -> bool:
    """Whether all of its tags are of any platform (PEP 427)."""
    wheel = next((folder / path for path in files if re.fullmatch(r"[^/]+\.dist-info/WHEEL", path)), None)
    lines = wheel.read_text(encoding="utf-8", errors="replace").splitlines() if wheel else []
    tags = [line.strip() for line in lines if line.startswith("Tag: ")]
    return bool(tags) and all(tag.endswith("-any") for tag in tags)


def _filled(split: Mapping[Part, tuple[Entry, ...]]) -> Mapping[Part, tuple[Entry, ...]]:
    """Without the rest where nothing is in it, unless there is nothing at all."""
    filled = {part: entries for part, entries in split.items() if entries}
    return filled or split


def divided(entries: Iterable[Entry], among: Sequence[Part], target: str) -> Mapping[Part, tuple[Entry, ...]]:
    """Every entry once. A file that two wheels bring belongs to the first; folders come with what they hold. Pure."""
    base = target.strip("/") + "/"
    owner = {path: part for part in reversed(among) for path in part.paths}
    rest = among[-1]
    split: dict[Part, list[Entry]] = {part: [] for part in among}
    for entry in entries:
        part = owner.get(source_of(entry.path.removeprefix(base)), rest)
        if not entry.folder or part is rest:
            split[part].append(entry)
    held = {parent for part in among for entry in split[part] if not entry.folder for parent in parents_of(entry.path)}
    return {
        part: tuple(entry for entry in found if not entry.folder or entry.path not in held) for part, found in split.items()
    }


def _part_key(
    workplace: Workplace, part: Part, entries: Collection[Entry], target: str, by: Bytecode | None, shortened: Path
) -> str:
    """What the files hold follows from the wheels, and compiled ones from them and the interpreter; which there are does not,
    and which were shortened neither."""
    names = sorted(f"{entry.path} {entry.source is not None and entry.source.parent == shortened}" for entry in entries)
    interpreter = [by.compiler.key, by.compiler.python, *by.bare] if by else None
    facts = {
        "part": part.name,
        "wheels": part.sha256,
        "target": target,
        "names": hashlib.sha256("\n".join(names).encode()).hexdigest(),
        "interpreter": interpreter,
    }
    return key("packages", facts, workplace.compression)


def _distribution(record: Path) -> str:
    """`scikit_learn-1.9.0.dist-info/RECORD` -> `scikit-learn`."""
    return normalised(record.parent.name.partition("-")[0])


def _sizes(record: Path, folder: str) -> dict[str, int]:
    rows: Iterator[list[str]] = csv.reader(record.read_text(encoding="utf-8").splitlines())
    sizes = {}
    for path in (row[0] for row in rows if row):
        with suppress(OSError):  # it is listed, and uv put it elsewhere
            found = os.stat(f"{folder}/{path}")  # noqa: PTH116 -- asked for thousands of files
            if stat.S_ISREG(found.st_mode):
                sizes[path] = found.st_size
    return sizes


def _remembered(workplace: Workplace, whole: Path) -> tuple[Layer, ...] | None:
    try:
        layers = [known(workplace, part) for part in json.loads(whole.read_text())]
    except (FileNotFoundError, ValueError, TypeError):
        return None
    found = [layer for layer in layers if layer is not None]
    return tuple(found) if found and len(found) == len(layers) else None
