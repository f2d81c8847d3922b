"""How uv is started: with the sources of this machine, never with an address in its arguments."""

from __future__ import annotations

import threading
from pathlib import Path

from mlship.errors import MlshipError, need
from mlship.image.packages.indexes import Indexes
from mlship.runner import Command

# glibc versions (minor of 2.x) that uv knows as `x86_64-manylinux_2_36` and the like (uv 0.9, --python-platform)
_KNOWN_GLIBC = (17, 28, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40)
_MACHINES = {"linux/amd64": "x86_64", "linux/arm64": "aarch64"}
_LOOKING = threading.Lock()  # uv asks sysconfig, which in Python 3.11 shows other threads a table that is not full yet


def uv_command(arguments: tuple[str, ...], indexes: Indexes, cwd: Path) -> Command:
    """A command line of uv. cwd: the project's folder, where uv finds its own settings."""
    quiet = {"NO_COLOR": "1", "UV_NO_PROGRESS": "1", "UV_PYTHON_DOWNLOADS": "never"}
    return Command((find_uv(), *arguments, *indexes.uv_arguments()), cwd=cwd, extra_environ={**indexes.uv_environ(), **quiet})


def find_uv() -> str:
    """The program of the uv package that mlship depends on."""
    uv = need("uv")
    try:
        with _LOOKING:
            return str(uv.find_uv_bin())
    except FileNotFoundError:
        raise MlshipError(
            "the package uv has no program in it", fix="pip install --force-reinstall uv", code="missing-program"
        ) from None


def uv_platform(platform: str, glibc: str) -> str:
    """uv's name of a platform: `linux/amd64` with glibc 2.36 is `x86_64-manylinux_2_36`."""
    minor = int(glibc.split(".")[1])
    known = max(number for number in _KNOWN_GLIBC if number <= minor)
    return f"{_MACHINES[platform]}-manylinux_2_{known}"


def wheel_tags(python_minor: str, platform: str, glibc: str) -> dict[str, int]:
    """Wheel tags that run there -> rank, the best being 0 (PEP 425, PEP 600)."""
    tags = need("packaging.tags")
    machine = _MACHINES[platform]
    version = tuple(int(part) for part in python_minor.split("."))
    oldest = 5 if machine == "x86_64" else 17
    legacy = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}
    platforms = []
    for number in range(int(glibc.split(".")[1]), oldest - 1, -1):
        platforms.append(f"manylinux_2_{number}_{machine}")
        if number in legacy:
            platforms.append(f"{legacy[number]}_{machine}")
    platforms.append(f"linux_{machine}")
    interpreter = f"cp{version[0]}{version[1]}"
    ranked = [
        *tags.cpython_tags(version, abis=[interpreter], platforms=platforms),
        *tags.compatible_tags(version, interpreter, platforms),
    ]
    return {str(tag): rank for rank, tag in reversed(list(enumerate(ranked)))}
