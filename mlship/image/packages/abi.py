"""Whether installed wheels run on a base: its Python, its processor, its C library. Judged by their tags and by the symbol
versions that their libraries ask for; nothing is run."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from mlship.errors import Finding
from mlship.image.packages.uv_program import wheel_tags
from mlship.image.packages.wheel_files import InstalledWheel, owner
from mlship.image.system import elf

_MACHINES = {"linux/amd64": elf.X86_64, "linux/arm64": elf.AARCH64}


def abi_findings(
    wheels: tuple[InstalledWheel, ...],
    files: Mapping[str, elf.Library],
    *,
    python_minor: str,
    platform: str,
    glibc: str,
    suite: str,
) -> tuple[Finding, ...]:
    """Errors only, one a wheel at most. files: the shared libraries of the folder by relative path. glibc: the base's, `2.36`."""
    fitting = wheel_tags(python_minor, platform, glibc)
    by_tag = {wheel.title: _by_tag(wheel, python_minor, platform, glibc, suite) for wheel in wheels if _misfits(wheel, fitting)}
    by_symbol = {
        title: _newer_glibc(title, f"{file} asks for symbols of glibc {wanted}", glibc, suite)
        for title, file, wanted in _beyond(wheels, files, platform, glibc)
        if title not in by_tag
    }
    return (*by_tag.values(), *by_symbol.values())


def newest_glibc(library: elf.Library) -> tuple[int, ...]:
    """The highest GLIBC_x.y among its symbol versions, (2, 34); empty where it asks for none."""
    versions = (name for names in library.versions.values() for name in names)
    numbers = (re.fullmatch(r"GLIBC_(\d+(?:\.\d+)+)", name) for name in versions)
    return max((_number(found[1]) for found in numbers if found), default=())


def _misfits(wheel: InstalledWheel, fitting: Mapping[str, int]) -> bool:
    return bool(wheel.tags) and not any(tag in fitting for tag in wheel.tags)


def _by_tag(wheel: InstalledWheel, python_minor: str, platform: str, glibc: str, suite: str) -> Finding:
    newest = wheel_tags(python_minor, platform, "2.99")
    wanted = [_number(found[1].replace("_", ".")) for tag in wheel.tags if (found := re.search(r"manylinux_(\d+_\d+)_", tag))]
    if wanted and any(tag in newest for tag in wheel.tags):
        return _newer_glibc(wheel.title, f"its tag {wheel.tags[0]} asks for glibc {_text(min(wanted))}", glibc, suite)
    return Finding(
        f"{wheel.title} is made for {wheel.tags[0]}; the image has Python {python_minor} on {platform}, glibc {glibc}",
        where=suite,
        fix="mlship lock --refresh, and build again; where it stays, no other wheel of this version is to be had: take another version",
        code="other-platform-wheel",
    )


def _newer_glibc(title: str, why: str, glibc: str, suite: str) -> Finding:
    return Finding(
        f"{title} does not run on {suite}: {why}, and the base has {glibc}",
        where=suite,
        fix="take an older version of it, build it on a machine with the base's release, or take a base with a newer glibc "
        "(build.mirror or build.python of a newer release)",
        code="newer-glibc",
    )


def _beyond(
    wheels: tuple[InstalledWheel, ...], files: Mapping[str, elf.Library], platform: str, glibc: str
) -> Iterator[tuple[str, str, str]]:
    """(wheel, file, wanted glibc); libraries for other processors are passed over: some wheels bring several."""
    for file, library in sorted(files.items()):
        wanted = newest_glibc(library)
        if library.machine == _MACHINES[platform] and wanted > _number(glibc):
            yield owner(wheels, file), file, _text(wanted)


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def _text(number: tuple[int, ...]) -> str:
    return ".".join(map(str, number))
