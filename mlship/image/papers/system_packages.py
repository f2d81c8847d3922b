"""The operating system and its packages, from what dpkg's status and the copyright files of an image say. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace

from mlship.image.papers.contents import OS_RELEASE, STATUS, STATUS_FOLDER, Contents
from mlship.image.papers.facts import Component, Licence, OperatingSystem
from mlship.image.papers.licences import Paragraph, debian_licence, paragraphs
from mlship.image.papers.purl import deb_purl

_HOPS = 8
_SHA256 = re.compile(r"[0-9a-f]{64}")


def operating_system(contents: Contents) -> OperatingSystem | None:
    """None for an image without one."""
    text = next((contents.texts[path] for path in OS_RELEASE if path in contents.texts), "")
    said = dict(_assignments(text))
    if "ID" not in said:
        return None
    version = said.get("VERSION_ID", "")
    return OperatingSystem(said["ID"], version, said.get("PRETTY_NAME") or f"{said['ID']} {version}".strip())


def system_packages(contents: Contents, system: OperatingSystem | None, sums: Mapping[tuple[str, str], str]) -> list[Component]:
    """One component for each installed package. sums: (name, version) -> sha256 of the .deb, where status does not say it."""
    found = {stanza["package"]: stanza for stanza in _installed(contents)}
    components = {name: _component(stanza, contents, system, sums) for name, stanza in sorted(found.items())}
    providers = _providers(found)
    return [
        replace(component, needs=tuple(sorted(components[other].ref for other in _needed(found[name], providers))))
        for name, component in components.items()
    ]


def _installed(contents: Contents) -> list[Paragraph]:
    files = [path for path in sorted(contents.texts) if path == STATUS or path.startswith(f"{STATUS_FOLDER}/")]
    stanzas = [stanza for path in files for stanza in paragraphs(contents.texts[path])]
    return [
        stanza
        for stanza in stanzas
        if "package" in stanza and "version" in stanza and stanza.get("status", "installed").endswith("installed")
    ]


def _component(
    stanza: Paragraph, contents: Contents, system: OperatingSystem | None, sums: Mapping[tuple[str, str], str]
) -> Component:
    name, version = stanza["package"], stanza["version"]
    distribution = f"{system.id}-{system.version}".rstrip("-") if system else ""
    qualifiers = {"arch": stanza.get("architecture", ""), "distro": distribution, "upstream": _source(stanza)}
    purl = deb_purl(system.id if system else "debian", name, version, qualifiers)
    told = stanza.get("sha256", "")
    return Component(
        "system",
        purl,
        name,
        version,
        purl,
        sha256=told if _SHA256.fullmatch(told) else sums.get((name, version), ""),
        licence=_licence(contents, name),
        supplier=stanza.get("maintainer", ""),
    )


def _source(stanza: Paragraph) -> str:
    """The source package that advisories speak of: `glibc`, or `gcc-12@12.2.0-14` where its version differs; else nothing."""
    source, _, version = stanza.get("source", "").partition(" ")
    return f"{source}@{version.strip('()')}" if version else source


def _licence(contents: Contents, package: str) -> Licence:
    path = f"/usr/share/doc/{package}/copyright"
    for _ in range(_HOPS):
        if path in contents.texts:
            return debian_licence(contents.texts[path])
        linked = next((link for link in (path, path.rpartition("/")[0]) if link in contents.links), "")
        if not linked:
            break
        path = _joined(linked, contents.links[linked]) + path[len(linked) :]
    return Licence()


def _joined(link: str, target: str) -> str:
    parts: list[str] = [] if target.startswith("/") else link.strip("/").split("/")[:-1]
    for part in target.split("/"):
        if part == "..":
            parts = parts[:-1]
        elif part not in ("", "."):
            parts.append(part)
    return "/" + "/".join(parts)


def _providers(found: Mapping[str, Paragraph]) -> dict[str, str]:
    """Name -> the installed package that is it or provides it."""
    provided = {name: package for package, stanza in sorted(found.items()) for name in _names(stanza.get("provides", ""))}
    return {**provided, **{name: name for name in found}}


def _needed(stanza: Paragraph, providers: Mapping[str, str]) -> set[str]:
    """Of each alternative the first that is installed."""
    wishes = f"{stanza.get('pre-depends', '')},{stanza.get('depends', '')}".split(",")
    chosen = (next((providers[name] for name in _names(wish, "|") if name in providers), "") for wish in wishes)
    return {package for package in chosen if package not in ("", stanza["package"])}


def _names(text: str, between: str = ",") -> Sequence[str]:
    """`libc6 (>= 2.36), python3:any` -> names alone."""
    parts = (re.split(r"[\s(:\[<]", part.strip(), maxsplit=1)[0] for part in text.split(between))
    return [part for part in parts if part]


def _assignments(text: str) -> list[tuple[str, str]]:
    found = []
    for line in text.splitlines():
        key, mark, value = line.strip().partition("=")
        if mark and not key.startswith("#"):
            found.append((key, _unquoted(value)))
    return found


def _unquoted(value: str) -> str:
    try:
        return " ".join(shlex.split(value))
    except ValueError:  # a quotation mark without its other half
        return value
