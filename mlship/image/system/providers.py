"""Which operating-system package brings a shared library: guessed by its name, believed when the signed package holds it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from mlship.image.plan import BasePlan
from mlship.image.system import deb
from mlship.image.system.apt import Archive
from mlship.image.system.apt_index import Distribution, Package
from mlship.image.system.apt_resolve import resolve
from mlship.image.system.base import distribution_with, fetch, system_package
from mlship.image.workplace import Workplace

_NAME = re.compile(r"[a-z0-9][a-z0-9+.-]+")  # Debian Policy 5.6.1
# Libraries whose packages are not called as Debian Policy 8.1 says.
_ODD_NAMES = {
    "libglib-2.0.so.0": "libglib2.0-0",
    "libgthread-2.0.so.0": "libglib2.0-0",
    "libgobject-2.0.so.0": "libglib2.0-0",
    "libgmodule-2.0.so.0": "libglib2.0-0",
    "libgio-2.0.so.0": "libglib2.0-0",
    "libgdk_pixbuf-2.0.so.0": "libgdk-pixbuf-2.0-0",
    "libpango-1.0.so.0": "libpango-1.0-0",
    "libGLU.so.1": "libglu1-mesa",
    "libOpenCL.so.1": "ocl-icd-libopencl1",
    "libjpeg.so.62": "libjpeg62-turbo",
    "libz.so.1": "zlib1g",
    "libnss3.so": "libnss3",
    "libnspr4.so": "libnspr4",
}


@dataclass(frozen=True)
class Provider:
    """package: what to name in build.packages. brings: all packages that come with it. size: installed, in bytes."""

    package: str
    brings: tuple[str, ...]
    size: int


def providers(workplace: Workplace, archive: Archive, plan: BasePlan, libraries: Iterable[str]) -> dict[str, Provider]:
    """By library, for those that a package of the base's release holds; each such package was read.

    Raises MlshipError with exit 13 when the archive cannot be reached.
    """
    minor = plan.python.rpartition("python")[2]
    distribution = distribution_with(workplace, archive, minor, plan.platform)
    found: dict[str, Provider] = {}
    for library in sorted(set(libraries)):
        package = _holding(workplace, archive, distribution, library)
        if package is not None:
            found[library] = _provider(distribution, plan, package)
    return found


def names(library: str) -> tuple[str, ...]:
    """What a package with this library may be called (Debian Policy 8.1, and `t64` since 2024), the likeliest first."""
    major = re.sub(r"(\.so\.\d+)\..*", r"\1", library)
    known = [_ODD_NAMES[name] for name in (library, major) if name in _ODD_NAMES]
    plain = [name for name in dict.fromkeys((*known, _by_policy(library), _by_policy(major))) if _NAME.fullmatch(name)]
    return tuple(name for base in plain for name in (base, f"{base}t64"))


def _by_policy(library: str) -> str:
    """The policy's own line of sed: 's/([0-9])\\.so\\./\\1-/; s/\\.so(\\.|$)//; y/_/-/; s/(.*)/\\L&/'."""
    name = re.sub(r"([0-9])\.so\.", r"\1-", library, count=1)
    return re.sub(r"\.so(\.|$)", "", name, count=1).replace("_", "-").lower()


def _holding(workplace: Workplace, archive: Archive, distribution: Distribution, library: str) -> Package | None:
    for package in _candidates(distribution, library):
        (path,) = fetch(workplace, (system_package(package),), archive)
        if library in _loadable(deb.paths(path)):
            return package
    return None


def _candidates(distribution: Distribution, library: str) -> Iterator[Package]:
    return (package for name in names(library) if (package := distribution.find(name)) is not None)


def _loadable(paths: Sequence[str]) -> set[str]:
    """Names of the files in the folders that the loader searches by itself."""
    return {PurePosixPath(path).name for path in paths if re.fullmatch(r"usr/lib(/[^/]+-linux-gnu)?/[^/]+", path)}


def _provider(distribution: Distribution, plan: BasePlan, package: Package) -> Provider:
    have = [known.name for known in plan.packages]
    new = [each for each in resolve(distribution, [*have, package.name]) if each.name not in have]
    size = sum(int(each.fields.get("installed-size", "0")) * 1024 for each in new)
    return Provider(package.name, tuple(each.name for each in new), size)
