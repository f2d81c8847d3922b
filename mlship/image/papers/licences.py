"""Declared licences -> SPDX expressions, only where the declaration leaves no doubt. Pure.

Sources: SPDX license list as the package `packaging` carries it; PEP 639 (License-Expression, and which classifiers say one
licence); the Debian copyright format 1.0 ("License specification": short names, `+`, `with ... exception`, and, or).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from functools import cache

from mlship.image.papers.facts import Licence

_LONGEST_SAID = 200
_CLASSIFIERS = {
    "Blue Oak Model License (BlueOak-1.0.0)": "BlueOak-1.0.0",
    "Boost Software License 1.0 (BSL-1.0)": "BSL-1.0",
    "Eclipse Public License 1.0 (EPL-1.0)": "EPL-1.0",
    "Eclipse Public License 2.0 (EPL-2.0)": "EPL-2.0",
    "European Union Public Licence 1.1 (EUPL 1.1)": "EUPL-1.1",
    "European Union Public Licence 1.2 (EUPL 1.2)": "EUPL-1.2",
    "GNU Affero General Public License v3 or later (AGPLv3+)": "AGPL-3.0-or-later",
    "GNU General Public License v2 or later (GPLv2+)": "GPL-2.0-or-later",
    "GNU General Public License v3 or later (GPLv3+)": "GPL-3.0-or-later",
    "GNU Lesser General Public License v2 or later (LGPLv2+)": "LGPL-2.0-or-later",
    "GNU Lesser General Public License v3 or later (LGPLv3+)": "LGPL-3.0-or-later",
    "Historical Permission Notice and Disclaimer (HPND)": "HPND",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "MIT No Attribution License (MIT-0)": "MIT-0",
    "Mozilla Public License 1.1 (MPL 1.1)": "MPL-1.1",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "SIL Open Font License 1.1 (OFL-1.1)": "OFL-1.1",
    "The Unlicense (Unlicense)": "Unlicense",
    "University of Illinois/NCSA Open Source License": "NCSA",
    "zlib/libpng License": "Zlib",
}
_DEBIAN_NAMES = {"expat": "MIT", "cc0": "CC0-1.0"}
_DEBIAN_AMBIGUOUS = {"mit", "x11"}  # "there are many versions of the MIT license", says the format
_DEBIAN_EXCEPTIONS = {"font": "Font-exception-2.0"}
_OPERATORS = ((r",\s+and\s+", "AND"), (r",\s+or\s+", "OR"), (r"\s+or\s+", "OR"), (r"\s+and\s+", "AND"))
Paragraph = Mapping[str, str]


def wheel_licence(expression: str, text: str, classifiers: Sequence[str]) -> Licence:
    """expression, text: METADATA's License-Expression and License. Classifiers count where one single licence is named."""
    declared = spdx(expression) or spdx(text)
    named = [line.rpartition(" :: ")[2] for line in classifiers if line.startswith("License :: ")]
    named = [name for name in named if name != "OSI Approved"]
    if not declared and len(named) == 1:
        declared = _CLASSIFIERS.get(named[0], "")
    if declared:
        return Licence(declared)
    said = next((line for line in (expression, text, ", ".join(named)) if line.strip() not in ("", "UNKNOWN")), "")
    return Licence(said=_one_line(said))


def debian_licence(copyright_file: str) -> Licence:
    """All that the `License:` fields of a machine-readable copyright file name; nothing where the file is not of that format."""
    stanzas = paragraphs(copyright_file)
    if not stanzas or "copyright-format" not in stanzas[0].get("format", ""):
        return Licence()
    fields = [_LicenceField(stanza["license"]) for stanza in stanzas if "license" in stanza]
    texts: dict[str, str] = {}
    for field in fields:
        texts[field.name.lower()] = max(texts.get(field.name.lower(), ""), field.text, key=len)
    refs: dict[str, str] = {}
    used = [_LicenceField(stanza["license"]) for stanza in stanzas[1:] if "license" in stanza and "files" in stanza]
    found = sorted({_debian_expression(field, texts, refs) for field in used})
    parts = [f"({part})" if " OR " in part and len(found) > 1 else part for part in found]
    return Licence(spdx(" AND ".join(parts)), dict(sorted(refs.items())))


@cache
def spdx(text: str) -> str:
    """The expression in its canonical form; empty when it is none."""
    from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

    if not text or len(text) > 20_000 or "\n" in text.strip():
        return ""
    try:
        return str(canonicalize_license_expression(text))
    except InvalidLicenseExpression:
        return ""


def paragraphs(text: str) -> list[Paragraph]:
    """Fields by lower-case name of each paragraph of a Debian control file; continuation lines stay below the first."""
    found: list[dict[str, str]] = [{}]
    name = ""
    for line in text.splitlines():
        if not line.strip():
            if found[-1]:
                found.append({})
            name = ""
        elif line[0] in " \t":
            if name:
                found[-1][name] += f"\n{line.strip()}"
        elif not line.startswith("#"):
            name, colon, value = line.partition(":")
            name = name.strip().lower() if colon else ""
            if name:
                found[-1][name] = value.strip()
    return [paragraph for paragraph in found if paragraph]


class _LicenceField:
    """`License: GPL-2+` with the text below it; a dot alone on a line is an empty line."""

    def __init__(self, value: str) -> None:
        name, _, text = value.partition("\n")
        self.name = " ".join(name.split())
        self.text = re.sub(r"^\.$", "", text, flags=re.MULTILINE).strip()


def _debian_expression(field: _LicenceField, texts: Mapping[str, str], refs: dict[str, str]) -> str:
    """refs: takes the names that are no SPDX, with their texts."""

    def read(part: str) -> str:
        for pattern, word in _OPERATORS:
            parts = re.split(pattern, part, flags=re.IGNORECASE)
            if len(parts) > 1:
                return f" {word} ".join(f"({inner})" if " " in inner else inner for inner in map(read, parts))
        return _debian_id(part) or own_name(part)

    def own_name(part: str) -> str:
        text = texts.get(part.lower()) or field.text or f"{part or 'a licence without a name'}: no text is given"
        ref = _reference(part, text)
        refs[ref] = text
        return ref

    return read(field.name)


def _debian_id(name: str) -> str:
    """`GPL-2+` -> `GPL-2.0-or-later`; empty where SPDX has no name for exactly this."""
    licence, _, exception = re.sub(r"\s+exception$", "", name, flags=re.IGNORECASE).partition(" with ")
    known = _debian_base(licence.strip().lower())
    if not known or not exception:
        return known
    return spdx(f"{known} WITH {_DEBIAN_EXCEPTIONS.get(exception.lower(), exception)}") if " " not in exception else ""


def _debian_base(name: str) -> str:
    stem, plus = name.rstrip("+"), name.endswith("+")
    if stem in _DEBIAN_AMBIGUOUS or " " in stem or "licenseref" in stem:
        return ""
    if re.match(r"(a?gpl|lgpl|gfdl)-", stem):
        stem = re.sub(r"^gfdl-niv-([\d.]+)$", r"gfdl-\1-no-invariants", stem)
        endings = ("-or-later",) if plus else ("-only",)
    else:
        stem = _DEBIAN_NAMES.get(stem, stem)
        endings = ("+",) if plus else ("",)
    # "trailing dot-zeros are considered to be equal to plainer versions"
    candidates = (f"{stem}{zero}{ending}" for zero in ("", ".0") for ending in endings)
    return next((found for found in map(spdx, candidates) if found), "")


def _reference(name: str, text: str) -> str:
    """The same text under the same name is the same LicenseRef, whichever package brings it."""
    plain = re.sub(r"[^A-Za-z0-9.]+", "-", name).strip("-")[:60] or "unnamed"
    return f"LicenseRef-{plain}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST_SAID else f"{line[:_LONGEST_SAID]}..."
