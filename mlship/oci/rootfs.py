"""An image's files on this machine, and its programs run from there: no engine, no privileges, nothing of the host's.

A program of the image runs through the image's own dynamic loader, so that neither the host's C library nor its Python
matters. Extraction never leaves its folder, and a layer is believed only when its digests are right.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import shlex
import shutil
import tarfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from mlship.disk import DISK, disk_errors, locked, scratch_folder, used
from mlship.errors import Exit, MlshipError
from mlship.home import Home
from mlship.oci.image import Image, Layer
from mlship.oci.layer import CHUNK, MEDIA_TYPES
from mlship.oci.layout import Layout
from mlship.runner import Command

# (loaders, folders of libraries) of each architecture: as Debian and Ubuntu lay them out, then as others do
_MACHINES = (
    (("usr/lib64/ld-linux-x86-64.so.2", "lib64/ld-linux-x86-64.so.2"), ("usr/lib/x86_64-linux-gnu", "usr/lib")),
    (("usr/lib/ld-linux-aarch64.so.1", "lib/ld-linux-aarch64.so.1"), ("usr/lib/aarch64-linux-gnu", "usr/lib")),
)
_ELSEWHERE = ("usr/lib64", "lib64", "lib/x86_64-linux-gnu", "lib/aarch64-linux-gnu", "lib")
_WHITEOUT, _OPAQUE = ".wh.", ".wh..wh..opq"  # image specification, "Image Layer Filesystem Changeset"
_LAUNCHERS = ".mlship"  # a folder of an assembled root, beside the image's own files
_OF_THE_IMAGE = ("/opt/", "/usr/")

# For a Python of the image that only imports: the same each time, nothing is written, and no pool of threads is begun, which would spin.
IMPORTING = {
    "PYTHONHASHSEED": "0",
    "LC_ALL": "C.UTF-8",
    "PYTHONDONTWRITEBYTECODE": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}


def unpack_layer(layout: Layout, layer: Layer, home: Home) -> Path:
    """The folder that holds the layer's files, unpacked once per diff_id; its files are read-only.

    Raises MlshipError when the blob is missing or its digest or diff_id is wrong, or when a path would leave the folder.
    """
    target = unpacked_folder(home, layer)
    if target.is_dir():
        used(target)
        return target
    with locked(target.with_name(f".{target.name}.lock")):
        if target.is_dir():
            return target
        with disk_errors(home.root), scratch_folder(target.parent) as folder:
            folder.chmod(0o755)
            _unpack(layout, layer, folder)
            folder.replace(target)
    return target


def unpacked_folder(home: Home, layer: Layer) -> Path:
    """Where the layer's files lie or would lie."""
    return home.cache / "unpacked" / layer.diff_id.removeprefix("sha256:")


def assemble(layout: Layout, image: Image | Sequence[Layer], into: Path, home: Home, *, python: str = "") -> Path:
    """The image's root file system below `into`; hard links to the unpacked layers where the disk allows, else copies.

    `into` appears in one step, complete; where it is there already, it is left as it is. python: the interpreter that is to be
    started there; that of the image's entry point, or those in /usr/bin, when left out.
    """
    if into.is_dir() and any(into.iterdir()):
        return into
    layers = image.layers if isinstance(image, Image) else image
    unpacked = [unpack_layer(layout, layer, home) for layer in layers]
    with locked(into.with_name(f".{into.name}.lock")):
        if into.is_dir() and any(into.iterdir()):
            return into
        with disk_errors(into.parent), scratch_folder(into.parent) as folder:
            folder.chmod(0o755)
            for layer in unpacked:
                _link_tree(layer, folder)
            _write_launchers(folder, python or (_started(image) if isinstance(image, Image) else ""))
            folder.replace(into)
    return into


@contextmanager
def open_layer(layout: Layout, layer: Layer) -> Iterator[tarfile.TarFile]:
    """The layer's tar, to be read once from the beginning; nothing is written to the disk.

    Raises MlshipError when the blob is missing, or at the end when its digest or diff_id is wrong: only then may what was read
    be believed.
    """
    try:
        with layout.path(layer.blob.digest).open("rb") as file:
            raw = _Hashed(file)
            plain = _Hashed(decompressed(raw, layer.blob.media_type))
            with tarfile.open(fileobj=plain, mode="r|", bufsize=CHUNK) as archive:
                yield archive
            plain.drain()
            raw.drain()
    except FileNotFoundError:
        raise _bad(layer, "its blob is missing", fix="mlship build") from None
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        if isinstance(error, OSError) and error.errno in DISK:
            raise
        raise _bad(layer, str(error)) from None
    if raw.digest != layer.blob.digest:
        raise _bad(layer, f"its blob has the digest {raw.digest}")
    if plain.digest != layer.diff_id:
        raise _bad(layer, f"its files have the digest {plain.digest}, not {layer.diff_id}")


def command(root: Path, argv: Sequence[str], environ: Mapping[str, str]) -> Command:
    """How a program of the image is started from its files below `root`, by the image's own loader.

    argv and environ hold absolute paths inside the image; those that exist below root get it in front. The host's
    environment is not handed on: environ is the whole of it, plus what Python, OpenSSL and zoneinfo need to find their
    files. `sys.executable` is a small launcher, so that children (multiprocessing, subprocess) start the same way.
    """
    root = root.absolute()
    loader, known = machine(root)
    folders = (*_asked_for(root, environ.get("LD_LIBRARY_PATH", "")), *known)
    program = _inside(root, argv[0])
    launcher = root / _LAUNCHERS / Path(argv[0]).name
    shown = launcher if launcher.exists() else program
    start = (
        str(root / loader),
        "--inhibit-cache",
        "--library-path",
        ":".join(str(root / folder) for folder in folders),
        "--argv0",
        str(shown),
        str(program),
    )
    prefix = str(PurePosixPath(argv[0]).parent.parent)
    return Command((*start, *(_rooted(root, word) for word in argv[1:])), environ=_environ(root, environ, prefix))


def machine(root: Path) -> tuple[str, tuple[str, ...]]:
    """(loader, library folders) of the image below root, relative to it. Raises MlshipError when it has none known."""
    for loaders, folders in _MACHINES:
        for loader in loaders:
            if (root / loader).exists():
                others = (folder for folder in (*_configured(root), *_ELSEWHERE) if _is_own_folder(root, folder))
                return loader, tuple(dict.fromkeys((*folders, *others)))
    raise MlshipError(
        f"the files below {root} have no dynamic loader that mlship knows",
        fix="mlship build",
        exit=Exit.BUILD_FAILED,
        code="no-loader",
    )


def _configured(root: Path) -> Iterator[str]:
    """The folders that ld.so.conf names, relative to the root."""
    folder = root / "etc/ld.so.conf.d"
    files = (root / "etc/ld.so.conf", *(sorted(folder.glob("*.conf")) if folder.is_dir() else ()))
    for file in files:
        lines = file.read_text(errors="replace").splitlines() if file.is_file() else []
        yield from (line.strip("/ ") for line in lines if line.startswith("/") and ".." not in line)


def _is_own_folder(root: Path, folder: str) -> bool:
    """Not one that is searched by another name already: `lib` is `usr/lib` in most images."""
    return (root / folder).is_dir() and (root / folder).resolve() == root.resolve() / folder


def _asked_for(root: Path, library_path: str) -> Iterator[str]:
    """LD_LIBRARY_PATH of the image, relative to the root."""
    for folder in library_path.split(":"):
        inside = folder.removeprefix(str(root)).strip("/")
        if folder.startswith("/") and inside and ".." not in inside and (root / inside).is_dir():
            yield inside


def _environ(root: Path, environ: Mapping[str, str], prefix: str) -> dict[str, str]:
    """prefix: of the interpreter: `/usr` of /usr/bin/python3.11."""
    own = {
        "PATH": "/usr/bin",
        "PYTHONHOME": prefix,
        "PYTHONTZPATH": "/usr/share/zoneinfo",
        "SSL_CERT_FILE": "/etc/ssl/certs/ca-certificates.crt",
        "OPENSSL_CONF": "/etc/ssl/openssl.cnf",
    }
    given = {name: _rooted_list(root, value) for name, value in environ.items() if not name.startswith("LD_")}
    if "PYTHONPATH" in environ:
        given["PYTHONPATH"] = ":".join(_always_rooted(root, path) for path in environ["PYTHONPATH"].split(":"))
    if "PATH" in environ:
        given["PATH"] = ":".join(
            path if Path(path).is_relative_to(root) else f"{root}{path}"
            for path in environ["PATH"].split(":")
            if path[:1] == "/"
        )
    return {**{name: f"{root}{path}" for name, path in own.items()}, **given}


def _always_rooted(root: Path, path: str) -> str:
    return f"{root}{path}" if path.startswith(_OF_THE_IMAGE) and not Path(path).is_relative_to(root) else path


def _rooted_list(root: Path, value: str) -> str:
    return ":".join(_rooted(root, part) for part in value.split(":"))


def _rooted(root: Path, word: str) -> str:
    """A path of the image gets the root in front; anything else, the host's own paths too, stays as it is."""
    return f"{root}{word}" if word.startswith(_OF_THE_IMAGE) and (root / word.lstrip("/")).exists() else word


def _inside(root: Path, program: str) -> Path:
    path = root / program.lstrip("/")
    if not path.exists():
        raise MlshipError(
            f"the image has no program {program}",
            where=str(root),
            fix="mlship build",
            exit=Exit.BUILD_FAILED,
            code="no-program",
        )
    return path


def _started(image: Image) -> str:
    argv = image.config.get("config", {}).get("Entrypoint") or ("",)
    return str(argv[0])


def _write_launchers(root: Path, python: str) -> None:
    """What `sys.executable` names. It finds the root from its own place."""
    _remove(root / _LAUNCHERS)
    usual = sorted((root / "usr/bin").glob("python3.*")) if (root / "usr/bin").is_dir() else []
    for interpreter in [root / python.lstrip("/")] if python else usual:
        if not interpreter.exists():
            continue
        loader, folders = machine(root)
        libraries = ":".join(f'"$root"/{shlex.quote(folder)}' for folder in folders)
        launcher = root / _LAUNCHERS / interpreter.name
        launcher.parent.mkdir(exist_ok=True)
        program = interpreter.relative_to(root)
        launcher.write_text(
            "#!/bin/sh\n"
            f'root="${{0%/{_LAUNCHERS}/*}}"\n'
            f'export PYTHONHOME="$root"/{shlex.quote(str(program.parent.parent))}\n'
            f'exec "$root"/{loader} --inhibit-cache --library-path {libraries} '
            f'--argv0 "$0" "$root"/{shlex.quote(str(program))} "$@"\n'
        )
        launcher.chmod(0o755)


def _unpack(layout: Layout, layer: Layer, folder: Path) -> None:
    with open_layer(layout, layer) as archive:
        for member in archive:
            _extract(archive, member, folder)


def _extract(archive: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> None:
    """Whiteouts stay as empty files of their name, for when the layer is laid over others. Devices are left out: what runs from
    here needs none."""
    path = inner_path(member.name)
    if path is None:
        raise tarfile.TarError(f"the path {member.name!r} is not one that mlship unpacks")
    if not path.parts or member.ischr() or member.isblk() or member.isfifo():
        return
    target = folder / path
    _make_parents(target.parent, folder)
    if not member.isdir() or target.is_symlink() or target.is_file():
        _remove(target)
    if member.isdir():
        target.mkdir(exist_ok=True)
    elif member.issym():
        target.symlink_to(contained(path, member.linkname))
    elif member.islnk():
        same = _same(folder, member)
        if same.is_symlink():  # from another folder it would lead elsewhere, perhaps out
            target.symlink_to(contained(path, f"/{same.parent.relative_to(folder)}/{same.readlink()}"))
        else:
            link_or_copy(same, target)
    elif member.isfile():
        content = archive.extractfile(member)
        assert content is not None
        with target.open("xb") as file:
            shutil.copyfileobj(content, file, CHUNK)
        # read-only: hard links of it lie in assembled roots, and no program may change what others share
        target.chmod(0o555 if member.mode & 0o111 else 0o444)
    else:
        raise tarfile.TarError(f"{member.name!r} is neither file, folder nor link")


def inner_path(name: str) -> PurePosixPath | None:
    """A member's path relative to the root, as engines read it (`./usr`, `/usr`); None for one that leads out of it."""
    path = PurePosixPath(name.lstrip("/"))
    return None if ".." in path.parts or "\0" in name else path


def _same(folder: Path, member: tarfile.TarInfo) -> Path:
    """The file of this layer that a hard link names."""
    path = inner_path(member.linkname)
    if path is not None and path.parts:
        _check_parents((folder / path).parent, folder)
        if (folder / path).is_symlink() or (folder / path).is_file():
            return folder / path
    raise tarfile.TarError(f"{member.name!r} is a link to {member.linkname!r}, which the layer does not have")


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _make_parents(parent: Path, folder: Path) -> None:
    _check_parents(parent, folder)
    try:
        parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise tarfile.TarError(f"a path leads through the file {parent.relative_to(folder)}") from None


def _check_parents(parent: Path, folder: Path) -> None:
    here = folder
    for part in parent.relative_to(folder).parts:
        here = here / part
        if here.is_symlink():
            raise tarfile.TarError(f"a path leads through the link {here.relative_to(folder)}")


def contained(path: PurePosixPath, target: str) -> str:
    """The link as a relative one that stays inside: `..` at the root stays at the root, as it would in the image."""
    parts: list[str] = []
    for part in (*(() if target.startswith("/") else path.parent.parts), *PurePosixPath(target).parts):
        if part == "..":
            parts = parts[:-1]
        elif part not in ("/", "."):
            parts.append(part)
    return os.path.relpath("/" + "/".join(parts), f"/{path.parent}")


def _link_tree(source: Path, target: Path) -> None:
    """Lays a layer over the lower ones as overlayfs does: a folder hides a file or link of its name, and all else a folder."""
    for folder, folders, files in os.walk(source):
        here = target / Path(folder).relative_to(source)
        for name in files:
            if name.startswith(_WHITEOUT):
                _white_out(here, name)
        for name in folders:
            path, place = Path(folder, name), here / name
            if path.is_symlink():
                _lay(path, place)
            else:
                _make_folder(place)
        for name in files:
            if not name.startswith(_WHITEOUT):
                _lay(Path(folder, name), here / name)


def _make_folder(place: Path) -> None:
    try:
        place.mkdir()
    except FileExistsError:
        if place.is_symlink() or place.is_file():
            place.unlink()
            place.mkdir()


def _lay(path: Path, place: Path) -> None:
    """In the place of whatever is there; most often nothing is, and nobody need ask."""
    try:
        link_or_copy(path, place)
    except FileExistsError:
        _remove(place)
        link_or_copy(path, place)


def _white_out(here: Path, name: str) -> None:
    if name == _OPAQUE:
        for path in here.iterdir():
            _remove(path)
        return
    hidden = name.removeprefix(_WHITEOUT)
    if hidden not in ("", ".", "..") and not hidden.startswith(_WHITEOUT):  # such are another file system's own
        _remove(here / hidden)


def link_or_copy(path: Path, place: Path) -> None:
    """A hard link, or a copy where the disk allows none. Symbolic links are not followed."""
    try:
        os.link(path, place, follow_symlinks=False)
    except OSError as error:
        # another disk, or a file that has as many links as its disk allows
        if error.errno not in (errno.EXDEV, errno.EMLINK, errno.EPERM, errno.ENOTSUP):
            raise
        shutil.copy2(path, place, follow_symlinks=False)


def decompressed(stream: Any, media_type: str) -> Any:
    """The tar in the blob of a layer, as a stream; nothing of it is checked. Raises TarError for an unknown media type."""
    if media_type == MEDIA_TYPES["gzip"]:
        return _gzip_reader(stream)
    if media_type == MEDIA_TYPES["zstd"]:
        import zstandard

        return zstandard.ZstdDecompressor().stream_reader(stream, read_across_frames=True)
    if media_type == MEDIA_TYPES["none"]:
        return stream
    raise tarfile.TarError(f"its media type {media_type} is unknown")


def _gzip_reader(stream: Any) -> Any:
    try:
        from isal import igzip
    except ImportError:
        import gzip

        return gzip.GzipFile(fileobj=stream, mode="rb")
    return igzip.IGzipFile(fileobj=stream, mode="rb")


class _Hashed(io.RawIOBase):
    """A stream that knows the SHA-256 of what was read from it."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._hash = hashlib.sha256()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        size = int(self._stream.readinto(view))
        self._hash.update(view[:size])
        return size

    def drain(self) -> None:
        while self.read(CHUNK):
            pass

    @property
    def digest(self) -> str:
        return f"sha256:{self._hash.hexdigest()}"


def _bad(layer: Layer, why: str, fix: str = "delete the blob, then run mlship build again") -> MlshipError:
    return MlshipError(
        f"layer {layer.name or layer.diff_id} cannot be used: {why}",
        where=layer.blob.digest,
        fix=fix,
        exit=Exit.BUILD_FAILED,
        code="bad-layer",
    )
