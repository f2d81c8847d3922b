"""Where operating-system packages come from, and whether their signatures can be checked here."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

from mlship.errors import Finding, MlshipError
from mlship.flows.doctor.ground import Ground
from mlship.image.system.apt import Archive, Suite, machine_archive, without_credentials
from mlship.image.system.apt_fetch import Fetcher
from mlship.image.system.apt_index import verified

WITHOUT_APT = (
    "install gpgv and debian-archive-keyring, and set build.mirror in mlship.yaml to a Debian mirror that you may use, "
    'such as "http://mirror.example.test/debian"'
)


def check(ground: Ground) -> Iterator[Finding]:
    build = ground.project.build if ground.project else None
    if build is not None and build.base != "debian":
        yield Finding(f"not needed: build.base is {build.base}", severity="note", code="archive")
        return
    can_check = shutil.which("gpgv", path=ground.context.environ.get("PATH")) is not None
    if not can_check:
        yield Finding("gpgv is missing: signatures cannot be checked", fix="apt-get install gpgv", code="archive")
    try:
        archive = machine_archive(ground.context.runner, build.mirror if build else None)
    except MlshipError as error:
        yield Finding(error.what, error.where, WITHOUT_APT if error.code == "no-archive" else error.fix, code="archive")
        return
    if can_check:
        yield _signed(ground, archive)


def _signed(ground: Ground, archive: Archive) -> Finding:
    """The first suite's InRelease, fetched and checked in the way that build does."""
    suite = archive.suites[0]
    place = f"{without_credentials(suite.uri)} {suite.name}"
    try:
        with Fetcher(archive.settings, ground.context.environ, ground.context.home.cache / "apt") as fetcher:
            text = fetcher.text(f"{suite.uri}/dists/{suite.name}/InRelease")
        if text is None:
            return Finding(f"{place} is not there", archive.source, "correct the source, or set build.mirror", code="archive")
        verified(suite, text, ground.context.runner)
    except MlshipError as error:
        return Finding(error.what, error.where or place, error.fix, code="archive")
    return Finding(f"{place} answers, signature good ({_keys(suite)})", archive.source, severity="note", code="archive")


def _keys(suite: Suite) -> str:
    named = ", ".join(path.name for path in suite.keyrings[:2])
    more = f" and {len(suite.keyrings) - 2} more" if len(suite.keyrings) > 2 else ""
    return f"{named}{more}" if named else "key in the source"
