"""What pip is told on this machine, by its files and variables; uv does not read them, so mlship passes them on."""

from __future__ import annotations

import configparser
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mlship.errors import Finding

# Of the sections that pip reads for its own commands, those that have to do with getting packages.
_SECTIONS = ("global", "install", "download", "wheel")
KEYS = ("index-url", "extra-index-url", "find-links", "no-index", "trusted-host", "cert", "client-cert", "proxy",
        "keyring-provider", "timeout")  # fmt: skip
_LISTS = ("extra-index-url", "find-links", "trusted-host")


@dataclass(frozen=True)
class Told:
    """One setting: its values (several for lists), and the file or variable that says so. by_uv: uv reads it itself."""

    values: tuple[str, ...]
    where: str
    by_uv: bool = False

    @property
    def value(self) -> str:
        return self.values[0] if self.values else ""


def pip_settings(
    environ: Mapping[str, str], prefix: Path | None = None, system: Path = Path("/")
) -> tuple[dict[str, Told], tuple[Finding, ...]]:
    """pip's settings by option name, and files that cannot be read.

    Order and precedence as in pip: global, user, environment (`prefix`), PIP_CONFIG_FILE, PIP_* variables; a later one
    replaces an earlier one. system: the root under which /etc is looked for.
    """
    told: dict[str, Told] = {}
    findings: list[Finding] = []
    for path in _files(environ, prefix, system):
        try:
            told.update(_read(path))
        except (configparser.Error, UnicodeDecodeError, OSError) as error:
            problem = str(error).splitlines()[0]
            findings.append(
                Finding(f"{path} cannot be read: {problem}", str(path), "correct it", "warning", code="unreadable-settings")
            )
    for key in KEYS:
        variable = "PIP_" + key.upper().replace("-", "_")
        if environ.get(variable):
            told[key] = _told(key, environ[variable], variable)
    return told, tuple(findings)


def _files(environ: Mapping[str, str], prefix: Path | None, system: Path) -> list[Path]:
    named = environ.get("PIP_CONFIG_FILE", "")
    if named == "/dev/null":  # pip's documented way to say: no file at all
        return []
    home = Path(environ.get("HOME", "/nonexistent"))
    xdg = [Path(folder) for folder in environ.get("XDG_CONFIG_DIRS", "").split(":") if folder] or [system / "etc/xdg"]
    files = [folder / "pip/pip.conf" for folder in xdg]
    files += [system / "etc/pip.conf", system / "Library/Application Support/pip/pip.conf"]
    if not named or not Path(named).is_file():
        own = Path(environ.get("XDG_CONFIG_HOME") or home / ".config")
        files += [home / ".pip/pip.conf", home / "Library/Application Support/pip/pip.conf", own / "pip/pip.conf"]
    if prefix is not None:
        files.append(prefix / "pip.conf")
    if named:
        files.append(Path(named))
    return [path for path in files if path.is_file()]


def _read(path: Path) -> dict[str, Told]:
    parser = configparser.RawConfigParser()
    parser.read_string(path.read_text(encoding="utf-8"), source=str(path))
    found = {}
    for section in _SECTIONS:
        for name, value in parser.items(section) if parser.has_section(section) else ():
            key = name.lower().replace("_", "-").lstrip("-")
            if key in KEYS and value.strip():
                found[key] = _told(key, value, str(path))
    return found


def _told(key: str, text: str, where: str) -> Told:
    return Told(tuple(text.split()) if key in _LISTS else (text.strip(),), where)
