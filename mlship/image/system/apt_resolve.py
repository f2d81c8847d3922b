"""Which packages are needed: the closure of dependencies over what an archive offers. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from mlship.errors import MlshipError
from mlship.image.system.apt_index import Distribution, Package
from mlship.image.system.apt_version import Version

# Needed by maintainer scripts and by people at a shell, neither of which an image has.
SCRIPT_ONLY = frozenset({
    "adduser", "awk", "bash", "cdebconf", "coreutils", "cron", "dash", "debconf", "debconf-2.0",
    "debianutils", "diffutils", "dpkg", "findutils", "gawk", "grep", "gzip", "hostname",
    "init-system-helpers", "install-info", "login", "login.defs", "logsave", "lsb-base", "mawk",
    "mime-support", "mount", "openssl", "original-awk", "passwd", "perl", "perl-base", "procps", "python3",
    "python3-minimal", "sed", "sensible-utils", "systemd", "sysvinit-utils", "tar", "ucf", "udev",
    "util-linux",
})  # fmt: skip
# What Debian's Python needs for modules that nobody has missed in a server: nis, dbm.gnu, readline, curses. With them go the
# packages that only these need (Kerberos by way of nis). They come where build.packages names them, or another package needs
# them.
NEEDLESS_TO_PYTHON = frozenset({
    f"{name}{end}"
    for name in ("libdb5.3", "libncursesw6", "libnsl2", "libreadline8", "libtinfo6", "libtirpc3")
    for end in ("", "t64")
})  # fmt: skip
_PYTHON = re.compile(r"libpython3\.\d+-stdlib")
_RELATION = re.compile(r"([a-z0-9][a-z0-9+.-]*)(?::[a-z0-9-]+)?\s*(?:\(\s*(<<|<=|=|>=|>>)\s*([^)\s]+)\s*\))?(?:\s*\[[^]]*\])?")


@dataclass(frozen=True)
class Relation:
    """`libc6 (>= 2.35)`; relation and version are empty where any version will do."""

    name: str
    relation: str = ""
    version: str = ""

    def is_met_by(self, package: Package) -> bool:
        if package.name == self.name:
            return not self.relation or package.version.satisfies(self.relation, self.version)
        return _provides(package, self)

    def __str__(self) -> str:
        return f"{self.name} ({self.relation} {self.version})" if self.relation else self.name


def resolve(distribution: Distribution, wanted: Iterable[str], excluded: Collection[str] = SCRIPT_ONLY) -> list[Package]:
    """The packages of these names and all that they depend on, sorted by name.

    excluded: names that are never followed, unless wanted by name. Raises MlshipError when a name is not in the archive,
    or a dependency cannot be met.
    """
    names = list(dict.fromkeys(wanted))
    chosen: dict[str, Package] = {}
    waiting: list[tuple[list[Relation], str]] = [([Relation(name)], "") for name in names]
    while waiting:
        alternatives, because = waiting.pop(0)
        passed_over = (*excluded, *NEEDLESS_TO_PYTHON) if _PYTHON.fullmatch(because) else excluded
        if because and any(relation.name in passed_over and relation.name not in names for relation in alternatives):
            continue
        if any(relation.is_met_by(package) for relation in alternatives for package in chosen.values()):
            continue
        package = _choice(distribution, alternatives, because)
        chosen[package.name] = package
        waiting += [(relations, package.name) for relations in dependencies(package)]
    return [chosen[name] for name in sorted(chosen)]


def dependencies(package: Package) -> list[list[Relation]]:
    """Pre-Depends and Depends as groups of alternatives."""
    fields = (package.fields.get("pre-depends", ""), package.fields.get("depends", ""))
    return [group for text in fields for group in relations(text)]


def relations(text: str) -> list[list[Relation]]:
    """A dependency field (Debian Policy 7.1): commas between groups, `|` between alternatives."""
    groups = [[_relation(part) for part in group.split("|") if part.strip()] for group in text.split(",")]
    return [group for group in groups if group]


def _relation(text: str) -> Relation:
    found = _RELATION.fullmatch(text.strip())
    if not found:
        raise MlshipError(f"the archive names a dependency that cannot be read: {text.strip()!r}")
    return Relation(found[1], found[2] or "", found[3] or "")


def _choice(distribution: Distribution, alternatives: Sequence[Relation], because: str) -> Package:
    for relation in alternatives:
        package = distribution.find(relation.name)
        if package is not None and relation.is_met_by(package):
            return package
    for relation in alternatives:
        for package in distribution.providing(relation.name):
            if relation.is_met_by(package):
                return package
    raise _unmet(distribution, alternatives, because)


def _unmet(distribution: Distribution, alternatives: Sequence[Relation], because: str) -> MlshipError:
    text = " | ".join(map(str, alternatives))
    if because:
        return MlshipError(f"{because} needs {text}, which {distribution.codename} does not have", code="unmet-package")
    return MlshipError(
        f"{distribution.codename} has no package {text}",
        where="mlship.yaml build.packages",
        fix=f"find its name with: apt-cache search {alternatives[0].name}",
        code="unknown-package",
    )


def _provides(package: Package, wanted: Relation) -> bool:
    """A provided name meets a relation with a version only where it is provided with one (Debian Policy 7.5)."""
    for group in relations(package.fields.get("provides", "")):
        for given in group:
            if given.name == wanted.name:
                if not wanted.relation:
                    return True
                if given.version and _version_meets(given.version, wanted):
                    return True
    return False


def _version_meets(version: str, wanted: Relation) -> bool:
    return Version(version).satisfies(wanted.relation, wanted.version)
