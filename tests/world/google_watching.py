"""What Google watches: Cloud Logging, Cloud Monitoring, and the types of machines and reservations that Compute Engine has."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from google_contract import Method
from google_world import No
from inspecting_proxy import Asked


@dataclass
class Logging:
    """Implements google_world.Player. entries: as they are told. filters: what was asked for."""

    entries: list[dict[str, Any]] = field(default_factory=list)
    filters: list[str] = field(default_factory=list)

    def __call__(self, method: Method, asked: Asked) -> Any:
        assert method.name == "entries.list", method.id
        said = asked.json
        self.filters.append(said["filter"])
        found = [entry for entry in self.entries if _holds(said["filter"], entry)]
        found.sort(key=lambda entry: entry["timestamp"], reverse="desc" in said.get("orderBy", ""))
        return {"entries": found[: said.get("pageSize", 1000)]}


@dataclass
class Monitoring:
    """Implements google_world.Player. series: (words that the filter has to have, time series)."""

    series: list[tuple[tuple[str, ...], dict[str, Any]]] = field(default_factory=list)

    def __call__(self, method: Method, asked: Asked) -> Any:
        assert method.name == "timeSeries.list", method.id
        said = asked.query["filter"]
        return {"timeSeries": [one for words, one in self.series if all(word in said for word in words)]}


@dataclass
class Machines:
    """Implements google_world.Player for compute. zones: type -> zones that have it; without any word of types all have all.

    reservations: whole name -> what is told of it.
    """

    zones: dict[str, tuple[str, ...]] = field(default_factory=dict)
    reservations: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __call__(self, method: Method, asked: Asked) -> Any:
        if method.id == "compute.reservations.get":
            name = "projects/{project}/zones/{zone}/reservations/{reservation}".format(**method.params)
            if name not in self.reservations:
                raise No("NOT_FOUND", f"The resource '{name}' was not found")
            return self.reservations[name]
        assert method.id == "compute.machineTypes.aggregatedList", method.id
        found = re.search(r'name = "([^"]+)"', asked.query["filter"])
        assert found, asked.query
        if not self.zones:
            return {"items": {}}
        zones = {f"zones/{zone}": {"machineTypes": [{"name": found[1]}]} for zone in self.zones.get(found[1], ())}
        return {"items": {"zones/nowhere": {"warning": {"code": "NO_RESULTS_ON_PAGE"}}, **zones}}


def _holds(said: str, entry: Mapping[str, Any]) -> bool:
    """Each `path="text"`, `path:"text"` or `path=("a" OR "b")`; a time is not looked at."""
    for path, sign, text in re.findall(r'([\w.]+)([=:])(\("[^)]*"\)|"[^"]*")', said):
        wanted = re.findall(r'"([^"]*)"', text)
        value: Any = entry
        for part in path.split("."):
            value = (value or {}).get(part)
        if not any(one in str(value) if sign == ":" else one == value for one in wanted):
            return False
    return True
