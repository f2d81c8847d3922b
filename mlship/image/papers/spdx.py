"""Facts -> SPDX 2.3 JSON. Pure: the same facts give the same bytes."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from mlship.image.papers.cyclonedx import serial
from mlship.image.papers.facts import Component, Facts, Kind, OperatingSystem
from mlship.image.papers.stamp import Stamp
from mlship.oci.layout import EPOCH

MEDIA_TYPE = "application/spdx+json"
_DOCUMENT = "SPDXRef-DOCUMENT"
_IMAGE = "SPDXRef-Image"
_SYSTEM = "SPDXRef-OperatingSystem"
_UNKNOWN = "NOASSERTION"
_PURPOSES: Mapping[Kind, str] = {
    "system": "LIBRARY",
    "python": "LIBRARY",
    "server": "APPLICATION",
    "model": "FILE",
    "code": "LIBRARY",
}
_PARTS: Mapping[Kind, str] = {
    "system": "package of the operating system",
    "python": "Python package",
    "server": "server",
    "model": "model",
    "code": "code that came with the model",
}


def spdx(facts: Facts, stamp: Stamp) -> bytes:
    """The format demands a time: it is 1970 where none shall be said, as in the image itself."""
    document = {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": _DOCUMENT,
        "name": facts.project,
        "documentNamespace": f"urn:uuid:{serial(facts)}",
        "creationInfo": {"created": stamp.created or EPOCH, "creators": [f"Tool: mlship-{stamp.version}"]},
        "packages": [
            _image(facts),
            *([_system(facts.system)] if facts.system else []),
            *(_package(component) for component in facts.components),
        ],
        "relationships": list(_relationships(facts)),
        "hasExtractedLicensingInfos": _texts(facts),
    }
    if not document["hasExtractedLicensingInfos"]:
        document.pop("hasExtractedLicensingInfos")
    return json.dumps(document, indent=1, ensure_ascii=False).encode() + b"\n"


def _image(facts: Facts) -> dict[str, Any]:
    return {
        **_form(_IMAGE, facts.project, facts.content),
        "primaryPackagePurpose": "CONTAINER",
        "checksums": [_checksum(facts.content.removeprefix("sha256:"))],
        "comment": f"the version and the checksum are the content id of the image for {facts.platform}, which does not depend on "
        "how its layers are compressed" + (f"; {facts.unknown}" if facts.unknown else ""),
    }


def _system(system: OperatingSystem) -> dict[str, Any]:
    return {
        **_form(_SYSTEM, system.id, system.version),
        "primaryPackagePurpose": "OPERATING-SYSTEM",
        "description": system.title,
    }


def _package(component: Component) -> dict[str, Any]:
    licence = component.licence
    said: dict[str, Any] = {
        **_form(_id(component), component.name, component.version),
        "licenseDeclared": licence.expression or _UNKNOWN,
        "licenseComments": f"declared in words: {licence.said}" if licence.said else "",
        "primaryPackagePurpose": "OTHER" if component.kind == "model" and component.of_folder else _PURPOSES[component.kind],
        "supplier": _supplier(component.supplier),
        "checksums": [_checksum(component.sha256)] if component.sha256 else None,
        "externalRefs": [{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": component.purl}]
        if component.purl
        else None,
        "sourceInfo": f"in the image: {', '.join(component.places)}" if component.places else "",
        "comment": _comment(component),
    }
    return {key: value for key, value in said.items() if value not in ("", None)}


def _form(ref: str, name: str, version: str) -> dict[str, Any]:
    """What every package has; `filesAnalyzed` false: files are not listed one by one."""
    return {
        "SPDXID": ref,
        "name": name,
        **({"versionInfo": version} if version else {}),
        "downloadLocation": _UNKNOWN,
        "filesAnalyzed": False,
        "licenseConcluded": _UNKNOWN,
        "licenseDeclared": _UNKNOWN,
        "copyrightText": _UNKNOWN,
    }


def _supplier(maintainer: str) -> str:
    """`Debian GCC Maintainers <debian-gcc@lists.debian.org>` as SPDX writes it. dpkg does not tell a person from a group."""
    found = re.fullmatch(r"\s*(.*?)\s*<([^<>\s]+)>\s*", maintainer)
    if found:
        name = re.sub(r"[()]", "", found[1]).strip('"') or found[2]
        return f"Organization: {name} ({found[2]})"
    return f"Organization: {maintainer}" if maintainer else ""


def _comment(component: Component) -> str:
    said = [_PARTS[component.kind], *(f"{name} {value}" for name, value in sorted(component.notes.items()))]
    if component.size:
        said.append(f"{component.size} bytes")
    if component.of_folder:
        said.append("the checksum is the sha256 over the folder's sorted `sha256  path` lines")
    return "; ".join(said)


def _checksum(sha256: str) -> dict[str, str]:
    return {"algorithm": "SHA256", "checksumValue": sha256}


def _id(component: Component) -> str:
    """Letters, digits, dots and dashes are all that an identifier may have; the digits at the end keep it unique."""
    plain = re.sub(r"[^A-Za-z0-9.]+", "-", f"{component.kind}-{component.name}-{component.version}").strip("-")
    return f"SPDXRef-{plain}-{hashlib.sha256(component.ref.encode()).hexdigest()[:8]}"


def _relationships(facts: Facts) -> Iterator[dict[str, str]]:
    ids = {component.ref: _id(component) for component in facts.components}
    yield _relationship(_DOCUMENT, "DESCRIBES", _IMAGE)
    if facts.system:
        yield _relationship(_IMAGE, "CONTAINS", _SYSTEM)
    yield from (_relationship(_IMAGE, "CONTAINS", ref) for ref in ids.values())
    for component in facts.components:
        yield from (_relationship(ids[component.ref], "DEPENDS_ON", ids[other]) for other in component.needs)


def _relationship(one: str, kind: str, other: str) -> dict[str, str]:
    return {"spdxElementId": one, "relationshipType": kind, "relatedSpdxElement": other}


def _texts(facts: Facts) -> list[dict[str, str]]:
    """The text of every licence that SPDX has no name for, as the copyright file gives it."""
    found = {ref: text for component in facts.components for ref, text in component.licence.texts.items()}
    return [{"licenseId": ref, "extractedText": text} for ref, text in sorted(found.items())]
