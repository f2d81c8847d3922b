"""A stand-in for python:3.11-slim, which cannot be fetched here: Debian 12 with its Python 3.11, about as large (133 MB)."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

NAME = "bench-python:3.11-slim"
UV = "bench-uv:1"
WITH_UV = "bench-python-uv:3.11-slim"  # for BentoML, whose Dockerfile installs uv by pip where it is missing; Debian has no pip
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
UNUSED = ("var/cache/apt", "usr/share/doc", "usr/share/man", "usr/share/locale")


def ensure(docker: str) -> None:
    """Made once by debootstrap (Debian's package, root); with this machine's own authorities, so that builds reach the indexes."""
    known = subprocess.run([docker, "image", "inspect", NAME, UV, WITH_UV], capture_output=True, check=False)
    if known.returncode == 0:
        return
    with tempfile.TemporaryDirectory(prefix="bench-base-") as folder:
        root = Path(folder) / "root"
        include = "--include=python3,python3-venv,ca-certificates"
        subprocess.run(["debootstrap", "--variant=minbase", include, "bookworm", root, *_mirror()], check=True,
                       stdout=subprocess.DEVNULL)  # fmt: skip
        for unused in UNUSED:
            shutil.rmtree(root / unused, ignore_errors=True)
        shutil.copy(CERTIFICATES, root / "etc/ssl/certs/ca-certificates.crt")
        (root / "usr/local/bin/python").symlink_to("/usr/bin/python3")
        (root / "usr/lib/python3.11/EXTERNALLY-MANAGED").unlink()
        trust = [f"--change=ENV {name}=/{CERTIFICATES.relative_to('/')}" for name in ("SSL_CERT_FILE", "PIP_CERT")]
        _import(docker, root, NAME, *trust)
    with tempfile.TemporaryDirectory(prefix="bench-uv-") as folder:
        shutil.copy(Path(sys.executable).with_name("uv"), folder)
        _import(docker, Path(folder), UV)
    both = f"FROM {NAME}\nCOPY --from={UV} /uv /usr/local/bin/uv\n"
    subprocess.run([docker, "build", "-q", "-t", WITH_UV, "-"], input=both, text=True, check=True, stdout=subprocess.DEVNULL)


def _import(docker: str, root: Path, name: str, *changes: str) -> None:
    with subprocess.Popen(
        ["tar", "-c", "--exclude=./proc/*", "--exclude=./dev/*", "."], cwd=root, stdout=subprocess.PIPE
    ) as tar:
        subprocess.run([docker, "import", *changes, "-", name], stdin=tar.stdout, check=True, stdout=subprocess.DEVNULL)


def _mirror() -> tuple[str, ...]:
    """Where this machine's own apt takes Debian from; debootstrap's own default otherwise."""
    for path in (Path("/etc/apt/sources.list"), *Path("/etc/apt/sources.list.d").glob("*.sources")):
        for line in path.read_text().splitlines() if path.is_file() else ():
            words = line.split()
            if words and words[0] in ("URIs:", "deb") and words[1].rstrip("/").endswith("/debian"):
                return (words[1],)
    return ()
