"""What a skops file refers to, read from its schema without loading anything. Standard library only."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from mlship.server import names
from mlship.server.pickle_open import BOMB_BYTES, BOMB_RATIO, Refused

MAX_MEMBERS = 200_000
MAX_SCHEMA = 512 * 2**20
RESAVE = "save it again with skops.io.dump(model, path)"

# Nodes that only build what they name. Left out: MethodNode and OperatorFuncNode, which call methods of any name.
_LOADERS = (
    "DictNode DefaultDictNode ListNode SetNode TupleNode BytesNode BytearrayNode SliceNode FunctionNode PartialNode TypeNode "
    "ConstructorFromReduceNode ObjectNode JsonNode CachedNode NdArrayNode MaskedArrayNode DTypeNode RandomStateNode "
    "RandomGeneratorNode SparseMatrixNode TreeNode LossNode SGDNode"
)
LOADERS = frozenset(_LOADERS.split())


def read_schema(path: Path) -> dict[str, Any]:
    """The file's schema.json, after the archive was checked. Raises Refused."""
    try:
        with zipfile.ZipFile(path) as archive:
            _check_archive(archive, path.stat().st_size)
            document = json.loads(archive.read("schema.json"))
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError, EOFError) as error:
        raise Refused(f"the archive is damaged ({error})", f"copy it again, or {RESAVE}") from None
    except (ValueError, RecursionError):
        raise Refused("schema.json in the archive cannot be read", RESAVE) from None
    if not isinstance(document, dict):
        raise Refused("schema.json in the archive is no skops schema", RESAVE)
    return document


def nodes(document: Any) -> Iterator[dict[str, Any]]:
    """Every node of the schema."""
    waiting = [document]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            if "__class__" in part or "__loader__" in part:
                yield part
            waiting.extend(part.values())
        elif isinstance(part, list):
            waiting.extend(part)


def name_of(node: dict[str, Any]) -> names.Name | None:
    """The name that a node builds; None for plain JSON values and references. Raises Refused."""
    loader, module, name = node.get("__loader__"), node.get("__module__"), node.get("__class__")
    if loader not in LOADERS:
        raise Refused(f"the file uses skops' {str(loader)[:60]}, which can call any method", "save the model without it")
    if loader in ("JsonNode", "CachedNode"):
        return None
    if not isinstance(module, str) or not isinstance(name, str):
        raise Refused("schema.json in the archive is no skops schema", RESAVE)
    pair = (module, name)
    if pair in names.STAND_INS or pair in names.SUBSTITUTES or (
        loader == "ConstructorFromReduceNode" and pair in names.NEVER_CALLED
    ):  # fmt: skip
        raise Refused(
            f"the file holds {names.dotted(pair)}, which is not safe to load from skops",
            "save best_estimator_ instead of the search, or save with joblib.dump",
            kind="refused-name",
        )
    return pair


def referred(document: dict[str, Any]) -> set[names.Name]:
    """Every name that loading would import. Raises Refused."""
    found: set[names.Name] = set()
    for node in nodes(document):
        pair = name_of(node)
        if pair is not None:
            found.add(pair)
        content = node.get("content")
        if node.get("__loader__") == "FunctionNode" and isinstance(content, dict):
            found.add((str(content.get("module_path")), str(content.get("function"))))
        if node.get("__loader__") == "RandomGeneratorNode":
            found.add(("numpy.random", _bit_generator(node)))
    if not all(names.is_name(part) for pair in found for part in pair):
        raise Refused("it refers to what can be no name in Python", RESAVE, kind="hidden-name")
    return found


def sklearn_version(document: dict[str, Any]) -> str:
    """What the outermost estimator recorded; empty when nothing did."""
    for node in nodes(document):
        content = node.get("content")
        entry = content.get("_sklearn_version") if isinstance(content, dict) else None
        if isinstance(entry, dict) and isinstance(entry.get("content"), str):
            return str(entry["content"]).strip('"')[:40]
    return ""


def has_feature_names(document: dict[str, Any]) -> bool:
    """True when some part was fitted on columns with names."""
    contents = (node.get("content") for node in nodes(document))
    return any(isinstance(content, dict) and "feature_names_in_" in content for content in contents)


def _bit_generator(node: dict[str, Any]) -> str:
    try:
        return str(json.loads(node["content"]["bit_generator"]["content"]["bit_generator"]["content"]))
    except (KeyError, TypeError, ValueError):
        raise Refused("a random generator in the file cannot be read", RESAVE) from None


def _check_archive(archive: zipfile.ZipFile, packed: int) -> None:
    members = archive.infolist()
    listed = {member.filename for member in members}
    if "schema.json" not in listed:
        shown = ", ".join(sorted(listed)[:3]) or "nothing"
        raise Refused(f"the file is a zip archive with {shown}, not a skops model", kind="not-a-model")
    if len(listed) < len(members) or len(members) > MAX_MEMBERS:
        raise Refused(f"the archive has {len(members)} members, of {len(listed)} names", RESAVE)
    size = sum(member.file_size for member in members)
    if archive.getinfo("schema.json").file_size > MAX_SCHEMA or (size > BOMB_BYTES and size > BOMB_RATIO * packed):
        raise Refused(f"the archive of {packed} bytes unpacks to {size // 2**20} MiB", RESAVE, kind="bomb")
    for member in members:
        if member.filename != "schema.json":
            with archive.open(member) as stream:
                _check_member(member.filename, stream)


def _check_member(name: str, stream: IO[bytes]) -> None:
    """Arrays are numpy's own files; anything that could be a pickle or another archive of one is not skops'."""
    head = stream.read(256)
    if name.endswith(".npy") and head.startswith(b"\x93NUMPY") and b"O'" not in head.split(b"\n")[0]:
        return
    if name.endswith(".npz") and head.startswith(b"PK\x03\x04"):
        return  # a sparse matrix: scipy reads it with allow_pickle=False
    if name.endswith(".bin"):
        return  # the content of bytes
    raise Refused(f"the archive member {name[:60]!r} is no array", RESAVE)
