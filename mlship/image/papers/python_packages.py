"""The Python packages of an image, from the METADATA that their wheels left. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from email.message import Message
from email.parser import HeaderParser
from typing import Any

from mlship.image.packages.closure import markers
from mlship.image.packages.environment import normalised
from mlship.image.papers.contents import Contents
from mlship.image.papers.facts import Component
from mlship.image.papers.licences import wheel_licence
from mlship.image.papers.purl import pypi_purl

_ENDING = ".dist-info/METADATA"


@dataclass(frozen=True)
class _Installed:
    """name: normalised. place: the folder on sys.path that it lies in."""

    name: str
    version: str
    place: str
    metadata: Message


def python_packages(
    contents: Contents, python: str, platform: str, sums: Mapping[str, Mapping[tuple[str, str], str]]
) -> tuple[Component, ...]:
    """One component for each name and version, with every folder that holds it.

    python: full version, for markers. sums: folder -> (normalised name, version) -> sha256 of the wheel that was installed there.
    """
    found = sorted(_installed(contents), key=lambda one: (one.name, one.version, one.place))
    needs = _dependencies(found, markers(python, platform))
    components: dict[str, Component] = {}
    for one in found:
        component = _component(one, sums.get(one.place, {}), needs[one.place, one.name])
        known = components.get(component.ref)
        components[component.ref] = _merged(known, component) if known else component
    return tuple(components.values())


def _installed(contents: Contents) -> Iterator[_Installed]:
    for path, text in contents.texts.items():
        if path.endswith(_ENDING):
            metadata = HeaderParser().parsestr(text)
            name, version = str(metadata.get("Name", "")), str(metadata.get("Version", ""))
            if name and version:
                yield _Installed(normalised(name), version, path.rsplit("/", 2)[0], metadata)


def _component(one: _Installed, sums: Mapping[tuple[str, str], str], needs: tuple[str, ...]) -> Component:
    metadata = one.metadata
    purl = pypi_purl(one.name, one.version)
    return Component(
        "python",
        purl,
        one.name,
        one.version,
        purl,
        sha256=sums.get((one.name, one.version), ""),
        licence=wheel_licence(
            str(metadata.get("License-Expression", "")),
            str(metadata.get("License", "")),
            [str(line) for line in metadata.get_all("Classifier", [])],
        ),
        places=(one.place,),
        needs=needs,
    )


def _merged(one: Component, other: Component) -> Component:
    return replace(
        one,
        sha256=one.sha256 or other.sha256,
        places=tuple(sorted({*one.places, *other.places})),
        needs=tuple(sorted({*one.needs, *other.needs})),
    )


def _dependencies(found: Iterable[_Installed], environment: Mapping[str, str]) -> dict[tuple[str, str], tuple[str, ...]]:
    """(place, name) -> refs of what its Requires-Dist names and is installed, its own folder first.

    An extra counts where another package asks for it; which extras the user asked for, no image tells.
    """
    by_place: dict[str, dict[str, _Installed]] = {}
    for one in found:
        by_place.setdefault(one.place, {})[one.name] = one
    everywhere = {one.name: one for one in reversed(list(found))}
    wishes = {(one.place, one.name): list(_requirements(one)) for one in found}
    extras: dict[tuple[str, str], set[str]] = {key: set() for key in wishes}
    needs: dict[tuple[str, str], set[str]] = {key: set() for key in wishes}
    waiting = sorted(wishes)
    while waiting:
        key = waiting.pop()
        for wish in wishes[key]:
            other = by_place[key[0]].get(normalised(wish.name)) or everywhere.get(normalised(wish.name))
            if other is None or not _counts(wish, extras[key], environment):
                continue
            needs[key].add(pypi_purl(other.name, other.version))
            asked = extras[other.place, other.name]
            if not set(wish.extras) <= asked:
                asked.update(wish.extras)
                waiting.append((other.place, other.name))
    return {(place, name): tuple(sorted(refs)) for (place, name), refs in needs.items()}


def _requirements(one: _Installed) -> Iterator[Any]:
    from packaging.requirements import InvalidRequirement, Requirement

    for line in one.metadata.get_all("Requires-Dist", []):
        try:
            yield Requirement(str(line))
        except InvalidRequirement:
            continue  # old wheels have lines that no installer reads either


def _counts(wish: Any, extras: set[str], environment: Mapping[str, str]) -> bool:
    if wish.marker is None:
        return True
    return any(wish.marker.evaluate({**environment, "extra": extra}) for extra in ("", *sorted(extras)))
