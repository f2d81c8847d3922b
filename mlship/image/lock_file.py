"""mlship.lock on disk: written whole, read strictly. It belongs into version control."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mlship.disk import write_atomic
from mlship.errors import MlshipError
from mlship.image.lock import SCHEMA, Asked, Lock, LockedModel, LockFile, models_digest
from mlship.image.packages.addresses import without_credentials
from mlship.image.plan import BaseImage, SystemPackage, Wheel
from mlship.oci.image import Descriptor

NAME = "mlship.lock"
_SHA256 = re.compile(r"[0-9a-f]{64}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+!:~-]*")
_PYTHON = re.compile(r"3\.\d{1,2}")
_PLATFORM = re.compile(r"linux/(amd64|arm64)")
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_LINE = re.compile(r"[^\x00-\x1f]{0,2000}")
_LARGEST = 32 * 2**20


def read_lock(path: Path) -> tuple[Lock, ...]:
    """What is locked, an entry for each platform; empty where there is no file. Raises as `read_lock_file` does."""
    return read_lock_file(path).locks


def read_lock_file(path: Path) -> LockFile:
    """The file, an empty one where there is none.

    Raises MlshipError for a file of a newer mlship, and for one that was damaged or edited.
    """
    try:
        raw = path.read_bytes() if path.stat().st_size <= _LARGEST else b""
    except FileNotFoundError:
        return LockFile()
    except OSError as error:
        raise MlshipError(f"{path.name} cannot be read: {error.strerror}", where=str(path)) from None
    document = _document(raw, path)
    locks, models = document.get("locks"), document.get("models")
    if document.get("sum") != (_sum(locks) if document["schema"] < 2 else _sum([locks, models])):
        raise _damaged(path, "its contents and its own checksum differ")
    try:
        return LockFile(tuple(_lock(entry) for entry in locks or []), None if models is None else _models(models))
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise _damaged(path, str(error)) from None


def write_lock(path: Path, locks: Iterable[Lock], models: Iterable[LockedModel] | None = None) -> None:
    """Replaces the file; the same locks and models give the same bytes. Wheels' paths and credentials are not written."""
    write_atomic(path, lock_bytes(LockFile(tuple(locks), None if models is None else tuple(models))))


def lock_bytes(file: LockFile) -> bytes:
    """The file as it is written. Pure."""
    entries = [_entry(lock) for lock in sorted(file.locks, key=lambda lock: (lock.platform, lock.python))]
    models = None if file.models is None else _models_entry(file.models)
    document = {"schema": SCHEMA, "sum": _sum([entries, models]), "locks": entries, "models": models}
    return json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False).encode() + b"\n"


def locked_for(locks: Iterable[Lock], platform: str, inputs: str) -> Lock | None:
    """The entry that can be used again as it is: same platform, and nothing that it depends on has changed."""
    return next((lock for lock in locks if lock.platform == platform and lock.inputs == inputs), None)


def with_lock(locks: Iterable[Lock], new: Lock) -> tuple[Lock, ...]:
    """The entries with the one of that platform replaced or added."""
    return (*(lock for lock in locks if lock.platform != new.platform), new)


def _document(raw: bytes, path: Path) -> dict[str, Any]:
    try:
        document = json.loads(raw)
    except (ValueError, RecursionError):
        raise _damaged(path, "it is not JSON") from None
    if not isinstance(document, dict) or not isinstance(document.get("schema"), int):
        raise _damaged(path, "it has no schema")
    if document["schema"] > SCHEMA:
        raise MlshipError(
            f"{path.name} has schema {document['schema']}; this mlship reads up to {SCHEMA}",
            where=str(path),
            fix="it was written by a newer mlship: upgrade",
            code="newer-schema",
        )
    return document


def _damaged(path: Path, why: str) -> MlshipError:
    return MlshipError(
        f"{path.name} is damaged or was edited: {why}",
        where=str(path),
        fix=f"take it from version control again, or delete it: mlship build resolves anew ({path.name} is not edited by hand)",
        code="damaged-lock",
    )


def _sum(entries: Any) -> str:
    return hashlib.sha256(json.dumps(entries, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()).hexdigest()


def _entry(lock: Lock) -> dict[str, Any]:
    return {
        "python": lock.python,
        "platform": lock.platform,
        "suite": lock.suite,
        "inputs": lock.inputs,
        "made": lock.made,
        "asked": _asked_entry(lock.asked),
        "base": _base_entry(lock),
        "compressor": lock.compressor,
        "system": [_system_entry(package) for package in sorted(lock.system, key=lambda p: (p.name, p.version))],
        "wheels": [_wheel_entry(wheel) for wheel in sorted(lock.wheels, key=lambda wheel: wheel.name)],
        "server": [_wheel_entry(wheel) for wheel in sorted(lock.server, key=lambda wheel: wheel.name)],
    }


def _asked_entry(asked: Asked | None) -> dict[str, Any] | None:
    if asked is None:
        return None
    lists = {"packages": sorted(asked.packages), "requirements": sorted(asked.requirements)}
    return {"source": asked.source, "base": asked.base, **lists}


def _base_entry(lock: Lock) -> dict[str, Any]:
    """A base image's layers are a choice that every build is held to; of an assembled base, the layer is what came of it."""
    if lock.base is None:
        blob = {"blob": asdict(lock.blob)} if lock.blob else {}
        return {"diff_ids": [lock.diff_id] if lock.diff_id else [], **blob}
    return {**asdict(lock.base), "diff_ids": list(lock.base.diff_ids)}


def _models_entry(models: tuple[LockedModel, ...]) -> dict[str, Any]:
    listed = sorted(models, key=lambda model: model.name)
    each = [_model_entry(model) for model in listed]
    return {"sha256": models_digest(models), "models": each}


def _model_entry(model: LockedModel) -> dict[str, Any]:
    pinned = {"version": model.version, "fetched": model.fetched} if model.version else {}
    return {"name": model.name, "path": model.path, "sha256": model.sha256, **pinned}


def _system_entry(package: SystemPackage) -> dict[str, Any]:
    return {
        "name": package.name,
        "version": package.version,
        "sha256": package.sha256,
        "size": package.size,
        "url": without_credentials(package.url),
    }


def _wheel_entry(wheel: Wheel) -> dict[str, Any]:
    entry = {"name": wheel.name, "version": wheel.version, "sha256": wheel.sha256}
    return {**entry, "origin": _safe_origin(wheel.origin)} if wheel.origin else entry


def _safe_origin(origin: str) -> str:
    """`git+https://user:token@host/x@commit` -> `git+https://host/x@commit`."""
    kind, plus, address = origin.partition("+") if origin.startswith("git+") else ("", "", origin)
    return f"{kind}{plus}{without_credentials(address)}"


def _lock(entry: Mapping[str, Any]) -> Lock:
    base = entry.get("base", {})
    image = "reference" in base
    made = {"made": "", "compressor": "", "diff_id": "".join(base.get("diff_ids", [])[:1]), **entry}
    return Lock(
        python=_text(entry, "python", _PYTHON),
        platform=_text(entry, "platform", _PLATFORM),
        suite=_text(entry, "suite", re.compile(r"[a-z0-9.-]*")),
        inputs=_text(entry, "inputs", re.compile(r"[\x21-\x7e]{0,500}")),
        system=tuple(_system(package) for package in entry["system"]),
        wheels=tuple(_wheel(wheel) for wheel in entry["wheels"]),
        base=_base(base) if image else None,
        server=tuple(_wheel(wheel) for wheel in entry.get("server", [])),
        asked=None if entry.get("asked") is None else _asked(entry["asked"]),
        made=_text(made, "made", _DAY) if made["made"] else "",
        diff_id=_text(made, "diff_id", _DIGEST) if made["diff_id"] and not image else "",
        blob=_blob(base["blob"]) if "blob" in base else None,
        compressor=_text(made, "compressor", re.compile(r"[ -~]{0,100}")),
    )


def _blob(entry: Mapping[str, Any]) -> Descriptor:
    if not isinstance(entry["size"], int) or entry["size"] < 0:
        raise ValueError(f"size is {entry['size']!r}")
    return Descriptor(_text(entry, "media_type", _LINE), _text(entry, "digest", _DIGEST), entry["size"])


def _asked(entry: Mapping[str, Any]) -> Asked:
    return Asked(
        source=_text(entry, "source", _LINE),
        base=_text(entry, "base", _LINE),
        packages=tuple(_text({"package": name}, "package", _LINE) for name in entry["packages"]),
        requirements=tuple(_text({"requirement": line}, "requirement", _LINE) for line in entry["requirements"]),
    )


def _models(entry: Mapping[str, Any]) -> tuple[LockedModel, ...]:
    models = tuple(
        LockedModel(
            _text(model, "name", _LINE),
            _text(model, "path", _LINE),
            _text(model, "sha256", _SHA256),
            _text({"version": "", **model}, "version", _LINE),
            _text(model, "fetched", _SHA256) if model.get("version") else "",
        )
        for model in entry["models"]
    )
    if entry["sha256"] != models_digest(models):
        raise ValueError("the digest of the models is not theirs")
    return models


def _base(entry: Mapping[str, Any]) -> BaseImage:
    return BaseImage(
        reference=_text(entry, "reference", re.compile(r"[\x21-\x7e]{1,600}")),
        digest=_text(entry, "digest", _DIGEST),
        diff_ids=tuple(_text({"diff_id": diff_id}, "diff_id", _DIGEST) for diff_id in entry["diff_ids"]),
        python=_text(entry, "python", re.compile(r"/(?!.*/\.\.?/)[\x21-\x7e]{0,300}/python3\.\d{1,2}")),
        glibc=_text(entry, "glibc", re.compile(r"2\.\d{1,3}")),
    )


def _system(entry: Mapping[str, Any]) -> SystemPackage:
    size = entry["size"]
    if not isinstance(size, int) or size < 0:
        raise ValueError(f"size is {size!r}")
    return SystemPackage(
        name=_text(entry, "name", _NAME),
        version=_text(entry, "version", _VERSION),
        sha256=_text(entry, "sha256", _SHA256),
        size=size,
        url=_text(entry, "url", re.compile(r"[\x21-\x7e]*")),
    )


def _wheel(entry: Mapping[str, Any]) -> Wheel:
    return Wheel(
        name=_text(entry, "name", _NAME),
        version=_text(entry, "version", _VERSION),
        sha256=_text(entry, "sha256", _SHA256),
        origin=_text({"origin": "", **entry}, "origin", re.compile(r"[^\x00-\x1f]*")),
    )


def _text(entry: Mapping[str, Any], key: str, shape: re.Pattern[str]) -> str:
    value = entry[key]
    if not isinstance(value, str) or not shape.fullmatch(value):
        raise ValueError(f"{key} is {str(value)[:80]!r}")
    return value
