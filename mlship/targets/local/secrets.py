"""Secrets of releases on this machine: files that only this user reads, in the folder of each release.

The server reads them at its start (MLSHIP_SECRETS); they are in no environment, record or log. They go with the release.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Mapping
from pathlib import Path

from mlship.disk import make_folder, write_atomic
from mlship.errors import MlshipError
from mlship.releases.history import History
from mlship.releases.release import Release
from mlship.targets.base import OPERATOR_KEY
from mlship.targets.local.folder import ReleaseFolder, ServiceFolder


def versions(folder: ServiceFolder, values: Mapping[str, str], history: History | None) -> dict[str, str]:
    """name -> version: that of a release which has this very value, else the next one. mlship's own key has one version only:

    each release may have another one, and none is deployed for its sake.
    """
    releases = history.releases if history else ()
    return {name: _version(folder, name, value, releases) for name, value in sorted(values.items())}


def write(folder: ReleaseFolder, release: Release, values: Mapping[str, str]) -> None:
    """The release's secrets as files, once. Raises MlshipError when they are not there and the values are not at hand."""
    wanted = release.served.secrets
    absent = sorted(name for name in wanted if _read(folder.secrets / name) is None)
    if missing := [name for name in absent if name not in values]:
        raise MlshipError(
            f"{release.id} cannot be started: its secrets ({', '.join(missing)}) are not on this machine any more",
            str(folder.secrets),
            "mlship deploy, where their values are",
            code="no-secrets",
        )
    if absent:
        for place in (folder.path, folder.secrets):
            make_folder(place)
            place.chmod(0o700)
    for name in absent:
        write_atomic(folder.secrets / name, values[name].encode(errors="surrogateescape"), 0o600)


def are_whole(folder: ReleaseFolder, release: Release) -> bool:
    """Whether the release could be started with its secrets."""
    return all(_read(folder.secrets / name) is not None for name in release.served.secrets)


def operator_key(folder: ReleaseFolder) -> str:
    """With which mlship asks the release; empty where its callers are not judged."""
    return _read(folder.secrets / OPERATOR_KEY) or ""


def _version(folder: ServiceFolder, name: str, value: str, releases: Iterable[Release]) -> str:
    if name == OPERATOR_KEY:
        return "1"
    known = {release.id: release.served.secrets[name] for release in releases if name in release.served.secrets}
    for release, version in known.items():
        kept = _read(folder.run(release).secrets / name)
        if kept is not None and hmac.compare_digest(kept.encode(), value.encode()):
            return version
    return str(max(map(int, known.values()), default=0) + 1)


def _read(path: Path) -> str | None:
    try:
        return path.read_bytes().decode(errors="surrogateescape")
    except FileNotFoundError:
        return None
