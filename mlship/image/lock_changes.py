"""What a new lock has otherwise than the one before, package by package. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

from mlship.image.lock import Lock
from mlship.image.plan import SystemPackage, Wheel

Kind = Literal["base", "system", "python", "server"]
_ORDER: tuple[Kind, ...] = ("base", "system", "python", "server")


@dataclass(frozen=True)
class LockChange:
    """before, after: versions; empty where the package is new, or gone. Where only the file is another one, its hash stands behind.

    kind: `system`: of the operating system; `python`: what the model needs; `server`: of mlship's server. is_security: the
    distribution published the new version as a security update; known of packages of the system alone.
    """

    kind: Kind
    name: str
    before: str
    after: str
    is_security: bool = False
    platforms: tuple[str, ...] = ()


def lock_changes(before: Lock | None, after: Lock, security: Collection[str] = ()) -> tuple[LockChange, ...]:
    """security: names of packages of the system whose locked version is a security update. Those come first."""
    found = [
        *_packages("system", before.system if before else (), after.system, security),
        *_packages("python", before.wheels if before else (), after.wheels),
        *_packages("server", before.server if before else (), after.server),
    ]
    was, now = (_base(before) if before else ""), _base(after)
    if was != now:
        found.append(LockChange("base", "base", was, now))
    return _sorted(replace(change, platforms=(after.platform,)) for change in found)


def together(changes: Iterable[LockChange]) -> tuple[LockChange, ...]:
    """What is the same on several platforms, once."""
    found: dict[LockChange, tuple[str, ...]] = {}
    for change in changes:
        alike = replace(change, platforms=())
        found[alike] = (*found.get(alike, ()), *change.platforms)
    return _sorted(replace(change, platforms=platforms) for change, platforms in found.items())


def _packages(
    kind: Kind,
    before: Iterable[SystemPackage | Wheel],
    after: Iterable[SystemPackage | Wheel],
    security: Collection[str] = (),
) -> Iterator[LockChange]:
    old, new = {package.name: package for package in before}, {package.name: package for package in after}
    for name in {*old, *new}:
        was, now = old.get(name), new.get(name)
        if was is None or now is None:
            yield LockChange(kind, name, was.version if was else "", now.version if now else "", name in security)
        elif was.version != now.version:
            yield LockChange(kind, name, was.version, now.version, name in security)
        elif was.sha256 != now.sha256:
            yield LockChange(kind, name, f"{was.version} {was.sha256[:8]}", f"{now.version} {now.sha256[:8]}", name in security)


def _base(lock: Lock) -> str:
    if lock.base is not None:
        return f"{lock.base.reference} {lock.base.digest[:19]}"
    return f"debian {lock.suite}"


def _sorted(changes: Iterable[LockChange]) -> tuple[LockChange, ...]:
    return tuple(sorted(changes, key=lambda one: (not one.is_security, _ORDER.index(one.kind), one.name)))
