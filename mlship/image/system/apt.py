"""Where this machine's operating-system packages come from: apt's own sources, keys and settings, or `build.mirror`.

No archive's host name stands in mlship. Sources: sources.list(5), apt.conf(5), apt_auth.conf(5), deb822 of APT 1.1.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from mlship.errors import MlshipError
from mlship.runner import Command, Runner

# Stable releases that one archive carries side by side, signed by one keyring.
FAMILIES = (("bookworm", "trixie"), ("jammy", "noble"))
_POCKETS = ("", "-updates", "-security")  # backports and proposed are not for production
_ALIASES = ("oldstable", "stable", "testing")
_KEYRING_PATTERN = "*-archive-keyring.gpg"


@dataclass(frozen=True)
class Suite:
    """One signed index of an archive.

    uri: the archive's root without a slash at the end. name: `bookworm-updates`. keyrings: files that may sign it.
    fingerprints: where not empty, only these keys may. key: a key block that stands in the source itself.
    certain: the machine's own sources name it; else it is tried, and passed over where the archive has no such suite.
    """

    uri: str
    name: str
    components: tuple[str, ...]
    keyrings: tuple[Path, ...] = ()
    fingerprints: tuple[str, ...] = ()
    key: str = ""
    certain: bool = True

    @property
    def stem(self) -> str:
        """`bookworm` of `bookworm-security`."""
        return re.sub(r"-(updates|security)$", "", self.name)


@dataclass(frozen=True)
class AptSettings:
    """What apt.conf says about fetching. proxies: by scheme (`http`), or scheme and host (`http::example.test`).

    check_valid_until: False only where apt's own configuration says so. logins: (host and path, user, password).
    """

    proxies: Mapping[str, str] = field(default_factory=dict)
    ca: Path | None = None
    check_valid_until: bool = True
    logins: tuple[tuple[str, str, str], ...] = field(default=(), repr=False)


@dataclass(frozen=True)
class Archive:
    """Every suite that may be used, in the order of preference; source says for people where that stands."""

    suites: tuple[Suite, ...]
    settings: AptSettings
    source: str

    @property
    def stems(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(suite.stem for suite in self.suites))


# Asked only where something has to be fetched: apt's own programs tell what it is, and most builds fetch nothing.
LateArchive = Callable[[], Archive | None]


def machine_archive(runner: Runner, mirror: str | None = None, root: Path = Path("/")) -> Archive:
    """The archive of `build.mirror`, else of the machine's apt.

    mirror: a URL, or what follows `deb` in a line of sources.list:
    `[signed-by=/path/key.gpg] http://mirror.example.test/debian trixie main`. root: where etc/apt lies, for tests.
    Raises MlshipError with what to set when the machine has no apt and no mirror is given.
    """
    settings = apt_settings(runner, root)
    codename = _os_release(root).get("VERSION_CODENAME", "")
    if mirror:
        return Archive(_mirror_suites(mirror, codename, root), settings, "build.mirror")
    named = [suite for suite in _sources(root) if _is_distribution(suite, codename)]
    if not named:
        raise MlshipError(
            "this machine has no apt sources, so mlship does not know where operating-system packages come from",
            where=str(root / "etc/apt"),
            fix='set build.mirror to a Debian mirror, such as "http://mirror.example.test/debian"; mlship doctor tells more',
            code="no-archive",
        )
    named.sort(key=lambda suite: suite.stem != codename)
    keyed = [_with_keys(suite, root) for suite in named]
    return Archive((*keyed, *_siblings(keyed)), settings, str(root / "etc/apt"))


def apt_settings(runner: Runner, root: Path = Path("/")) -> AptSettings:
    """apt.conf as `apt-config dump` tells it; the defaults on a machine without apt."""
    if not (root / "etc/apt").is_dir() or not any((root / place / "apt-config").exists() for place in ("usr/bin", "bin")):
        return AptSettings()
    told = runner.run(Command(("apt-config", "dump", "--no-empty", "--format", "%f=%v%n"), timeout_s=30))
    values = dict(line.split("=", 1) for line in told.text.splitlines() if "=" in line)
    proxies = {
        name.removeprefix("Acquire::").removesuffix("::Proxy").replace("::Proxy::", "::"): value
        for name, value in values.items()
        if re.fullmatch(r"Acquire::https?::Proxy(::.+)?", name)
    }
    ca = values.get("Acquire::https::CAInfo") or values.get("Acquire::https::CaInfo")
    return AptSettings(
        proxies=proxies,
        ca=Path(ca) if ca else None,
        check_valid_until=_truth(values.get("Acquire::Check-Valid-Until", "true")),
        logins=tuple(_logins(root)),
    )


def one_line_sources(text: str) -> Iterator[Suite]:
    """Suites of a sources.list; what is not `deb` is left out."""
    for line in text.splitlines():
        found = re.fullmatch(r"deb\s+(?:\[([^\]]*)\]\s*)?(\S+)\s+(\S+)((?:\s+\S+)*)", line.partition("#")[0].strip())
        if not found or found[3].endswith("/"):
            continue
        options = dict(option.partition("=")[::2] for option in (found[1] or "").split())
        yield _suite(found[2], found[3], found[4].split(), options.get("signed-by", "").replace(",", " "))


def deb822_sources(text: str) -> Iterator[Suite]:
    """Suites of a .sources file; stanzas that are disabled or give no binary packages are left out."""
    for stanza in re.split(r"\n\s*\n", text):
        fields = _deb822(stanza)
        enabled = _truth(fields.get("enabled", "yes"))
        if not enabled or "deb" not in fields.get("types", "").split():
            continue
        for uri in fields.get("uris", "").split():
            for name in fields.get("suites", "").split():
                if not name.endswith("/"):
                    yield _suite(uri, name, fields.get("components", "").split(), fields.get("signed-by", ""))


def without_credentials(url: str) -> str:
    """The URL as it may stand in a lock file or a message."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _suite(uri: str, name: str, components: Iterable[str], signed_by: str) -> Suite:
    if "BEGIN PGP" in signed_by:
        return Suite(uri.rstrip("/"), name, tuple(components), key=signed_by)
    keys = signed_by.split()
    return Suite(
        uri.rstrip("/"),
        name,
        tuple(components),
        keyrings=tuple(Path(key) for key in keys if key.startswith("/")),
        fingerprints=tuple(key.rstrip("!").upper() for key in keys if not key.startswith("/")),
    )


def _sources(root: Path) -> Iterator[Suite]:
    etc = root / "etc/apt"
    lists = [etc / "sources.list", *sorted(etc.glob("sources.list.d/*.list"))]
    for path in lists:
        yield from one_line_sources(_text(path))
    for path in sorted(etc.glob("sources.list.d/*.sources")):
        yield from deb822_sources(_text(path))


def _is_distribution(suite: Suite, codename: str) -> bool:
    """Other publishers' archives (engines, drivers, cloud tools) name their own suites or have no component main."""
    known = {codename, *_ALIASES, *(name for family in FAMILIES for name in family)}
    pocket = suite.name.removeprefix(suite.stem)
    return suite.stem in known and pocket in _POCKETS and "main" in suite.components and _scheme(suite) in _SCHEMES


_SCHEMES = ("http", "https", "file")


def _scheme(suite: Suite) -> str:
    return urlsplit(suite.uri).scheme


def _siblings(suites: list[Suite]) -> Iterator[Suite]:
    """The other releases of the same archives: a bookworm machine's archive carries trixie as well."""
    named = {(suite.uri, suite.name) for suite in suites}
    for family in FAMILIES:
        for stem in family:
            for suite in suites:
                name = suite.name.replace(suite.stem, stem, 1)
                if suite.stem in family and suite.stem != stem and (suite.uri, name) not in named:
                    named.add((suite.uri, name))
                    yield Suite(suite.uri, name, suite.components, suite.keyrings, suite.fingerprints, suite.key, certain=False)


def _mirror_suites(mirror: str, codename: str, root: Path) -> tuple[Suite, ...]:
    """A whole source line names one suite; a bare URL stands for every release that it carries."""
    lines = [_with_keys(suite, root) for suite in one_line_sources(f"deb {mirror}")]
    if not lines or not all(_is_sound(suite) for suite in lines):
        address = _mirror_address(mirror)
        stems = sorted((name for family in FAMILIES for name in family), key=lambda name: name != codename)
        lines = [
            _with_keys(Suite(uri, stem + pocket, ("main",), certain=False), root)
            for stem in stems
            for pocket in _POCKETS
            for uri in ((f"{address}-security", address) if pocket == "-security" else (address,))
        ]
        return tuple(lines)
    return (*lines, *_siblings(lines))


def _is_sound(suite: Suite) -> bool:
    words = (suite.name, *suite.components)
    return _scheme(suite) in _SCHEMES and all(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.+~/-]*", word) for word in words)


def _mirror_address(mirror: str) -> str:
    parts = urlsplit(mirror.strip())
    if parts.scheme not in _SCHEMES or (parts.scheme != "file" and not parts.hostname) or len(mirror.split()) != 1:
        raise MlshipError(
            f"build.mirror is {without_credentials(mirror)!r}, which is no address of a Debian archive",
            where="mlship.yaml build.mirror",
            fix='write for example "http://mirror.example.test/debian", or a line of sources.list without the word deb',
        )
    return mirror.strip().rstrip("/")


def _with_keys(suite: Suite, root: Path) -> Suite:
    """The suite with apt's trusted keys, where its source names none of its own."""
    if suite.keyrings or suite.key:
        return suite
    trusted = [root / "etc/apt/trusted.gpg", *sorted((root / "etc/apt/trusted.gpg.d").glob("*"))]
    found = [path for path in trusted if path.suffix in (".gpg", ".asc") and path.is_file()]
    found += sorted((root / "usr/share/keyrings").glob(_KEYRING_PATTERN))
    return Suite(suite.uri, suite.name, suite.components, tuple(found), suite.fingerprints, "", suite.certain)


def _logins(root: Path) -> Iterator[tuple[str, str, str]]:
    """(machine, user, password) of apt's netrc-like files."""
    for path in (root / "etc/apt/auth.conf", *sorted((root / "etc/apt/auth.conf.d").glob("*.conf"))):
        words = iter(shlex.split(_text(path), comments=True))
        entry: dict[str, str] = {}
        for word in words:
            if word == "machine" and "machine" in entry:
                yield entry["machine"], entry.get("login", ""), entry.get("password", "")
                entry = {}
            if word in ("machine", "login", "password"):
                entry[word] = next(words, "")
        if "machine" in entry:
            yield entry["machine"], entry.get("login", ""), entry.get("password", "")


def _os_release(root: Path) -> dict[str, str]:
    lines = _text(root / "etc/os-release") or _text(root / "usr/lib/os-release")
    pairs = (line.split("=", 1) for line in lines.splitlines() if "=" in line)
    return {name.strip(): value.strip().strip("\"'") for name, value in pairs}


def _deb822(stanza: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    name = ""
    for line in stanza.splitlines():
        if line.startswith("#"):
            continue
        if line[:1] in (" ", "\t") and name:
            # a line of one dot stands for an empty line, as in an embedded key
            fields[name] += "\n" + ("" if line.strip() == "." else line.strip())
        elif ":" in line:
            name, _, value = line.partition(":")
            name = name.strip().lower()
            fields[name] = value.strip()
    return fields


def _truth(text: str) -> bool:
    """apt's own words for no (apt-pkg, StringToBool)."""
    return text.strip().lower() not in ("no", "false", "without", "off", "disable", "0")


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except (FileNotFoundError, PermissionError, NotADirectoryError):
        return ""
