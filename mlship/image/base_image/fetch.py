"""A base image into this machine's store, once per digest: asked for by tag it is resolved, by digest it need not be asked for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from mlship.disk import disk_errors, write_atomic
from mlship.errors import Exit, MlshipError
from mlship.image.base_image.facts import BaseFacts, base_facts
from mlship.image.base_image.files import read_files
from mlship.image.plan import BaseImage
from mlship.image.workplace import Workplace
from mlship.oci.image import Descriptor, Image, Layer
from mlship.oci.registry.docker_config import docker_credentials
from mlship.oci.registry.reference import Reference, parse_reference
from mlship.oci.registry.variant import oci_type

SCHEMA = 1  # of the record; raised when facts are read otherwise


@dataclass(frozen=True)
class FetchedBase:
    """An image whose layers are in the store. reference: as the user says it. digest: of its manifest for the platform.

    environ: ENV of its configuration.
    """

    reference: str
    digest: str
    platform: str
    layers: tuple[Layer, ...]
    environ: Mapping[str, str]
    facts: BaseFacts

    def locked(self, python_minor: str) -> BaseImage:
        """As it is locked, for a Python that it has."""
        diff_ids = tuple(layer.diff_id for layer in self.layers)
        return BaseImage(self.reference, self.digest, diff_ids, self.facts.pythons[python_minor], self.facts.glibc)


def newest_base(workplace: Workplace, reference: str, platform: str, where: str = "") -> FetchedBase:
    """What the reference names now: asks the registry, unless it names a digest that is here.

    where: of build.base, for errors. Raises MlshipError: exit 2 (no such image or platform), 8 (credentials), 13 (the registry
    does not answer), 5 (it gives other bytes than it names, or no image).
    """
    wanted = parse_reference(reference, where)
    known = _known(workplace, reference, wanted.digest, platform) if wanted.digest else None
    return known or _pulled(workplace, wanted, reference, platform, where)


def locked_base(workplace: Workplace, locked: BaseImage, platform: str) -> FetchedBase:
    """The base that a lock names; the registry is asked only for what is not in the store. Raises as `newest_base`."""
    found = _known(workplace, locked.reference, locked.digest, platform) or _again(workplace, locked, platform)
    minor = locked.python.rpartition("python")[2]
    if minor not in found.facts.pythons or found.locked(minor) != locked:
        raise MlshipError(
            f"{locked.reference} has other layers, or another Python or C library, than mlship.lock says",
            where="mlship.lock",
            fix="take mlship.lock from version control again, or delete it",
            exit=Exit.BUILD_FAILED,
            code="bad-lock",
        )
    return found


def _again(workplace: Workplace, locked: BaseImage, platform: str) -> FetchedBase:
    wanted = parse_reference(locked.reference, "mlship.lock").at(locked.digest)
    try:
        return _pulled(workplace, wanted, locked.reference, platform, "mlship.lock")
    except MlshipError as error:
        if error.code != "registry-not-found":
            raise
        raise MlshipError(
            f"{wanted.name} has the locked image {locked.digest[:19]} no more, and this machine does not have it either",
            where="mlship.lock",
            fix="mlship lock --refresh takes what the tag is now; or push that image again",
            exit=Exit.BUILD_FAILED,
            code="base-gone",
        ) from None


def _pulled(workplace: Workplace, wanted: Reference, reference: str, platform: str, where: str) -> FetchedBase:
    # here and not above: a base that is here needs no HTTP client
    from mlship.oci.registry.client import Registry
    from mlship.oci.registry.holdings import Holdings
    from mlship.oci.registry.pull import pull

    workplace.progress.step("base", str(wanted))
    credentials = docker_credentials(workplace.environ, workplace.runner)
    with disk_errors(workplace.home.root), Registry(wanted.registry, workplace.environ, credentials) as registry:
        try:
            image = pull(registry, wanted, workplace.layout, platform=platform, progress=workplace.progress)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise MlshipError(
                f"{wanted} is not an image that can be built upon: its configuration names no layers",
                where=wanted.registry,
                fix="push it again with a current tool",
                exit=Exit.BUILD_FAILED,
                code="no-image",
            ) from error
        except MlshipError as error:
            raise MlshipError(
                f"the base cannot be had: {error.what}",
                where,
                error.fix,
                exit=error.exit,
                code=error.code,
                details=error.details,
            ) from None
    blobs = [layer.blob.digest for layer in image.layers]
    Holdings(workplace.home.registries).note(wanted.registry, wanted.repository, blobs)
    return _known(workplace, reference, image.manifest.digest, platform) or _read(workplace, image, wanted, reference)


def _read(workplace: Workplace, image: Image, wanted: Reference, reference: str) -> FetchedBase:
    title = wanted.repository.rpartition("/")[2]
    plain = tuple(
        replace(layer, blob=replace(layer.blob, media_type=oci_type(layer.blob.media_type)), role="base", name=title)
        for layer in image.layers
    )
    workplace.progress.step("base", f"{reference}: reading its files")
    files = read_files(workplace.layout, plain)
    count = len(plain)
    layers = tuple(
        replace(layer, size=size, name=f"{title} {number}" if count > 1 else title)
        for number, (layer, size) in enumerate(zip(plain, files.sizes, strict=True), 1)
    )
    environ = _environ(image.config)
    facts = base_facts(files, environ.get("PATH", "").split(":"))
    found = FetchedBase(reference, image.manifest.digest, image.platform, layers, environ, facts)
    document = {"schema": SCHEMA, **asdict(found)}
    with disk_errors(workplace.home.root):
        write_atomic(_record(workplace, found.digest), json.dumps(document, sort_keys=True).encode())
    return found


def _environ(config: Mapping[str, Any]) -> dict[str, str]:
    said = (config.get("config") or {}).get("Env") or ()
    return dict(entry.split("=", 1) for entry in said if isinstance(entry, str) and "=" in entry)


def _known(workplace: Workplace, reference: str, digest: str, platform: str) -> FetchedBase | None:
    """The base of an earlier pull, when all of its layers are still here."""
    try:
        document = json.loads(_record(workplace, digest).read_bytes())
        if document["schema"] != SCHEMA or document["platform"] != platform:
            return None
        layers = tuple(Layer(**{**layer, "blob": Descriptor(**layer["blob"])}) for layer in document["layers"])
        facts = document["facts"]
        lists = {key: tuple(facts[key]) for key in ("machines", "setuid")}
        found = FetchedBase(reference, digest, platform, layers, document["environ"], BaseFacts(**{**facts, **lists}))
    except (FileNotFoundError, ValueError, TypeError, KeyError):
        return None  # never pulled, or a record of another version: the image is read again
    return found if all(workplace.layout.has(layer.blob) for layer in layers) else None


def _record(workplace: Workplace, digest: str) -> Path:
    return workplace.home.cache / "bases" / f"{digest.removeprefix('sha256:')}.json"
