"""Facts -> CycloneDX 1.6 JSON. Pure: the same facts give the same bytes."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping
from typing import Any

from mlship.image.papers.facts import Component, Facts, Kind, Licence, OperatingSystem
from mlship.image.papers.stamp import Stamp

MEDIA_TYPE = "application/vnd.cyclonedx+json"
_TYPES: Mapping[Kind, str] = {
    "system": "library",
    "python": "library",
    "server": "application",
    "model": "machine-learning-model",
    "code": "library",
}
_FOLDER_HASH = "sha256 over the folder's sorted `sha256  path` lines"
_NO_LICENCE = "NOASSERTION"


def cyclonedx(facts: Facts, stamp: Stamp) -> bytes:
    document = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{serial(facts)}",
        "version": 1,
        "metadata": {
            **({"timestamp": stamp.created} if stamp.created else {}),
            "lifecycles": [{"phase": "build"}],
            "tools": {"components": [{"type": "application", "name": "mlship", "version": stamp.version}]},
            "component": {
                "type": "container",
                "bom-ref": facts.content,
                "name": facts.project,
                "version": facts.content,
                "properties": [
                    _property("content", facts.content),
                    _property("platform", facts.platform),
                    *([_property("base", facts.base), _property("unknown", facts.unknown)] if facts.base else []),
                ],
            },
        },
        "components": [*([_system(facts.system)] if facts.system else []), *map(_component, facts.components)],
        "dependencies": _dependencies(facts),
        **({"compositions": [{"aggregate": "incomplete", "assemblies": [facts.content]}]} if facts.unknown else {}),
    }
    return json.dumps(document, indent=1, ensure_ascii=False).encode() + b"\n"


def serial(facts: Facts) -> uuid.UUID:
    """One for each content id."""
    return uuid.uuid5(uuid.NAMESPACE_URL, f"mlship:{facts.content}")


def _system(system: OperatingSystem) -> dict[str, Any]:
    said = {"version": system.version} if system.version else {}
    return {
        "type": "operating-system",
        "bom-ref": _system_ref(system),
        "name": system.id,
        **said,
        "description": system.title,
    }


def _system_ref(system: OperatingSystem) -> str:
    return f"os:{system.id}-{system.version}".rstrip("-")


def _component(component: Component) -> dict[str, Any]:
    said: dict[str, Any] = {
        "type": _TYPES[component.kind],
        "bom-ref": component.ref,
        "supplier": {"name": component.supplier} if component.supplier else None,
        "name": component.name,
        "version": component.version,
        "hashes": [{"alg": "SHA-256", "content": component.sha256}] if component.sha256 else None,
        "licenses": _licences(component.licence),
        "purl": component.purl,
        "evidence": {"occurrences": [{"location": place} for place in component.places]} if component.places else None,
        "properties": _properties(component),
    }
    return {key: value for key, value in said.items() if value}


def _licences(licence: Licence) -> list[dict[str, Any]]:
    """A licence that nobody declared in a form that machines read has a name, and no id."""
    if not licence.expression:
        return [{"license": {"name": licence.said or _NO_LICENCE, "acknowledgement": "declared"}}]
    if re.search(r"[\s()+]|LicenseRef-", licence.expression):
        return [{"expression": licence.expression, "acknowledgement": "declared"}]
    return [{"license": {"id": licence.expression, "acknowledgement": "declared"}}]


def _properties(component: Component) -> list[dict[str, str]]:
    said = {"kind": component.kind, **component.notes}
    if component.size:
        said["size"] = str(component.size)
    if component.of_folder:
        said["hash"] = _FOLDER_HASH
    return [_property(name, value) for name, value in sorted(said.items())]


def _property(name: str, value: str) -> dict[str, str]:
    return {"name": f"mlship:{name}", "value": value}


def _dependencies(facts: Facts) -> list[dict[str, Any]]:
    everything = [component.ref for component in facts.components]
    system = [_system_ref(facts.system)] if facts.system else []
    edges = [{"ref": facts.content, "dependsOn": sorted([*system, *everything])}]
    edges += [{"ref": ref} for ref in system]
    edges += [
        {"ref": component.ref, **({"dependsOn": list(component.needs)} if component.needs else {})}
        for component in facts.components
    ]
    return edges
