"""The NVIDIA driver of this machine, for programs that run from an image's files here (rootfs.py).

In a container NVIDIA's runtime mounts it. Here its libraries, which are of the kernel's very version and in no image, are linked
beside the image's launchers, and nothing else of this machine's libraries is seen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path

LIBRARY = "libcuda.so.1"
LINKS = ".mlship/driver"  # below an unpacked root
# As Debian and Ubuntu, Fedora and SUSE, containers of Kubernetes, WSL, and NixOS lay it out.
FOLDERS = tuple(
    map(
        Path,
        (
            *("/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/local/nvidia/lib64"),
            *("/usr/lib/wsl/lib", "/run/opengl-driver/lib", "/usr/lib"),
        ),
    )
)
_OF_IT = ("libcuda.so*", "libcudadebugger.so*", "libnvidia-*.so*")


def of_the_driver(library: str) -> bool:
    """Whether a library of this name comes with the driver, and so never lies in an image."""
    return any(fnmatch(library, pattern) for pattern in _OF_IT)


def driver_folder(folders: Sequence[Path] = FOLDERS) -> Path | None:
    """Where this machine has the driver's libraries; None without a driver."""
    return next((folder for folder in folders if (folder / LIBRARY).exists()), None)


def with_driver(root: Path, environ: Mapping[str, str], folders: Sequence[Path] = FOLDERS) -> dict[str, str]:
    """The environment of a program in an unpacked image, in which it finds the driver; as it was where there is none.

    Links the driver's libraries there, anew each time: a driver may have been renewed.
    """
    found, links = driver_folder(folders), root / LINKS
    if found is None:
        return dict(environ)
    links.mkdir(parents=True, exist_ok=True)
    for old in links.iterdir():
        old.unlink()
    for library in sorted({path for pattern in _OF_IT for path in found.glob(pattern)}):
        (links / library.name).symlink_to(library)
    return {**environ, "LD_LIBRARY_PATH": ":".join(filter(None, (environ.get("LD_LIBRARY_PATH", ""), f"/{LINKS}")))}
