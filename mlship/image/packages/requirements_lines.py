"""The lines of requirements files that name other files and folders: they count, too. uv reads the rest."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from mlship.image.packages.environment import normalised
from mlship.image.packages.python_version import read_text, read_toml, table

_INCLUDES = re.compile(r"(?:-r|-c|--requirement|--constraint)(?:\s+|=|(?<=-[rc]))(?P<path>\S+)")
_EDITABLE = re.compile(r"(?:-e|--editable)(?:\s+|=)(?P<path>.+)")
_NAMED = re.compile(
    r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?\s*(?:==\s*(?P<version>[A-Za-z0-9.!+_-]+)(?=\s|$)|@|[<>=!~;,]|\s|$)(?P<rest>.*)"
)
_LOCAL_URL = re.compile(r"^[A-Za-z0-9._-]+(?:\[[^\]]*\])?\s*@\s*(?P<path>file:\S+|\.{0,2}/\S+)")


def included_files(path: Path) -> list[Path]:
    """The file and all requirement and constraint files that it includes, each once."""
    found: list[Path] = []
    waiting = [path]
    while waiting:
        current = waiting.pop(0)
        if current in found:
            continue
        found.append(current)
        if current.suffix in (".txt", ".in"):
            named = (_INCLUDES.fullmatch(line) for line in _lines(current))
            waiting += [current.parent / match["path"] for match in named if match and "://" not in match["path"]]
    return found


def local_folders(path: Path, root: Path) -> list[Path]:
    """The folders and archives on this machine that the file wants installed.

    root: the project's folder, where pip and uv are started and which relative paths of a requirements file start from.
    """
    if path.name == "uv.lock":
        return _of_uv_lock(path)
    if path.suffix not in (".txt", ".in"):
        return []
    found = (_local(line, root) for line in _lines(path))
    return [place for place in found if place is not None]


def option_lines(path: Path) -> list[tuple[str, str]]:
    """Lines such as `--extra-index-url https://...` as (option, value)."""
    pairs = (re.fullmatch(r"(-{1,2}[a-z-]+)(?:\s+|=)(\S+)", line) for line in _lines(path))
    return [(pair[1], pair[2]) for pair in pairs if pair]


def requirement_lines(path: Path) -> list[str]:
    """The lines of a requirements file that name a package; no options, no paths."""
    return [line for line in _lines(path) if re.match(r"[A-Za-z0-9]", line) and not re.match(r"[a-z+]+://", line)]


def named_packages(path: Path) -> dict[str, str] | None:
    """Names as they are normalised -> the version where one alone is demanded, else empty; of included files, too.

    None where something is wanted that only its build names, or a file that lies elsewhere.
    """
    found: dict[str, set[str]] = {}
    for line in (line for file in included_files(path) for line in _lines(file)):
        if line.startswith("-"):
            if _EDITABLE.fullmatch(line) or ("://" in line and _INCLUDES.fullmatch(line)):
                return None
            continue
        named = _NAMED.fullmatch(line)
        if named is None:
            return None
        is_conditional = ";" in named["rest"]
        found.setdefault(normalised(named["name"]), set()).add("" if is_conditional else named["version"] or "")
    return {name: min(versions) if len(versions) == 1 else "" for name, versions in found.items()}


def _lines(path: Path) -> list[str]:
    joined = read_text(path).replace("\\\n", " ")
    stripped = (re.sub(r"(^|\s)#.*$", "", line).strip() for line in joined.splitlines())
    return [line for line in stripped if line]


def _local(line: str, base: Path) -> Path | None:
    editable = _EDITABLE.fullmatch(line)
    named = _LOCAL_URL.match(line)
    text = (editable or named or {"path": line})["path"].split(";")[0].strip()
    text = re.sub(r"\[[^\]]*\]$", "", text)
    if text.startswith("file:"):
        return Path(unquote(urlsplit(text).path))
    if "://" in text or text.startswith("-") or not (editable or named or text.startswith((".", "/"))):
        return None
    return base / text


def _of_uv_lock(path: Path) -> list[Path]:
    places = []
    for package in read_toml(path).get("package", []):
        source = table(package, "source")
        named = source.get("editable") or source.get("directory") or source.get("path")
        if isinstance(named, str) and named != ".":
            places.append(path.parent / named)
    return places
