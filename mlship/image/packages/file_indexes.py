"""The indexes that a file of requirements names itself: what it locks can be had from there alone."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from mlship.image.packages.pip_settings import Told
from mlship.image.packages.python_version import read_toml, table
from mlship.image.packages.requirements_lines import included_files, option_lines

_OPTIONS = {"-i": "index-url", "--index-url": "index-url", "--extra-index-url": "extra-index-url", "-f": "find-links",
            "--find-links": "find-links", "--trusted-host": "trusted-host"}  # fmt: skip
_VARIABLE = re.compile(r"\$\{([A-Z0-9_]+)\}")


def file_settings(path: Path, environ: Mapping[str, str]) -> dict[str, tuple[Told, ...]]:
    """Settings by pip's names for them. environ fills `${TOKEN}`, as pip and uv do."""
    if path.suffix in (".txt", ".in"):
        return _of_text(path, environ)
    if path.name == "uv.lock":
        return _extra(path, _explicit(path.parent / "pyproject.toml"))
    if path.name == "poetry.lock":
        packages = read_toml(path).get("package", [])
        sources = (table(package, "source") for package in packages if isinstance(package, dict))
        return _extra(path, (source["url"] for source in sources if source.get("type") == "legacy" and source.get("url")))
    if path.name == "pyproject.toml":
        return _extra(path, [*_explicit(path), *_of_poetry(path)])
    return {}


def _of_text(path: Path, environ: Mapping[str, str]) -> dict[str, tuple[Told, ...]]:
    found: dict[str, tuple[Told, ...]] = {}
    for file in included_files(path):
        for option, value in option_lines(file):
            key = _OPTIONS.get(option)
            if key:
                address = _VARIABLE.sub(lambda match: environ.get(match[1], match[0]), value)
                if key == "find-links" and "://" not in address:
                    address = str((file.parent / address).absolute())
                found[key] = (*found.get(key, ()), Told((address,), str(file)))
    return found


def _extra(path: Path, addresses: Iterable[str]) -> dict[str, tuple[Told, ...]]:
    values = tuple(dict.fromkeys(addresses))
    return {"extra-index-url": (Told(values, str(path)),)} if values else {}


def _explicit(path: Path) -> list[str]:
    """uv's explicit indexes as `name=address`: once resolved, what came from there is asked for without its source.

    The name is what uv finds an index's credentials by (UV_INDEX_ACME_PASSWORD).
    """
    indexes = table(read_toml(path), "tool", "uv").get("index", []) if path.is_file() else []
    entries = indexes if isinstance(indexes, list) else []
    explicit = [entry for entry in entries if isinstance(entry, dict) and entry.get("explicit")]
    return [f"{entry['name']}={entry['url']}" for entry in explicit if entry.get("name") and entry.get("url")]


def _of_poetry(path: Path) -> list[str]:
    sources = table(read_toml(path), "tool", "poetry").get("source", [])
    entries = sources if isinstance(sources, list) else []
    return [entry["url"] for entry in entries if isinstance(entry, dict) and isinstance(entry.get("url"), str)]
