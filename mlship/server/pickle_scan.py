"""What a model file refers to, read without loading anything of it: exact names, versions, or a refusal. Standard library only."""

from __future__ import annotations

from collections.abc import Mapping as MappingType
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlship.server import names, skops_scan
from mlship.server.names import Name
from mlship.server.pickle_machine import Found, Instance, Machine, Mapping, Sequence
from mlship.server.pickle_open import RESAVE, Refused, compression_of, open_model

# all that is imported from outside of the server
__all__ = ["RESAVE", "Refused", "Scan", "allow", "compression_of", "open_model", "scan"]


@dataclass(frozen=True)
class Scan:
    """format: `joblib` (with array blocks), `pickle` or `skops`. compression: `none`, `zlib`, `gzip`, ...

    names: every (module, name) pair, sorted. called: those that the file calls with arguments of its own.
    root: the name of the outermost object's class, or `builtins.dict` and the like.
    keys: of an outermost dict, its text keys. objects: how many pickles follow each other in the file; the first is the model.
    has_feature_names: some part was fitted on columns with names.
    """

    format: str
    compression: str
    names: tuple[Name, ...]
    protocol: int = 0
    versions: MappingType[str, str] = field(default_factory=dict)
    root: Name = ("builtins", "object")
    keys: tuple[str, ...] = ()
    objects: int = 1
    has_feature_names: bool = False
    called: tuple[Name, ...] = ()


def scan(path: Path) -> Scan:
    """Reads the whole file. Raises Refused for everything that cannot be read to its end, OSError."""
    with path.open("rb") as file:
        head = file.read(4)
    if head == b"PK\x03\x04":
        return _scan_skops(path)
    return _scan_pickles(path)


def allow(found: Scan, trust: tuple[str, ...] = (), framework: str = "sklearn") -> None:
    """Raises Refused for the worst of the names that may not be loaded; its message holds them all."""
    problems = names.problems(found.names, trust, framework)
    if not problems:
        _allow_calls(found.called, trust)
        return
    order = ("dangerous-name", "code-name", "main-name", "local-name", "unknown-name")
    worst = min(problems, key=lambda problem: order.index(problem.kind))
    same = [problem for problem in problems if problem.kind == worst.kind]
    others = [names.dotted(problem.name) for problem in same if problem is not worst]
    what = worst.what + (f" (and to {', '.join(others)})" if others else "")
    raise Refused(what, worst.fix, kind=worst.kind)


def _allow_calls(called: tuple[Name, ...], trust: tuple[str, ...]) -> None:
    for name in called:
        if not names.may_call(name) and names.dotted(name) not in trust:
            raise Refused(f"it calls {names.dotted(name)}: no training library writes such files", kind="hidden-call")


def _scan_skops(path: Path) -> Scan:
    document = skops_scan.read_schema(path)
    version = skops_scan.sklearn_version(document)
    return Scan(
        format="skops",
        compression="zip",
        names=tuple(sorted(skops_scan.referred(document))),
        versions={"scikit-learn": version} if version else {},
        root=skops_scan.name_of(document) or ("builtins", "object"),
        has_feature_names=skops_scan.has_feature_names(document),
    )


def _scan_pickles(path: Path) -> Scan:
    opened = open_model(path)
    found = Found()
    with opened.stream as stream:
        if not stream.peek(1):
            raise Refused("the file is empty", "copy it again")
        root = Machine(stream, found, arrays=True).run()
        objects = 1
        while stream.peek(1):
            Machine(stream, found, arrays=True).run()
            objects += 1
    return Scan(
        format="joblib" if found.arrays else "pickle",
        compression=opened.compression,
        names=tuple(sorted(found.names)),
        protocol=found.protocol,
        versions=found.versions,
        root=_class_of(root),
        keys=tuple(root.items) if isinstance(root, Mapping) else (),
        objects=objects,
        has_feature_names=found.has_feature_names,
        called=tuple(sorted(found.called)),
    )


def _class_of(root: Any) -> Name:
    if isinstance(root, Instance):
        return root.made_by
    kinds = {Mapping: "dict", tuple: "tuple"}
    return "builtins", root.kind if isinstance(root, Sequence) else kinds.get(type(root), "object")
