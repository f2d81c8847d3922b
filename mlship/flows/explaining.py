"""build --explain: what each layer is made from, written down at every build, and compared when somebody asks."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

import mlship
from mlship.flows.building.results import Explanation
from mlship.flows.gather import Gathered
from mlship.frameworks.base import ModelSpec
from mlship.image.explain import Facts, KnownFacts, LayerWhy, explained, grouped, label
from mlship.image.lock import Lock
from mlship.image.manifest import manifest
from mlship.image.packages.strip import RULES
from mlship.image.plan import BUILDER
from mlship.image.record import BuildRecords
from mlship.image.server_sources import server_digest
from mlship.image.sizes import SHARED_LAYERS
from mlship.image.workplace import Workplace
from mlship.oci.image import Image, Layer
from mlship.server.manifest import Signature, to_json

_HASHED = ("sha256", "signature", "sample")  # of a manifest: digests, and what may hold rows of data
_LONGEST = 60  # characters of a setting that are shown


def image_facts(gathered: Gathered, lock: Lock, image: Image, builder: str) -> dict[str, Facts]:
    """What each layer of the image was made from, by its label."""
    alone = frozenset(layer.name for layer in image.layers if layer.role == "packages")
    return {label(layer): {"builder": builder, **dict(_facts(layer, gathered, lock, alone))} for layer in image.layers}


def images_before(workplace: Workplace, project: str) -> dict[str, Image]:
    """By platform the newest image of the project, before a build makes another one the newest."""
    found: dict[str, Image] = {}
    for image in workplace.layout.images(project):
        found.setdefault(image.platform, image)
    return found


def explanation(workplace: Workplace, image: Image, before: Image | None, blobs: frozenset[str]) -> Explanation:
    """Layers with the same answer together. blobs: hex digests of what the store had."""
    if before is None:
        return Explanation(image.platform, "", 0.0, _why(workplace, image, None, blobs))
    record = BuildRecords(workplace.home.images).of_content(before.content)
    whys = _why(workplace, image, before, blobs) if before.content != image.content else ()
    return Explanation(image.platform, before.content, record.created if record else 0.0, whys)


def _why(workplace: Workplace, image: Image, before: Image | None, blobs: frozenset[str]) -> tuple[LayerWhy, ...]:
    known = KnownFacts(workplace.home.images)
    facts = known.of_content(image.content) or {}
    return grouped(explained(image, facts, before, known.of_content(before.content) if before else None, blobs))


def _facts(layer: Layer, gathered: Gathered, lock: Lock, alone: frozenset[str]) -> Iterator[tuple[str, str]]:
    yield "mlship's layers", f"version {BUILDER}"
    match layer.role:
        case "base":
            yield from _of_base(gathered, lock)
        case "packages":
            yield from _of_packages(layer.name, gathered, lock, alone)
        case "server":
            yield "mlship", f"{mlship.__version__}#{server_digest()}"
            yield "Python", lock.python
            yield from ((wheel.name, f"{wheel.version}#{wheel.sha256}") for wheel in lock.server)
        case "model":
            yield from (fact for spec in gathered.specs for fact in _of_model(layer.name, spec))
        case "code":
            yield from ((file.name, f"#{file.sha256}") for spec in gathered.specs for file in spec.code)
        case "configuration":
            yield from _of_manifest(gathered)


def _of_base(gathered: Gathered, lock: Lock) -> Iterator[tuple[str, str]]:
    if lock.base is not None:
        yield "base image", f"{lock.base.reference}#{lock.base.digest}"
        return
    yield "release", lock.suite
    yield "Python", lock.python
    yield from ((package.name, f"{package.version}#{package.sha256}") for package in lock.system)
    yield "build.packages", ", ".join(sorted(gathered.project.build.packages))


def _of_packages(name: str, gathered: Gathered, lock: Lock, alone: frozenset[str]) -> Iterator[tuple[str, str]]:
    yield "Python", lock.python
    yield "rules for what is left out", f"version {RULES}"
    yield "build.whole", ", ".join(sorted(gathered.project.build.whole))
    # what is compiled of a package follows from what importing these loads
    yield "modules that the model imports", ", ".join(sorted({module for spec in gathered.specs for module in spec.modules}))
    for wheel in lock.wheels:
        if wheel.name == name or (name in SHARED_LAYERS and wheel.name not in alone):
            yield wheel.name, f"{wheel.version}#{wheel.sha256}"


def _of_model(name: str, spec: ModelSpec) -> Iterator[tuple[str, str]]:
    for file in spec.files:
        if name in (spec.name, f"{spec.name} {file.name}"):
            yield file.name, f"#{file.sha256}"


def _of_manifest(gathered: Gathered) -> Iterator[tuple[str, str]]:
    described = manifest(
        gathered.project, gathered.specs, {spec.name: Signature() for spec in gathered.specs}, mlship.__version__
    )
    yield from _flat("", json.loads(to_json(described)))
    for spec in gathered.specs:
        if spec.reference:  # histograms of it stand there
            yield f"models.{spec.name}.reference", f"#{spec.reference}"


def _flat(name: str, value: Any) -> Iterator[tuple[str, str]]:
    last = name.rpartition(".")[2]
    if last in _HASHED:
        yield name, f"#{_digest(value)}"
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flat(f"{name}.{key}".lstrip("."), inner)
    elif isinstance(value, list) and value and isinstance(value[0], Mapping):
        for inner in value:
            yield from _flat(f"{name}.{inner.get('name', '')}".rstrip("."), inner)
    else:
        text = json.dumps(value, ensure_ascii=False).replace("#", "?")
        yield name, text if len(text) <= _LONGEST else f"#{_digest(value)}"


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
