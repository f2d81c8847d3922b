"""An image that mlship did not make, as people have them: a small Debian with a shell, packages by dpkg's own tools, Python moved
to /usr/local by a RUN of the real engine, so that the upper layer has whiteouts; pushed to a real registry."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from made_base import workplace

from mlship.image.system import apt, base
from mlship.oci.image import Layer
from mlship.oci.layout import Layout
from mlship.oci.registry.client import Registry
from mlship.oci.registry.credentials import nobody
from mlship.oci.registry.push import push
from mlship.oci.registry.reference import parse_reference

_DOCKERFILE = """\
FROM {below}
RUN mkdir -p /usr/local/bin /usr/local/lib && mv /usr/bin/python3.11 /usr/local/bin/ && mv /usr/lib/python3.11 /usr/local/lib/ \
 && ln -s python3.11 /usr/local/bin/python3
ENV PATH=/usr/local/bin:/usr/bin:/bin COMPANY=acme PYTHONPATH=/srv/theirs
LABEL maintainer=somebody
USER 1000
WORKDIR /tmp
ENTRYPOINT ["/bin/sh", "-c"]
CMD ["echo theirs"]
"""


def tree(folder: Path, home: Path, packages: tuple[str, ...] = ("dash", "coreutils", "login")) -> None:
    """The packages below `folder` as debootstrap leaves them: merged /usr, their own modes, dpkg's status."""
    place = workplace(home)
    archive = apt.machine_archive(place.runner)
    plan = base.base_plan(place, archive, "3.11", packages=packages)
    for name in ("bin", "sbin", "lib", "lib64"):
        (folder / "usr" / name).mkdir(parents=True)
        (folder / name).symlink_to(f"usr/{name}")
    status = folder / "var/lib/dpkg/status"
    status.parent.mkdir(parents=True)
    with status.open("w") as told:
        for deb in base.fetch_packages(place, plan, archive):
            files = subprocess.run(["dpkg-deb", "--fsys-tarfile", str(deb)], check=True, capture_output=True).stdout
            unpack = ["tar", "-x", "--keep-directory-symlink", "--no-same-owner", "--preserve-permissions", "-C", str(folder)]
            subprocess.run(unpack, input=files, check=True)
            fields = subprocess.run(["dpkg-deb", "-f", str(deb)], check=True, capture_output=True, text=True).stdout
            told.write(f"{fields.rstrip()}\nStatus: install ok installed\n\n")
    (folder / "usr/bin/sh").unlink(missing_ok=True)
    (folder / "usr/bin/sh").symlink_to("dash")
    (folder / "tmp").mkdir(mode=0o1777, exist_ok=True)
    (folder / "dev").mkdir(exist_ok=True)


@contextmanager
def imported(folder: Path, name: str) -> Iterator[str]:
    """The tree as an image of the engine, gone afterwards."""
    packed = folder.with_suffix(".tar")
    with tarfile.open(packed, "w") as archive:
        archive.add(folder, ".")
    docker("import", str(packed), name)
    packed.unlink()
    try:
        yield name
    finally:
        docker("rmi", "-f", name)


def push_slim(folder: Path, home: Path, reference: str) -> None:
    """Makes the image and pushes it; the engine has none of it afterwards."""
    root = folder / "root"
    tree(root, home)
    (folder / "Dockerfile").write_text(_DOCKERFILE.format(below=f"foreign-below:{os.getpid()}"))
    with imported(root, f"foreign-below:{os.getpid()}"):
        docker("build", "-q", "-t", reference, "-f", str(folder / "Dockerfile"), str(folder / "root/dev"))
        try:
            docker("push", "-q", reference)
        finally:
            docker("rmi", "-f", reference)


def push_files(folder: Path, reference: str, files: dict[str, bytes], platform: str = "linux/amd64") -> None:
    """An image of these programs, as another tool might have made it."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.mode, member.size = 0o755, len(content)
            archive.addfile(member, io.BytesIO(content))
    layout = Layout(folder)
    blob = layout.put_blob(raw.getvalue(), "application/vnd.oci.image.layer.v1.tar")
    layer = Layer(blob, f"sha256:{hashlib.sha256(raw.getvalue()).hexdigest()}", blob.size)
    image = layout.write_image([layer], {"Labels": {"mlship.project": "stand-in"}}, platform)
    named = parse_reference(reference)
    with Registry(named.registry, os.environ, nobody) as registry:
        push(registry, named, layout, [image])


def docker(*argv: str) -> str:
    done = subprocess.run(["docker", *argv], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
