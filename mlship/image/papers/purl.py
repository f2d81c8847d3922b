"""Package URLs (package-url specification, types deb and pypi). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote


def deb_purl(system: str, name: str, version: str, qualifiers: Mapping[str, str]) -> str:
    """system: `debian`, `ubuntu`. Empty qualifiers are left out."""
    said = "&".join(f"{key}={_quoted(value)}" for key, value in sorted(qualifiers.items()) if value)
    return f"pkg:deb/{_quoted(system)}/{_quoted(name.lower())}@{_quoted(version)}" + (f"?{said}" if said else "")


def pypi_purl(name: str, version: str) -> str:
    at = f"@{_quoted(version)}" if version else ""
    return f"pkg:pypi/{_quoted(name.lower().replace('_', '-'))}{at}"


def _quoted(text: str) -> str:
    return quote(text, safe=".-_~:")
