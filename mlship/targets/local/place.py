"""Finds every project on this machine: what `mlship list` asks."""

from __future__ import annotations

from mlship.errors import MlshipError
from mlship.home import Home
from mlship.runner import Runner
from mlship.targets.base import ServiceRow
from mlship.targets.listed import untold
from mlship.targets.local.asking import release_at
from mlship.targets.local.control import Control
from mlship.targets.local.folder import DEFAULT, ROOTFS, ServiceFolder
from mlship.targets.local.records import LocalRecords


def services(home: Home, runner: Runner) -> tuple[ServiceRow, ...]:
    """One row a service that was ever committed, by name."""
    return tuple(row for folder in folders(home) if (row := _row(folder, runner)) is not None)


def folders(home: Home) -> list[ServiceFolder]:
    """Every service that has files here."""
    if not home.local.is_dir():
        return []
    projects = [path for path in sorted(home.local.iterdir()) if path.is_dir() and path.name != ROOTFS]
    return [ServiceFolder(path) for project in projects for path in sorted(project.iterdir()) if path.is_dir()]


def _row(folder: ServiceFolder, runner: Runner) -> ServiceRow | None:
    project, name = folder.path.parent.name, folder.path.name
    environment = "" if name == DEFAULT else name
    try:
        history = LocalRecords(folder).read()
        view = Control(folder.path, runner).status()
    except MlshipError as error:
        return untold(project, environment, "local", error)
    if history is None:
        return None
    server = view.live_server if view else None
    endpoint = f"http://{server.host}:{server.port}" if server else ""
    ready = server is not None and release_at(server.host, server.port) == history.live
    return ServiceRow(project, history.environment, "local", history.live, endpoint, ready)
