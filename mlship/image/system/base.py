"""The bottom of an image: an operating system's libraries and a Python, from signed packages and without running anything."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from mlship.disk import disk_errors
from mlship.errors import Exit, MlshipError
from mlship.image.bytecode import compile_files
from mlship.image.foreign import foreign_compiler
from mlship.image.plan import BasePlan, SystemPackage
from mlship.image.system import base_files, deb
from mlship.image.system.apt import AptSettings, Archive, without_credentials
from mlship.image.system.apt_fetch import Fetcher, Wanted
from mlship.image.system.apt_index import Catalogue, Distribution, Package
from mlship.image.system.apt_resolve import resolve
from mlship.image.system.find_library import answer_find_library
from mlship.image.system.ld_cache import ld_cache
from mlship.image.system.needs import remove_unloadable
from mlship.image.workplace import Workplace, scratch
from mlship.oci.layer import Entry, entries_of_folder
from mlship.oci.rootfs import machine
from mlship.parallel import in_parallel

ARCHITECTURES = {"linux/amd64": "amd64", "linux/arm64": "arm64"}
_UNDER_PYTHON = (
    "base-files",
    "ca-certificates",
    "libc-bin",
    "libc6",
    "libgcc-s1",
    "libstdc++6",
    "media-types",
    "netbase",
    "tzdata",
)


def base_plan(
    workplace: Workplace,
    archive: Archive,
    python: str,
    *,
    platform: str = "linux/amd64",
    packages: Sequence[str] = (),
    under: Sequence[str] = _UNDER_PYTHON,
    now: datetime | None = None,
) -> BasePlan:
    """The newest signed packages for a base with this Python. packages: build.packages, whose programs stay.

    python: a minor version, `3.11`; empty for the newest one of the archive's preferred release. under: what else a base has.
    Reads the archive's lists anew. Raises MlshipError: exit 13 when it cannot be reached; exit 5 when it is not signed or
    expired; exit 2 when no suite carries the Python (the alternatives are named) or a package does not exist.
    """
    distribution = distribution_with(workplace, archive, python, platform, now)
    python = python or distribution.pythons()[-1]
    chosen = resolve(distribution, [*_interpreter(python), *under, *packages])
    workplace.progress.step("base", f"{distribution.codename}, {len(chosen)} packages")
    return BasePlan(
        suite=distribution.codename,
        platform=platform,
        python=f"/usr/bin/python{python}",
        packages=tuple(system_package(package) for package in chosen),
        requested=tuple(sorted(set(packages))),
        security=tuple(package.name for package in chosen if distribution.is_security_update(package)),
    )


def distribution_with(
    workplace: Workplace, archive: Archive, python: str, platform: str, now: datetime | None = None
) -> Distribution:
    """The archive's first release that carries the Python, from its signed lists. Raises as `base_plan` does."""
    with disk_errors(workplace.home.root), _fetcher(workplace, archive) as fetcher:
        catalogue = Catalogue(
            archive,
            ARCHITECTURES[platform],
            fetcher=fetcher,
            runner=workplace.runner,
            progress=workplace.progress,
            now=now or datetime.now(UTC),
        )
        return _carrying(catalogue, python)


def glibc(plan: BasePlan) -> str:
    """The version of the C library, `2.36`: wheels for manylinux up to this one run on the base."""
    if plan.image is not None:
        return plan.image.glibc
    found = next(
        (re.match(r"(?:\d+:)?(\d+\.\d+)", package.version) for package in plan.packages if package.name == "libc6"), None
    )
    return found[1] if found else ""


def fetch_packages(workplace: Workplace, plan: BasePlan, archive: Archive | None) -> list[Path]:
    """The plan's .deb files, from the cache or the archive, each with the SHA-256 that the plan says; in the plan's order.

    archive: where else to look (another mirror than when it was locked) and how to log in; None on a machine without apt.
    """
    _check_lock(plan)
    return fetch(workplace, plan.packages, archive)


def fetch(workplace: Workplace, packages: Sequence[SystemPackage], archive: Archive | None) -> list[Path]:
    """Their .deb files, in the same order."""
    with _fetcher(workplace, archive) as fetcher:
        files = [Wanted(_urls(package, archive), package.sha256, package.size) for package in packages]
        return fetcher.files(files, workplace.progress, "base packages")


@contextmanager
def base_tree(workplace: Workplace, plan: BasePlan, archive: Archive | None) -> Iterator[Path]:
    """The base's files in a folder that is gone afterwards."""
    debs = fetch_packages(workplace, plan, archive)
    with scratch(workplace) as folder:

        def lay_out(package: SystemPackage, path: Path) -> None:
            keep = base_files.wanted(package.name, package.name in plan.requested, plan.python.lstrip("/"))
            deb.extract(path, folder, keep)
            said = deb.control_files(path)
            status = folder / "var/lib/dpkg/status.d" / package.name
            _write(status, base_files.status(said["control"], package.sha256))
            _write(status.with_name(f"{package.name}.md5sums"), base_files.present(said["md5sums"], folder))

        # dpkg lets no two packages that are installed together have a file in common (Debian Policy 7.6): no order matters
        in_parallel(lambda pair: lay_out(*pair), list(zip(plan.packages, debs, strict=True)), patience_s=10)
        _finish(workplace, folder, plan)
        yield folder


def base_entries(tree: Path) -> Iterator[Entry]:
    """The tree as a layer's entries, with /tmp open to everyone."""
    yield from entries_of_folder(tree, "/")
    yield Entry("tmp", mode=0o1777, folder=True)


def _check_lock(plan: BasePlan) -> None:
    """Names and digests become file names here, and a lock file is only text that somebody may have edited."""
    for package in plan.packages:
        if not re.fullmatch(r"[a-z0-9][a-z0-9+.-]*", package.name) or not re.fullmatch(r"[0-9a-f]{64}", package.sha256):
            raise MlshipError(
                f"{package.name!r} with sha256 {package.sha256!r} is not an operating-system package",
                where="mlship.lock",
                fix="delete mlship.lock and run mlship build",
                code="bad-lock",
            )


def _carrying(catalogue: Catalogue, python: str) -> Distribution:
    seen: list[str] = []
    for distribution in catalogue.distributions():
        carried = distribution.pythons()
        if python in carried or (carried and not python):
            return distribution
        seen += [f"{minor} ({distribution.codename})" for minor in carried]
    raise MlshipError(
        f"Python {python or 3} is in no suite of this machine's package archive; it has {', '.join(seen) or 'none'}",
        where="mlship.yaml build.python",
        fix="train with one of these, name an archive that has it in build.mirror, or build upon an image that has it: "
        "build.base: HOST/NAME:TAG",
        code="no-such-python",
    )


def _interpreter(python: str) -> tuple[str, ...]:
    return f"python{python}-minimal", f"libpython{python}-minimal", f"libpython{python}-stdlib"


def system_package(package: Package) -> SystemPackage:
    """As it is locked."""
    return SystemPackage(package.name, package.version.text, package.sha256, package.size, without_credentials(package.url))


def _urls(package: SystemPackage, archive: Archive | None) -> tuple[str, ...]:
    """The archive that it was listed in comes first, with this machine's login; then the machine's other archives."""
    _, mark, place = package.url.partition("/pool/")
    uris = dict.fromkeys(suite.uri for suite in archive.suites) if archive and mark else {}
    own = [f"{uri}/pool/{place}" for uri in uris if package.url.startswith(f"{without_credentials(uri)}/pool/")]
    others = [f"{uri}/pool/{place}" for uri in uris]
    return tuple(dict.fromkeys((*own, package.url, *others)))


def _fetcher(workplace: Workplace, archive: Archive | None) -> Fetcher:
    settings = archive.settings if archive else AptSettings()
    return Fetcher(settings, workplace.environ, workplace.home.cache / "debs")


def _finish(workplace: Workplace, tree: Path, plan: BasePlan) -> None:
    """What maintainer scripts would have done."""
    for folder in ("etc", "tmp", "usr/lib", "usr/bin"):
        (tree / folder).mkdir(parents=True, exist_ok=True)
    for name in ("bin", "sbin", "lib", "lib64"):
        (tree / "usr" / name).mkdir(parents=True, exist_ok=True)
        (tree / name).symlink_to(f"usr/{name}")
    _write(tree / "etc/passwd", base_files.USERS)
    _write(tree / "etc/group", base_files.GROUPS)
    _write(tree / "etc/nsswitch.conf", base_files.NSSWITCH)
    _write_certificates(tree)
    _interpreter_is_there(tree, plan)
    python = plan.python.rpartition("/")[2]
    remove_unloadable(tree, python)
    answer_find_library(tree, python)
    by = None if runs_here(plan.platform) else foreign_compiler(workplace, plan)
    if by is not None or runs_here(plan.platform):
        compile_files(workplace, by.root(workplace) if by else tree, plan.python, _sources(tree, plan.python), tree)
    _, folders = machine(tree)
    (tree / "etc/ld.so.cache").write_bytes(ld_cache(tree, folders))


def runs_here(platform: str) -> bool:
    """Whether this machine's kernel and processor run programs of the platform."""
    names = {"x86_64": "amd64", "aarch64": "arm64"}
    return sys.platform == "linux" and platform == f"linux/{names.get(os.uname().machine, '')}"


def _sources(tree: Path, python: str) -> list[tuple[Path, str]]:
    library = tree / "usr/lib" / python.rpartition("/")[2]
    modules = (path for path in library.rglob("*.py") if not path.is_symlink())
    files = [path for path in modules if base_files.is_compiled(path.relative_to(library).as_posix())]
    return [(path, f"/{path.relative_to(tree).as_posix()}") for path in files]


def _write_certificates(tree: Path) -> None:
    bundle = base_files.certificate_bundle(tree)
    (tree / base_files.BUNDLE).parent.mkdir(parents=True, exist_ok=True)
    (tree / base_files.BUNDLE).write_bytes(bundle)
    shutil.rmtree(tree / "usr/share/ca-certificates", ignore_errors=True)
    # OpenSSL of Debian looks for /usr/lib/ssl/cert.pem when nothing else is said
    folder = tree / "usr/lib/ssl"
    folder.mkdir(parents=True, exist_ok=True)
    for name, goal in (("cert.pem", "../../../etc/ssl/certs/ca-certificates.crt"), ("certs", "../../../etc/ssl/certs")):
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(goal)


def _interpreter_is_there(tree: Path, plan: BasePlan) -> None:
    python = tree / plan.python.lstrip("/")
    if not python.is_file():
        raise MlshipError(
            f"the packages of {plan.suite} hold no {plan.python}", fix="mlship lock --refresh", exit=Exit.BUILD_FAILED
        )
    shortcut = python.with_name("python3")
    if not shortcut.is_symlink():
        shortcut.symlink_to(python.name)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
