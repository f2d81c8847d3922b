"""Run in the training environment's own interpreter (3.8 and newer): prints as JSON what it is and what is installed.

Standard library only, and nothing of mlship: it is handed over as text with `python -I -c`.
"""

from __future__ import annotations

import csv
import json
import os
import re
import site
import sys
from importlib import metadata

_NO_MODULE = (".dist-info", ".data", ".egg-info", ".libs", ".pth")


def top_level(path: str) -> str | None:
    """The import name that a path of RECORD belongs to."""
    first, slash, _ = path.partition("/")
    if first in ("", "..", "__pycache__") or first.endswith(_NO_MODULE):
        return None
    if slash:
        return first if first.isidentifier() else None
    stem, _, ending = first.partition(".")
    return stem if ending.split(".")[-1] in ("py", "so", "pyd") else None


def modules(dist: metadata.Distribution) -> list[str]:
    named = (dist.read_text("top_level.txt") or "").split()
    if named:
        return sorted({name.replace("\\", "/").split("/")[0] for name in named})
    rows = csv.reader((dist.read_text("RECORD") or "").splitlines())
    return sorted({name for name in (top_level(row[0]) for row in rows if row) if name})


def direct_url(dist: metadata.Distribution) -> object:
    try:
        return json.loads(dist.read_text("direct_url.json") or "null")
    except ValueError:
        return None


def search_path() -> list[str]:
    """sys.path with the user's own site folder, which -I leaves out and a plain `python` has."""
    folders = list(sys.path)
    if sys.prefix == sys.base_prefix and not os.environ.get("PYTHONNOUSERSITE"):
        folders.append(site.getusersitepackages())
    return folders


def fields(dist: metadata.Distribution) -> dict[str, list[str]]:
    """The header lines of METADATA. `dist.metadata` parses the whole description each time that it is asked: slow for hundreds."""
    found: dict[str, list[str]] = {}
    for line in (dist.read_text("METADATA") or "").splitlines():
        if not line:
            break
        name, colon, value = line.partition(":")
        if colon and name in ("Name", "Version", "Requires-Dist"):
            found.setdefault(name, []).append(value.strip())
    if "Name" not in found and dist.metadata["Name"]:  # an egg, or something stranger
        found = {"Name": [dist.metadata["Name"]], "Version": [dist.version], "Requires-Dist": list(dist.requires or [])}
    return found


def installed() -> list[dict[str, object]]:
    found: dict[str, dict[str, object]] = {}
    for dist in metadata.distributions(path=search_path()):
        told = fields(dist)
        name, version = told.get("Name", [""])[0], told.get("Version", [""])[0]
        key = re.sub(r"[-_.]+", "-", name).lower()
        if not key or not version or key in found:  # the first on the path is the one that is imported
            continue
        found[key] = {
            "name": name,
            "version": version,
            "modules": modules(dist),
            "requires": told.get("Requires-Dist", []),
            "installer": (dist.read_text("INSTALLER") or "").strip(),
            "direct_url": direct_url(dist),
        }
    return [found[key] for key in sorted(found)]


def main() -> None:
    answer = {
        "version": "{}.{}.{}".format(*sys.version_info[:3]),
        "implementation": sys.implementation.name,
        "prefix": sys.prefix,
        "executable": sys.executable,
        "search_path": search_path(),
        "distributions": installed(),
    }
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
