"""Which wheel of a resolved package is installed on a platform. Pure; reads what uv writes as pylock.toml (PEP 751)."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from mlship.errors import need
from mlship.image.packages.addresses import without_credentials
from mlship.image.packages.environment import normalised


@dataclass(frozen=True)
class Resolved:
    """One package that uv decided on.

    sha256: of the wheel that fits the platform, "" where there is none. origin: where the wheel is made from then, in
    the words of environment.Distribution, or `<archive>#sha256=<hex>` for a source archive of an index. size: bytes of the wheel,
    0 where the index does not tell.
    """

    name: str
    version: str
    sha256: str = ""
    origin: str = ""
    size: int = field(default=0, compare=False)


def resolved_packages(pylock: str, tags: Mapping[str, int], cwd: Path) -> tuple[Resolved, ...]:
    """What uv resolved. tags: wheel tag -> rank. cwd: what relative folders are relative to."""
    document = tomllib.loads(pylock)
    packages = (_resolved(package, tags, cwd) for package in document.get("packages", []))
    return tuple(sorted(packages, key=lambda package: package.name))


def _resolved(package: Mapping[str, Any], tags: Mapping[str, int], cwd: Path) -> Resolved:
    name, version = normalised(package["name"]), str(package.get("version", ""))
    if "vcs" in package:
        return Resolved(name, version, origin=_git_origin(package["vcs"]))
    if "directory" in package:
        return Resolved(name, version, origin=f"file:{(cwd / package['directory']['path']).resolve()}")
    if "archive" in package:
        return _archive(name, version, package["archive"], cwd)
    best = best_wheel(package.get("wheels", []), tags)
    if best is not None:
        return Resolved(name, _exact_version(best, version), best.get("hashes", {}).get("sha256", ""), size=_size(best))
    sdist = package.get("sdist")
    if sdist is None:
        return Resolved(name, version)
    return Resolved(name, version, origin=f"{_file_name(sdist)}#sha256={sdist.get('hashes', {}).get('sha256', '')}")


def best_wheel(wheels: list[dict[str, Any]], tags: Mapping[str, int]) -> dict[str, Any] | None:
    """The wheel with the best tag, the highest build number among equals; None where none fits."""
    ranked = [(rank, build, wheel) for wheel in wheels for rank, build in _ranks(_file_name(wheel), tags)]
    if not ranked:
        return None
    best = min(rank for rank, _, _ in ranked)
    return max((entry for entry in ranked if entry[0] == best), key=lambda entry: entry[1])[2]


def fits(file_name: str, tags: Mapping[str, int]) -> bool:
    """Whether a wheel of this file name can be installed."""
    return bool(_ranks(file_name, tags))


def _ranks(file_name: str, tags: Mapping[str, int]) -> list[tuple[int, tuple[Any, ...]]]:
    utils = need("packaging.utils")
    try:
        _, _, build, names = utils.parse_wheel_filename(file_name)
    except utils.InvalidWheelFilename:
        return []
    return [(tags[str(tag)], tuple(build)) for tag in names if str(tag) in tags]


def _exact_version(wheel: Mapping[str, Any], version: str) -> str:
    """The version with the local tag that only the file's name may have, `2.13.0+cpu`."""
    return str(need("packaging.utils").parse_wheel_filename(_file_name(wheel))[1]) or version


def _size(wheel: Mapping[str, Any]) -> int:
    """As the index tells; a folder of wheels, or an index on this machine, tells nothing, but the file lies there."""
    place = urlsplit(wheel.get("url", ""))
    if "size" in wheel or place.scheme != "file":
        return int(wheel.get("size", 0))
    try:
        return Path(unquote(place.path)).stat().st_size
    except OSError:
        return 0


def _file_name(file: Mapping[str, Any]) -> str:
    address = file.get("name") or file.get("path") or urlsplit(file.get("url", "")).path
    return unquote(str(address)).rpartition("/")[2]


def _git_origin(vcs: Mapping[str, Any]) -> str:
    address = vcs.get("url") or vcs.get("path") or ""
    below = f"#subdirectory={vcs['subdirectory']}" if vcs.get("subdirectory") else ""
    return f"git+{without_credentials(address)}@{vcs['commit-id']}{below}"


def _archive(name: str, version: str, archive: Mapping[str, Any], cwd: Path) -> Resolved:
    sha256 = archive.get("hashes", {}).get("sha256", "")
    address = archive.get("url", "")
    if archive.get("path") or address.startswith("file:"):
        path = unquote(urlsplit(address).path) if address else (cwd / archive["path"]).resolve()
        return Resolved(name, version or _version_in(str(path)), sha256=sha256, origin=f"file:{path}")
    return Resolved(name, version or _version_in(address), sha256=sha256, origin=without_credentials(address))


def _version_in(address: str) -> str:
    utils = need("packaging.utils")
    try:
        return str(utils.parse_wheel_filename(unquote(urlsplit(address).path).rpartition("/")[2])[1])
    except utils.InvalidWheelFilename:
        return ""
