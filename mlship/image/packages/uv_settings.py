"""What uv is told on this machine. uv reads its files itself; mlship has to know what they already say."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlship.errors import Finding
from mlship.image.packages.pip_settings import Told

# variable -> the setting that it stands for, and how a list is written in it
VARIABLES = {
    "UV_DEFAULT_INDEX": "index-url",
    "UV_INDEX_URL": "index-url",
    "UV_INDEX": "extra-index-url",
    "UV_EXTRA_INDEX_URL": "extra-index-url",
    "UV_FIND_LINKS": "find-links",
    "UV_INDEX_STRATEGY": "index-strategy",
    "UV_INSECURE_HOST": "trusted-host",
    "UV_KEYRING_PROVIDER": "keyring-provider",
}


def uv_settings(
    environ: Mapping[str, str], project_root: Path, system: Path = Path("/")
) -> tuple[dict[str, tuple[Told, ...]], tuple[Finding, ...]]:
    """uv's settings by pip's names for them, and files that cannot be read; several places may add to one setting."""
    told: dict[str, tuple[Told, ...]] = {}
    findings: list[Finding] = []
    for variable, key in VARIABLES.items():
        if environ.get(variable):
            split = environ[variable].split(",") if variable == "UV_FIND_LINKS" else environ[variable].split()
            told[key] = (*told.get(key, ()), Told(tuple(value for value in split if value), variable))
    for path in _files(environ, project_root, system):
        import tomllib  # most machines have no such file

        try:
            document = tomllib.loads(path.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
            findings.append(
                Finding(f"{path} cannot be read: {error}", str(path), "correct it", "warning", code="unreadable-settings")
            )
            continue
        for key, values in _of_table(_own_table(document, path)):
            told[key] = (*told.get(key, ()), Told(values, str(path), by_uv=True))
    return told, tuple(findings)


def _files(environ: Mapping[str, str], project_root: Path, system: Path) -> list[Path]:
    """The files in the order in which uv lets them count."""
    if environ.get("UV_NO_CONFIG", "").lower() in ("1", "true", "yes"):
        return []
    if environ.get("UV_CONFIG_FILE"):
        return [path for path in [Path(environ["UV_CONFIG_FILE"])] if path.is_file()]
    files = [path for path in [_of_project(project_root)] if path]
    home = Path(environ.get("XDG_CONFIG_HOME") or Path(environ.get("HOME", "/nonexistent")) / ".config")
    xdg = [Path(folder) for folder in environ.get("XDG_CONFIG_DIRS", "").split(":") if folder]
    return files + [
        path for path in [home / "uv/uv.toml", *(f / "uv/uv.toml" for f in xdg), system / "etc/uv/uv.toml"] if path.is_file()
    ]


def _of_project(start: Path) -> Path | None:
    for folder in (start, *start.parents):
        if (folder / "uv.toml").is_file():
            return folder / "uv.toml"
        project = folder / "pyproject.toml"
        if project.is_file() and b"[tool.uv" in project.read_bytes():
            return project
    return None


def _own_table(document: dict[str, Any], path: Path) -> dict[str, Any]:
    if path.name != "pyproject.toml":
        return document
    tool = document.get("tool")
    own = tool.get("uv") if isinstance(tool, dict) else None
    return own if isinstance(own, dict) else {}


def _of_table(document: dict[str, Any]) -> list[tuple[str, tuple[str, ...]]]:
    found = []
    pip = document.get("pip")
    for part in (document, pip if isinstance(pip, dict) else {}):
        for key in ("index-url", "extra-index-url", "find-links", "index-strategy", "keyring-provider"):
            values = _texts(part.get(key))
            if values:
                found.append((key, values))
        hosts = _texts(part.get("allow-insecure-host"))
        if hosts:
            found.append(("trusted-host", hosts))
    for index in document.get("index", ()) if isinstance(document.get("index"), list) else ():
        # an explicit one is used for the packages alone that name it, in tool.uv.sources
        if isinstance(index, dict) and isinstance(index.get("url"), str) and not index.get("explicit"):
            found.append(("index-url" if index.get("default") else "extra-index-url", (index["url"],)))
    return found


def _texts(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    return tuple(entry for entry in value if isinstance(entry, str)) if isinstance(value, list) else ()
