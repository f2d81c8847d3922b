"""The packages that an archive offers, believed only as far as a trusted key signed them.

InRelease (gpgv, the archive's keyring) -> SHA-256 of Packages -> SHA-256 of each .deb (Debian Policy; RepositoryFormat).
"""

from __future__ import annotations

import base64
import gzip
import lzma
import re
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import cached_property
from pathlib import Path

from mlship.disk import scratch_folder
from mlship.errors import Exit, MlshipError
from mlship.image.system.apt import Archive, Suite, without_credentials
from mlship.image.system.apt_fetch import Fetcher, Wanted
from mlship.image.system.apt_version import Version
from mlship.progress import Progress
from mlship.runner import Command, Runner

_NAME = re.compile(rb"^Package: (.+)$", re.MULTILINE)
_PROVIDES = re.compile(rb"^Provides:(.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Package:
    """One stanza of a Packages file. fields: names in lower case. archive: URL of its archive, credentials included."""

    name: str
    version: Version
    fields: dict[str, str]
    archive: str

    @property
    def url(self) -> str:
        return f"{self.archive}/{self.fields['filename']}"

    @property
    def sha256(self) -> str:
        return self.fields["sha256"]

    @property
    def size(self) -> int:
        return int(self.fields["size"])


@dataclass(frozen=True)
class Release:
    """The signed part of an InRelease: its fields, and (sha256, size) of each file that it lists."""

    suite: Suite
    fields: dict[str, str]
    files: dict[str, tuple[str, int]]

    @property
    def codename(self) -> str:
        return self.fields.get("codename", self.suite.stem)


class Packages:
    """One Packages file, read stanza by stanza as names are asked for: 50 MB of text hold a few that matter."""

    def __init__(self, text: bytes, archive: str, suite: str = "") -> None:
        self._text = text
        self._archive = archive
        self.suite = suite

    @cached_property
    def _places(self) -> dict[str, list[int]]:
        places: dict[str, list[int]] = {}
        for found in _NAME.finditer(self._text):
            places.setdefault(found[1].decode(errors="replace"), []).append(found.start())
        return places

    @cached_property
    def _provided(self) -> dict[str, list[int]]:
        places: dict[str, list[int]] = {}
        for found in _PROVIDES.finditer(self._text):
            end_before = self._text.rfind(b"\n\n", 0, found.start())
            start = end_before + 2 if end_before >= 0 else 0
            for alternative in found[1].decode(errors="replace").split(","):
                name = alternative.partition("(")[0].partition(":")[0].strip()
                places.setdefault(name, []).append(start)
        return places

    def named(self, name: str) -> list[Package]:
        return [self._package(start) for start in self._places.get(name, ())]

    def providing(self, name: str) -> list[Package]:
        """Packages whose field Provides names it."""
        return [self._package(start) for start in self._provided.get(name, ())]

    def names(self) -> Iterable[str]:
        return self._places

    def _package(self, start: int) -> Package:
        end = self._text.find(b"\n\n", start)
        stanza = self._text[start : end if end >= 0 else len(self._text)].decode(errors="replace")
        fields = _fields(stanza)
        missing = [name for name in ("package", "version", "filename", "sha256", "size") if name not in fields]
        if missing or not re.fullmatch(r"[0-9a-f]{64}", fields["sha256"]) or not fields["size"].isdigit():
            raise MlshipError(
                f"the archive's entry of {fields.get('package', '?')} lacks {', '.join(missing) or 'a valid SHA256 or size'}",
                where=without_credentials(self._archive),
                exit=Exit.BUILD_FAILED,
            )
        return Package(fields["package"], Version(fields["version"]), fields, self._archive)


@dataclass(frozen=True)
class Distribution:
    """All suites of one release, merged: of each package the highest version counts. codename: `bookworm`."""

    codename: str
    indexes: tuple[Packages, ...]

    def find(self, name: str) -> Package | None:
        found = [package for index in self.indexes for package in index.named(name)]
        return max(found, key=lambda package: package.version, default=None)

    def is_security_update(self, package: Package) -> bool:
        """Whether a suite of security updates has this very version."""
        return any(
            known.version == package.version
            for index in self.indexes
            if index.suite.endswith("-security")
            for known in index.named(package.name)
        )

    def providing(self, name: str) -> list[Package]:
        """Newest version of each package that provides it, by name."""
        found = {package.name: package for index in self.indexes for package in index.providing(name)}
        newest = (self.find(known) for known in sorted(found))
        return [package for package in newest if package is not None]

    def pythons(self) -> list[str]:
        """Minor versions that have an interpreter here: `["3.11"]`."""
        found = {
            match[1]
            for index in self.indexes
            for name in index.names()
            if (match := re.fullmatch(r"python(3\.\d+)-minimal", name))
        }
        return sorted(found, key=lambda minor: int(minor.split(".")[1]))


class Catalogue:
    """Reads an archive's distributions, each at most once."""

    def __init__(
        self, archive: Archive, architecture: str, *, fetcher: Fetcher, runner: Runner, progress: Progress, now: datetime
    ) -> None:
        self._archive = archive
        self._architecture = architecture
        self._fetcher = fetcher
        self._runner = runner
        self._progress = progress
        self._now = now

    def distributions(self) -> Iterator[Distribution]:
        """In the archive's order of preference; releases that it does not carry are passed over.

        Raises MlshipError when a suite that the machine's own sources name is missing, unsigned, expired or unreachable.
        """
        for stem in self._archive.stems:
            suites = [suite for suite in self._archive.suites if suite.stem == stem]
            releases = self._releases(suites)
            if any(release.suite.name == stem for release in releases):
                yield self._distribution(releases)

    def _releases(self, suites: Sequence[Suite]) -> list[Release]:
        with ThreadPoolExecutor(len(suites)) as pool:
            texts = list(pool.map(self._fetched, suites))
        pairs = zip(suites, texts, strict=True)
        return [self._verified(suite, text) for suite, text in pairs if text is not None]

    def _fetched(self, suite: Suite) -> bytes | None:
        url = f"{suite.uri}/dists/{suite.name}/InRelease"
        text = self._fetcher.text(url)
        if text is None and suite.certain:
            raise MlshipError(
                f"the archive has no suite {suite.name}",
                where=without_credentials(url),
                fix="correct apt's sources, or set build.mirror",
                exit=Exit.UNREACHABLE,
                code="no-suite",
            )
        return text

    def _verified(self, suite: Suite, text: bytes) -> Release:
        signed = verified(suite, text, self._runner)
        release = parse_release(suite, signed)
        if self._archive.settings.check_valid_until:
            check_valid_until(release, self._now)
        return release

    def _distribution(self, releases: Sequence[Release]) -> Distribution:
        wanted = [file for release in releases for file in self._index_files(release)]
        paths = self._fetcher.files([file for _, file in wanted], self._progress, "package lists")
        indexes = [Packages(_decompressed(path), suite.uri, suite.name) for (suite, _), path in zip(wanted, paths, strict=True)]
        return Distribution(releases[0].codename, tuple(indexes))

    def _index_files(self, release: Release) -> Iterator[tuple[Suite, Wanted]]:
        suite, base = release.suite, f"{release.suite.uri}/dists/{release.suite.name}"
        for component in suite.components:
            folder = f"{component}/binary-{self._architecture}"
            name = next(
                (f"{folder}/Packages{end}" for end in (".xz", ".gz", "") if f"{folder}/Packages{end}" in release.files), ""
            )
            if not name:
                continue
            sha256, size = release.files[name]
            by_hash = (f"{base}/{folder}/by-hash/SHA256/{sha256}",) if release.fields.get("acquire-by-hash") == "yes" else ()
            yield suite, Wanted((*by_hash, f"{base}/{name}"), sha256, size)


def verified(suite: Suite, text: bytes, runner: Runner) -> bytes:
    """The part of an InRelease that a trusted key signed. What stands outside the signature is not given back.

    Raises MlshipError when no key of the suite's keyrings made a good signature.
    """
    with scratch_folder() as here:
        (here / "InRelease").write_bytes(text)
        keyrings = [argument for path in _keyrings(suite, here) for argument in ("--keyring", str(path))]
        argv = (
            "gpgv",
            "--homedir",
            str(here),
            "--status-fd",
            "1",
            *keyrings,
            "--output",
            str(here / "signed"),
            str(here / "InRelease"),
        )
        told = runner.run(Command(argv, timeout_s=60))
        signed = here / "signed"
        if not _is_good(told.text, suite.fingerprints) or not signed.is_file():
            raise _unsigned(suite, told.last_lines(4))
        return signed.read_bytes()


def _is_good(status: str, fingerprints: Sequence[str]) -> bool:
    """One good signature by a known, unexpired key, and no bad one (GnuPG, doc/DETAILS). Keys that are not known are usual:
    a release is signed by the old key and by the new one."""
    good, current = False, ""
    for line in status.splitlines():
        words = line.removeprefix("[GNUPG:] ").split()
        if not words:
            continue
        if words[0] in ("GOODSIG", "EXPSIG", "EXPKEYSIG", "REVKEYSIG"):
            current = words[0]
        elif words[0] == "BADSIG":
            return False
        elif words[0] == "VALIDSIG" and current == "GOODSIG":
            keys = {words[1], words[-1]}
            good = good or not fingerprints or any(key.endswith(wanted) for key in keys for wanted in fingerprints)
    return good


def _keyrings(suite: Suite, folder: Path) -> Iterator[Path]:
    """Binary keyrings for gpgv, which does not read armoured ones."""
    blocks = [(path, path.read_bytes()) for path in suite.keyrings if path.is_file()]
    if suite.key:
        blocks.append((folder / "embedded", suite.key.encode()))
    for number, (path, content) in enumerate(blocks):
        if b"BEGIN PGP PUBLIC KEY BLOCK" not in content:
            yield path
            continue
        binary = folder / f"{number}.gpg"
        binary.write_bytes(_dearmoured(content))
        yield binary


def _dearmoured(content: bytes) -> bytes:
    """RFC 9580, 6.2: headers end with an empty line; the line that begins with = is a checksum."""
    keys = bytearray()
    pattern = rb"-----BEGIN PGP PUBLIC KEY BLOCK-----(.*?)-----END PGP PUBLIC KEY BLOCK-----"
    for block in re.findall(pattern, content.replace(b"\r\n", b"\n"), re.DOTALL):
        body = block.split(b"\n\n", 1)[-1]
        lines = [line for line in body.split(b"\n") if line and not line.startswith(b"=")]
        keys += base64.b64decode(b"".join(lines))
    return bytes(keys)


def parse_release(suite: Suite, text: bytes) -> Release:
    """Fields and SHA-256 table of a release file."""
    fields = _fields(text.decode(errors="replace"))
    files: dict[str, tuple[str, int]] = {}
    for line in fields.get("sha256", "").splitlines():
        parts = line.split()
        if len(parts) == 3 and parts[1].isdigit() and re.fullmatch(r"[0-9a-f]{64}", parts[0]):
            files[parts[2]] = (parts[0], int(parts[1]))
    return Release(suite, fields, files)


def check_valid_until(release: Release, now: datetime) -> None:
    """Refuses an old copy of the archive, which an attacker could serve to withhold security updates."""
    text = release.fields.get("valid-until", "")
    if not text:
        return
    end = parsedate_to_datetime(text.replace("UTC", "+0000"))
    if now > end:
        raise MlshipError(
            f"the package lists of {release.suite.name} were valid until {text}",
            where=without_credentials(release.suite.uri),
            fix='use a mirror that is up to date; for a snapshot set Acquire::Check-Valid-Until "false" in apt\'s configuration',
            exit=Exit.BUILD_FAILED,
            code="expired-archive",
        )


def _unsigned(suite: Suite, said: Sequence[str]) -> MlshipError:
    known = ", ".join(map(str, suite.keyrings)) or "none"
    return MlshipError(
        f"the archive's list for {suite.name} is not signed by a trusted key (keyrings: {known})",
        where=without_credentials(suite.uri),
        fix="install the archive's keyring (debian-archive-keyring), or name it: [signed-by=/path/keyring.gpg] in build.mirror",
        exit=Exit.BUILD_FAILED,
        code="unsigned-archive",
        details=said,
    )


def _fields(text: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    name = ""
    for line in text.splitlines():
        if line[:1] in (" ", "\t") and name:
            fields[name] += "\n" + line.strip()
        elif ":" in line:
            name, _, value = line.partition(":")
            name = name.lower()
            fields[name] = value.strip()
    return fields


def _decompressed(path: Path) -> bytes:
    with path.open("rb") as file:
        magic = file.read(6)
    if magic.startswith(b"\xfd7zXZ\0"):
        return lzma.decompress(path.read_bytes())
    return gzip.decompress(path.read_bytes()) if magic.startswith(b"\x1f\x8b") else path.read_bytes()
