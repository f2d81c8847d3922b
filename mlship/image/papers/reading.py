"""An image in a layout -> what it consists of."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from mlship.errors import Exit, MlshipError
from mlship.image.lock import Lock
from mlship.image.packages.environment import normalised
from mlship.image.papers.contents import SERVER_PACKAGES, SERVER_VERSION, Contents, digest_of, read_contents
from mlship.image.papers.facts import Component, Facts, Licence
from mlship.image.papers.purl import pypi_purl
from mlship.image.papers.python_packages import python_packages
from mlship.image.papers.system_packages import operating_system, system_packages
from mlship.image.plan import CODE, MANIFEST, PACKAGES, ROOT, SERVER
from mlship.oci.image import BASE_DIGEST, BASE_NAME, Image
from mlship.oci.layout import PROJECT_LABEL, Layout
from mlship.server.manifest import Manifest, Model, from_json

_OWN = f"{SERVER}/mlship"
_OWN_LICENCE = Licence("Apache-2.0")  # as pyproject.toml says


@dataclass(frozen=True)
class Sums:
    """(name, version) -> hex sha256 of the file that was installed: what the packages in an image do not say themselves."""

    system: Mapping[tuple[str, str], str] = field(default_factory=dict)
    wheels: Mapping[tuple[str, str], str] = field(default_factory=dict)
    server: Mapping[tuple[str, str], str] = field(default_factory=dict)


def sums_of(lock: Lock) -> Sums:
    """lock: the one that the image was built from."""
    return Sums(
        {(package.name, package.version): package.sha256 for package in lock.system},
        {(normalised(wheel.name), wheel.version): wheel.sha256 for wheel in lock.wheels},
        {(normalised(wheel.name), wheel.version): wheel.sha256 for wheel in lock.server},
    )


def read_facts(layout: Layout, image: Image, sums: Sums | None = None) -> Facts:
    """Reads the image's layers; memory does not grow with the models.

    Raises MlshipError where a layer is damaged, or a model is not the one that the image's manifest names.
    """
    return facts_of(read_contents(layout, image), image, sums or Sums())


def facts_of(contents: Contents, image: Image, sums: Sums) -> Facts:
    """The same image and sums give the same facts. Pure."""
    system = operating_system(contents)
    packages = system_packages(contents, system, sums.system)
    wheels = python_packages(contents, _python(packages), image.platform, {PACKAGES: sums.wheels, SERVER: sums.server})
    components = (*packages, *wheels, *_server(contents, wheels), *_models(contents), *_code(contents))
    project = image.labels.get(PROJECT_LABEL) or image.labels.get("org.opencontainers.image.title") or "image"
    ordered = sorted(components, key=lambda one: (one.kind, one.name, one.version, one.ref))
    base = f"{image.annotations[BASE_NAME]}@{image.annotations.get(BASE_DIGEST, '')}" if BASE_NAME in image.annotations else ""
    unknown = _unknown(base, has_packages=bool(packages)) if base else ""
    return Facts(project, image.content, image.platform, tuple(ordered), system, base, unknown)


def _unknown(base: str, *, has_packages: bool) -> str:
    if has_packages:
        return f"of the base {base}, what was installed without dpkg is unknown"
    return f"which packages the base {base} has is unknown: it has no status of dpkg"


def _python(packages: Iterable[Component]) -> str:
    """`3.11.2`, from the package of the interpreter's library."""
    found = (re.match(r"(?:\d+:)?(3\.\d+\.\d+)", one.version) for one in packages if re.match(r"libpython3\.\d+-", one.name))
    return next((match[1] for match in found if match), "3.11.0")


def _server(contents: Contents, wheels: Iterable[Component]) -> Iterable[Component]:
    files = contents.below(_OWN)
    if not files:
        return
    version = re.search(r'^__version__ = "([^"]+)"', contents.texts.get(SERVER_VERSION, ""), re.MULTILINE)
    pins = re.findall(r"^([A-Za-z0-9._-]+)==(\S+)", contents.texts.get(SERVER_PACKAGES, ""), re.MULTILINE)
    pinned = {pypi_purl(normalised(name), pin) for name, pin in pins}
    purl = pypi_purl("mlship", version[1]) if version else ""
    yield Component(
        "server",
        purl or "server:mlship",
        "mlship",
        version[1] if version else "",
        purl,
        sha256=digest_of((path.removeprefix(f"{_OWN}/"), found) for path, found in files.items()),
        of_folder=True,
        licence=_OWN_LICENCE,
        places=(_OWN,),
        needs=tuple(sorted(wheel.ref for wheel in wheels if wheel.ref in pinned)),
        size=sum(found.size for found in files.values()),
    )


def _models(contents: Contents) -> Iterable[Component]:
    if MANIFEST not in contents.texts:
        return ()
    manifest = from_json(contents.texts[MANIFEST].encode())
    return [component for model in manifest.models for component in _model(contents, manifest, model)]


def _model(contents: Contents, manifest: Manifest, model: Model) -> Iterable[Component]:
    place = f"{ROOT}/{model.path}"
    files = contents.below(place)
    if not files:  # a class of the user's own without files: all of it is code
        return
    single = files.get(place)
    digest = single.sha256 if single else digest_of((path.removeprefix(f"{place}/"), file) for path, file in files.items())
    compiled = model.engine.sha256  # then this lies there, and model.sha256 is of what it was compiled from
    if digest != (compiled or model.sha256):
        raise MlshipError(
            f"{place} of the image has the sha256 {digest}, and its manifest says {compiled or model.sha256}",
            fix="mlship build",
            exit=Exit.BUILD_FAILED,
            code="damaged-image",
        )
    yield Component(
        "model",
        f"model:{model.name}",
        model.name,
        sha256=digest,
        of_folder=single is None,
        places=(place,),
        size=sum(file.size for file in files.values()),
        notes={
            "framework": model.framework,
            "format": model.format,
            **({"engine": model.engine.name, "compiled from sha256": model.sha256} if compiled else {}),
        },
    )


def _code(contents: Contents) -> Iterable[Component]:
    """The user's own packages, each by its name at the top of the folder."""
    names = sorted({path.removeprefix(f"{CODE}/").partition("/")[0] for path in contents.below(CODE)})
    for name in names:
        place = f"{CODE}/{name}"
        files = contents.below(place)
        single = files.get(place)
        yield Component(
            "code",
            f"code:{name}",
            name,
            sha256=single.sha256
            if single
            else digest_of((path.removeprefix(f"{place}/"), file) for path, file in files.items()),
            of_folder=single is None,
            places=(place,),
            size=sum(file.size for file in files.values()),
        )
