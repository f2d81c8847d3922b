"""What an image offers as a base: its Pythons, its C library, what it is, what is risky in it. Pure."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from mlship.image.base_image.files import File, Files
from mlship.image.plan import ROOT
from mlship.image.system import elf

_PYTHON = re.compile(r"python3\.\d+")
_PLACES = ("/usr/local/bin", "/usr/bin")
_OPT = re.compile(r"/opt/([^/]+/){1,2}bin")
_GLIBC = re.compile(rb"GNU C Library[^\n]{0,80}version (2\.\d+)")
_LIBC = re.compile(r".*/libc(-2\.\d+)?\.so(\.6)?$")
_MUSL = re.compile(r"/(usr/)?lib/(ld-musl-[^/]+\.so\.1|libc\.musl-[^/]+\.so\.1)$")
_SHELLS = ("/bin/sh", "/usr/bin/sh", "/bin/bash", "/usr/bin/bash", "/bin/busybox")
_SETUID = 0o6000  # set-user-ID and set-group-ID
_MACHINES = {elf.X86_64: "linux/amd64", elf.AARCH64: "linux/arm64"}


@dataclass(frozen=True)
class BaseFacts:
    """system: as os-release says, or empty. glibc: `2.36`, empty where there is none.

    pythons: minor -> path of an interpreter that every user may run. closed: interpreters that only some may. machines: of the
    interpreters, as platforms. setuid: programs that gain rights, by setgid and capabilities, too. shell: of one, or empty.
    taken: whether something lies where mlship puts its own files, or a link stands in the way. has_dpkg: whether it says which
    packages it has.
    """

    system: str
    glibc: str
    is_musl: bool
    pythons: Mapping[str, str]
    closed: Mapping[str, str]
    machines: tuple[str, ...]
    setuid: tuple[str, ...]
    shell: str
    taken: bool
    has_dpkg: bool


def base_facts(files: Files, search: Sequence[str]) -> BaseFacts:
    """search: PATH of the image's configuration."""
    found = list(_interpreters(files, search))
    heads = {
        struct.unpack_from("<H", content, 18)[0] for _, path in found if len(content := files.contents.get(path, b"")) > 20
    }
    return BaseFacts(
        system=_system(files),
        glibc=next(_glibcs(files), ""),
        is_musl=any(_MUSL.match(path) for path in files.entries),
        pythons=_first((minor, path) for minor, path in found if files.is_open(path)),
        closed=_first((minor, path) for minor, path in found if not files.is_open(path)),
        machines=tuple(sorted(_MACHINES.get(head, "another processor") for head in heads)),
        setuid=tuple(sorted(path for path, entry in files.entries.items() if _is_privileged(entry))),
        shell=next((path for path in _SHELLS if files.real(path)), ""),
        taken=ROOT in files.entries or ("/opt" in files.entries and files.entries["/opt"].kind != "folder"),
        has_dpkg="/var/lib/dpkg/status" in files.entries or "/var/lib/dpkg/status.d" in files.entries,
    )


def _is_privileged(entry: File) -> bool:
    return entry.kind == "file" and (entry.is_capable or bool(entry.mode & _SETUID))


def _interpreters(files: Files, search: Sequence[str]) -> Iterator[tuple[str, str]]:
    """(minor, path) by folder: those of PATH first, then where images have them usually."""
    opt = sorted({folder for path in files.entries if _OPT.fullmatch(folder := path.rpartition("/")[0])})
    for folder in dict.fromkeys((*(place.rstrip("/") for place in search if place.startswith("/")), *_PLACES, *opt)):
        real = files.real(folder)
        names = (path.rpartition("/")[2] for path in files.entries if path.rpartition("/")[0] == real)
        for name in sorted(name for name in names if _PYTHON.fullmatch(name)):
            path = next(_with_library(files, f"{real}/{name}"), "")
            if path:
                yield name.removeprefix("python"), path


def _with_library(files: Files, path: str) -> Iterator[str]:
    """The interpreter, by its real path or else the one given, where its standard library lies as its path says."""
    name = path.rpartition("/")[2]
    for place in dict.fromkeys((files.real(path), path)):
        prefix = str(PurePosixPath(place).parent.parent)
        libraries = (files.real(f"{prefix}/{folder}/{name}/os.py") for folder in ("lib", "lib64"))
        if place.endswith(f"/{name}") and files.real(path) and any(libraries) and files.entries[place].kind == "file":
            yield place


def _glibcs(files: Files) -> Iterator[str]:
    for path, content in sorted(files.contents.items()):
        if _LIBC.match(path) and (found := _GLIBC.search(content)):
            yield found[1].decode()


def _system(files: Files) -> str:
    text = next(
        (files.contents[path] for path in ("/etc/os-release", "/usr/lib/os-release") if path in files.contents), b""
    ).decode(errors="replace")
    said = dict(line.partition("=")[::2] for line in text.splitlines() if "=" in line)
    return (said.get("PRETTY_NAME") or said.get("ID") or "").strip("\"' ")[:80]


def _first(pairs: Iterator[tuple[str, str]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for minor, path in pairs:
        found.setdefault(minor, path)
    return found
