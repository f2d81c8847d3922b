"""Packages that came with a model: which of them its image needs, and whether an environment has them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from mlship.errors import need
from mlship.frameworks.base import Pinned
from mlship.image.packages.closure import missing_modules, package_name, third_party
from mlship.image.packages.environment import TrainingEnvironment, normalised

# package -> the same modules and versions without code for graphics cards. Who has the second trained with the first, and mlflow
# writes both (3.17, utils/requirements_utils.py asks for every distribution that has a module)
_LEANER: Mapping[str, str] = {"xgboost": "xgboost-cpu", "tensorflow": "tensorflow-cpu"}


@dataclass(frozen=True)
class Chosen:
    """lines: what is asked for. constraints: the versions of what else comes along."""

    lines: tuple[str, ...]
    constraints: tuple[str, ...] = ()


def chosen_lines(pinned: Pinned, modules: Iterable[str], own: Iterable[str] = ()) -> Chosen:
    """The requirements of the modules alone, where they are all among what is pinned; else every one.

    Tools write down more than serving needs: pandas for a model of numbers, what only saved it.
    """
    by_name = {_told_as(requirement): (line, requirement) for line, requirement in _parsed(pinned).items()}
    owned = frozenset(own)
    wanted = {package_name(module) for module in third_party(modules) if module not in owned}
    if pinned.is_whole or not wanted or not wanted <= by_name.keys():
        return Chosen(tuple(_parsed(pinned)))
    rest = [pair for name, pair in by_name.items() if name not in wanted]
    return Chosen(
        tuple(by_name[name][0] for name in sorted(wanted)),
        tuple(sorted(_constraint(requirement) for _, requirement in rest if requirement.url is None and requirement.specifier)),
    )


def has_pinned(environment: TrainingEnvironment, pinned: Pinned, modules: tuple[str, ...]) -> bool:
    """Whether the environment could have trained the model: it has the modules, and every version that is pinned."""
    if pinned.is_whole or missing_modules(environment, modules):
        return False
    versions = environment.versions
    for wanted in _parsed(pinned).values():
        name = _told_as(wanted)
        if not _has(versions.get(name) or versions.get(_LEANER.get(name, ""), ""), wanted):
            return False
    return True


def _told_as(requirement: Any) -> str:
    """The name that people write for it."""
    name = normalised(requirement.name)
    return next((known for known, leaner in _LEANER.items() if leaner == name), name)


def _has(version: str, wanted: Any) -> bool:
    if wanted.marker is not None or wanted.url is not None:
        return True
    return bool(version) and bool(wanted.specifier.contains(version, prereleases=True))


def _constraint(requirement: Any) -> str:
    """No constraint has extras (pip, "Constraints Files")."""
    mark = f" ; {requirement.marker}" if requirement.marker else ""
    return f"{requirement.name}{requirement.specifier}{mark}"


def _parsed(pinned: Pinned) -> Mapping[str, Any]:
    """By line; of two names for one thing the leaner one."""
    parse = need("packaging.requirements").Requirement
    found = {line: parse(line) for line in pinned.lines}
    names = {normalised(requirement.name) for requirement in found.values()}
    return {
        line: requirement for line, requirement in found.items() if _LEANER.get(normalised(requirement.name), "") not in names
    }
