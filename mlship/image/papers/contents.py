"""What of an image's layers its papers are made from: small files as they are, models and code as digests.

The layers are read as streams; nothing is unpacked, and what is held does not grow with the models.
"""

from __future__ import annotations

import hashlib
import re
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from mlship.errors import Exit, MlshipError
from mlship.image.plan import CODE, MANIFEST, MODELS, SERVER
from mlship.oci.image import Image
from mlship.oci.layer import CHUNK
from mlship.oci.layout import Layout
from mlship.oci.rootfs import open_layer

SERVER_VERSION = f"{SERVER}/mlship/__init__.py"
SERVER_PACKAGES = f"{SERVER}/mlship/server/packages.txt"
STATUS_FOLDER = "/var/lib/dpkg/status.d"
STATUS = "/var/lib/dpkg/status"
OS_RELEASE = ("/etc/os-release", "/usr/lib/os-release")
_READ = re.compile(
    rf"""
      {re.escape(STATUS)}(\.d/[^/]+(?<!\.md5sums))?$
    | /usr/share/doc/[^/]+/copyright$
    | .*/[^/]+\.dist-info/METADATA$
    | (/etc|/usr/lib)/os-release$
    | {re.escape(MANIFEST)}$ | {re.escape(SERVER_VERSION)}$ | {re.escape(SERVER_PACKAGES)}$
    """,
    re.VERBOSE,
)
_LINKS = re.compile(r"/usr/share/doc/[^/]+(/copyright)?$|/etc/os-release$")
_HASHED = re.compile(rf"({re.escape(MODELS)}|{re.escape(CODE)}|{re.escape(SERVER)}/mlship)/(?!.*__pycache__/)")
_LARGEST = 32 * 2**20  # no file that is read is near it: more would be an attempt to fill the memory


@dataclass(frozen=True)
class FileDigest:
    """sha256: hex. size: bytes."""

    sha256: str
    size: int


@dataclass
class Contents:
    """By absolute path in the image. links: targets as they are written."""

    texts: dict[str, str] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    digests: dict[str, FileDigest] = field(default_factory=dict)

    def below(self, folder: str) -> dict[str, FileDigest]:
        """The digests of a file or of all files of a folder, by absolute path."""
        return {path: found for path, found in self.digests.items() if path == folder or path.startswith(f"{folder}/")}


def read_contents(layout: Layout, image: Image) -> Contents:
    """Reads every layer once, the lowest first. Raises MlshipError where a layer is missing or not what its digests say."""
    contents = Contents()
    for layer in image.layers:
        with open_layer(layout, layer) as archive:
            for member in archive:
                _take(contents, archive, member)
    return contents


def digest_of(files: Iterable[tuple[str, FileDigest]]) -> str:
    """Hex SHA-256 over the sorted `sha256  path` lines, as a model of several files is named by."""
    lines = sorted(f"{found.sha256}  {path}\n" for path, found in files)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _take(contents: Contents, archive: tarfile.TarFile, member: tarfile.TarInfo) -> None:
    path = str(PurePosixPath("/", member.name))
    name = path.rpartition("/")[2]
    if name.startswith(".wh."):
        _remove(contents, path, name)
        return
    for known in (contents.texts, contents.links, contents.digests):
        known.pop(path, None)
    if member.issym() and _LINKS.match(path):
        contents.links[path] = member.linkname
    elif member.isfile() and _READ.match(path):
        content = _content(archive, member, path)
        contents.texts[path] = _text(content, path)
        if _HASHED.match(path):
            contents.digests[path] = FileDigest(hashlib.sha256(content).hexdigest(), len(content))
    elif member.isfile() and _HASHED.match(path):
        contents.digests[path] = _digest(archive, member)


def _remove(contents: Contents, path: str, name: str) -> None:
    """A whiteout: a file, or all that lower layers have in its folder, is not in the image (image specification, layer)."""
    folder = path.rpartition("/")[0]
    gone = folder if name == ".wh..wh..opq" else f"{folder}/{name.removeprefix('.wh.')}"
    for known in (contents.texts, contents.links, contents.digests):
        for other in [other for other in known if other == gone or other.startswith(f"{gone}/")]:
            known.pop(other)


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo, path: str) -> bytes:
    if member.size > _LARGEST:
        raise MlshipError(f"{path} of the image has {member.size} bytes", exit=Exit.BUILD_FAILED, code="bad-image")
    file = archive.extractfile(member)
    assert file is not None
    return file.read()


def _text(content: bytes, path: str) -> str:
    text = content.decode(errors="replace").replace("\r\n", "\n")
    # what follows a METADATA's fields is the package's description, often long and told by no paper
    return text.partition("\n\n")[0] if path.endswith("/METADATA") else text


def _digest(archive: tarfile.TarFile, member: tarfile.TarInfo) -> FileDigest:
    file = archive.extractfile(member)
    assert file is not None
    digest = hashlib.sha256()
    while chunk := file.read(CHUNK):
        digest.update(chunk)
    return FileDigest(digest.hexdigest(), member.size)
