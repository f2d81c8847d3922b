"""What a lock and an image depend on: digests that tell whether anything has changed. What a build that has nothing to do needs."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path

import mlship
from mlship.flows.gather import Gathered
from mlship.frameworks.base import ModelSpec
from mlship.image.lock import Lock, LockedModel
from mlship.image.lock_file import NAME, locked_for, read_lock, read_lock_file, write_lock
from mlship.image.manifest import manifest
from mlship.image.packages.strip import RULES
from mlship.image.plan import BUILDER
from mlship.image.server_sources import server_digest
from mlship.oci.layer import Compression
from mlship.server.manifest import Signature, to_json


def lock_inputs(gathered: Gathered) -> str:
    """sha256 hex over everything that the lock depends on and that is known before asking an archive or an index. Pure."""
    facts = {
        "requirements": gathered.requirements.digest,
        "python": gathered.minor,
        "platform": gathered.platform,
        "packages": sorted(gathered.project.build.packages),
        "base": gathered.project.build.base,
        **({"gpu": True} if gathered.project.resources.gpu else {}),
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def lock_path(gathered: Gathered) -> Path:
    return gathered.project.root / NAME


def locked_models(gathered: Gathered) -> tuple[LockedModel, ...]:
    """The project's models as they are locked, by name. Pure."""
    return tuple(sorted(map(_locked_model, gathered.specs), key=lambda model: model.name))


def _locked_model(spec: ModelSpec) -> LockedModel:
    origin = spec.origin
    if origin is None:
        return LockedModel(spec.name, spec.uri, spec.sha256)
    return LockedModel(spec.name, spec.uri, spec.sha256, origin.version, origin.sha256)


def keep_models(gathered: Gathered) -> None:
    """Names the project's models in a lock that is there, where it names others. Nothing else of it changes."""
    file, models = read_lock_file(lock_path(gathered)), locked_models(gathered)
    if file.locks and models != file.models:
        write_lock(lock_path(gathered), file.locks, models)


def current_lock(gathered: Gathered) -> Lock | None:
    """The lock on disk when it still fits, else None. Starts no program and asks nobody."""
    return locked_for(read_lock(lock_path(gathered)), gathered.platform, lock_inputs(gathered))


def build_inputs(gathered: Gathered, lock: Lock, builder: str, compression: Compression) -> str:
    """sha256 hex over everything that an image and its manifest depend on. Pure but for the server's own files."""
    described = manifest(gathered.project, gathered.specs, _no_signatures(gathered), mlship.__version__)
    facts = {
        "builder": [builder, BUILDER, RULES],
        "server": server_digest(),
        "manifest": hashlib.sha256(to_json(described)).hexdigest(),
        "code": sorted((file.name, file.sha256) for spec in gathered.specs for file in spec.code),
        "lock": hashlib.sha256(json.dumps(_locked_facts(lock), sort_keys=True).encode()).hexdigest(),
        "whole": sorted(gathered.project.build.whole),
        "compression": compression,
        "reference": [spec.reference for spec in gathered.specs],
        "tolerance": [asdict(spec.tolerance) for spec in gathered.specs],
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _no_signatures(gathered: Gathered) -> dict[str, Signature]:
    return {spec.name: Signature() for spec in gathered.specs}


def _locked_facts(lock: Lock) -> dict[str, object]:
    """What of a lock decides the image's bytes; when and with which compressor it was made does not."""
    return {
        "python": lock.python,
        "platform": lock.platform,
        "suite": lock.suite,
        "base": asdict(lock.base) if lock.base else None,
        "system": [(package.name, package.version, package.sha256) for package in lock.system],
        "wheels": [(wheel.name, wheel.version, wheel.sha256) for wheel in lock.wheels],
        "server": [(wheel.name, wheel.version, wheel.sha256) for wheel in lock.server],
    }
