"""A package archive that a test makes: real .deb files, a real index, and a stand-in for gpgv that knows one signature."""

from __future__ import annotations

import gzip
import hashlib
import io
import lzma
import tarfile
from dataclasses import dataclass, field
from pathlib import Path

import zstandard

from mlship.image.system.apt import AptSettings, Archive, Suite
from mlship.runner import Command, Result

SIGNATURE = b"signed by the archive\n"


@dataclass(frozen=True)
class Link:
    target: str
    hard: bool = False


def make_deb(
    path: Path, files: dict[str, bytes | Link | None], control: dict[str, str], compression: str = "xz", md5sums: str = ""
) -> Path:
    """files: path -> content, Link, or None for a folder; a path that begins with `*` is setuid."""
    text = "".join(f"{name}: {value}\n" for name, value in control.items()).encode()
    members = {
        "debian-binary": b"2.0\n",
        f"control.tar.{compression}": compressed(
            tar_of({"./control": text, **({"./md5sums": md5sums.encode()} if md5sums else {})}), compression
        ),
        f"data.tar.{compression}": compressed(tar_of(files), compression),
    }
    content = b"!<arch>\n"
    for name, data in members.items():
        content += f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(data):<10}`\n".encode() + data + b"\n" * (len(data) % 2)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def tar_of(files: dict[str, bytes | Link | None]) -> bytes:
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name.lstrip("*"))
            member.mode = 0o4755 if name.startswith("*") else 0o755 if "/bin/" in name else 0o644
            if content is None:
                member.type = tarfile.DIRTYPE
            elif isinstance(content, Link):
                member.type = tarfile.LNKTYPE if content.hard else tarfile.SYMTYPE
                member.linkname = content.target
            else:
                member.size = len(content)
            archive.addfile(member, io.BytesIO(content) if isinstance(content, bytes) else None)
    return output.getvalue()


def compressed(content: bytes, compression: str) -> bytes:
    return {
        "xz": lzma.compress,
        "gz": gzip.compress,
        "zst": lambda data: zstandard.ZstdCompressor().compress(data),
    }[compression](content)


@dataclass
class MadeArchive:
    """An archive below a folder, reached by file: URLs."""

    root: Path
    suites: dict[str, list[dict[str, str]]] = field(default_factory=dict)

    @property
    def uri(self) -> str:
        return f"file://{self.root}"

    def add(
        self, suite: str, name: str, version: str = "1", files: dict[str, bytes | Link | None] | None = None, **control: str
    ) -> None:
        fields = {"Package": name, "Version": version, "Architecture": "amd64"}
        fields |= {key.replace("_", "-").title(): value for key, value in control.items()}
        place = f"pool/main/{name}_{version.replace(':', '%3a')}_amd64.deb".replace("%3a", "+")
        deb = make_deb(self.root / place, files or {}, fields).read_bytes()
        listed = {**fields, "Filename": place, "Size": str(len(deb)), "SHA256": hashlib.sha256(deb).hexdigest()}
        self.suites.setdefault(suite, []).append(listed)

    def publish(self, valid_until: str = "", by_hash: bool = False) -> None:
        for suite, packages in self.suites.items():
            text = "\n\n".join("\n".join(f"{key}: {value}" for key, value in fields.items()) for fields in packages) + "\n\n"
            data = lzma.compress(text.encode())
            digest = hashlib.sha256(data).hexdigest()
            folder = self.root / "dists" / suite / "main/binary-amd64"
            folder.mkdir(parents=True, exist_ok=True)
            place = folder / "by-hash/SHA256" / digest if by_hash else folder / "Packages.xz"
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(data)
            release = f"Codename: {suite.split('-')[0]}\n" + (f"Valid-Until: {valid_until}\n" if valid_until else "")
            release += "Acquire-By-Hash: yes\n" if by_hash else ""
            release += f"SHA256:\n {digest} {len(data)} main/binary-amd64/Packages.xz\n"
            (self.root / "dists" / suite / "InRelease").write_bytes(SIGNATURE + release.encode())

    def archive(self, *names: str, settings: AptSettings | None = None, certain: bool = True) -> Archive:
        suites = tuple(Suite(self.uri, name, ("main",), certain=certain) for name in names)
        return Archive(suites, settings or AptSettings(), "a test")


class Gpgv:
    """Answers as gpgv does: good for what begins with SIGNATURE, bad for anything else. Other programs are refused."""

    def __init__(self, status: str = "GOODSIG A\nVALIDSIG ABCDEF0123 2026 0 0 0 ABCDEF0123") -> None:
        self.status = status
        self.commands: list[Command] = []

    def run(self, command: Command) -> Result:
        self.commands.append(command)
        assert command.argv[0] == "gpgv"
        text = Path(command.argv[-1]).read_bytes()
        if not text.startswith(SIGNATURE):
            return Result(1, b"[GNUPG:] BADSIG A\n", b"gpgv: BAD signature\n")
        Path(command.argv[command.argv.index("--output") + 1]).write_bytes(text.removeprefix(SIGNATURE))
        status = "\n".join(f"[GNUPG:] {line}" for line in self.status.splitlines())
        return Result(0, status.encode(), b"")
