"""The target `local`: this machine serves, without a container engine."""

from __future__ import annotations

import errno
import hashlib
import json
import platform
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from mlship.disk import make_folder, write_atomic
from mlship.errors import Finding, MlshipError
from mlship.home import Home
from mlship.oci.registry.push_variant import PushVariant
from mlship.releases.history import History
from mlship.releases.release import Release
from mlship.runner import Runner
from mlship.targets.asked import asked
from mlship.targets.base import (
    Action,
    Answer,
    Deployment,
    Feature,
    LogLine,
    Measures,
    Observed,
    Opening,
    Outcome,
    Replica,
    Request,
    Resource,
    ServiceRow,
    Why,
)
from mlship.targets.local import place, secrets
from mlship.targets.local.asking import ask, is_ready, release_at
from mlship.targets.local.control import Control
from mlship.targets.local.folder import ReleaseFolder, ServiceFolder
from mlship.targets.local.launching import HOST, launch, server_environ
from mlship.targets.local.logs import follow, size, tail
from mlship.targets.local.preflight import findings, own_platform
from mlship.targets.local.processes import start_ticks
from mlship.targets.local.protocol import HolderView, Launch, ServerView
from mlship.targets.local.records import LocalRecords
from mlship.targets.local.render import render
from mlship.targets.local.resources import FEATURES, resources
from mlship.targets.local.rootfs import Rootfs, UnpackedImages
from mlship.targets.local.starting import end_in_words, wait_until_ready
from mlship.targets.local.wellness import measures, whys


def open_target(opening: Opening) -> LocalTarget:
    """Raises MlshipError on anything but Linux."""
    require_linux(platform.system())
    return LocalTarget(
        opening.project,
        opening.environment,
        opening.home,
        opening.runner,
        opening.settings,
        UnpackedImages(opening.home),
    )


def services(opening: Opening) -> tuple[ServiceRow, ...]:
    """Every project on this machine."""
    return place.services(opening.home, opening.runner)


def require_linux(system: str) -> None:
    if system != "Linux":
        raise MlshipError(
            f"the target local runs the image's Linux programs, and this machine is {system or 'unknown'}",
            fix="use --target docker, or try the model with: mlship run --source",
            code="not-linux",
        )


class LocalTarget:
    """Implements targets.base.Target for one project in one environment."""

    name = "local"

    def __init__(
        self,
        project: str,
        environment: str,
        home: Home,
        runner: Runner,
        settings: Mapping[str, Any],
        rootfs: Rootfs,
    ) -> None:
        self._project = project
        self._home = home
        self._settings = settings
        self._rootfs = rootfs
        self._folder = ServiceFolder.of(home, project, environment)
        self._records = LocalRecords(self._folder)
        self._control = Control(self._folder.path, runner, lambda: self._records.token)

    @property
    def features(self) -> Mapping[str, Mapping[str, Feature]]:
        return FEATURES

    @property
    def push(self) -> Mapping[str, PushVariant]:
        return {}

    @property
    def records(self) -> LocalRecords:
        return self._records

    def platform(self) -> str:
        return own_platform()

    def render(self, deployment: Deployment) -> dict[str, bytes]:
        return render(deployment)

    def resources(self, deployment: Deployment) -> tuple[Resource, ...]:
        return resources(deployment)

    def preflight(self, deployment: Deployment) -> tuple[Finding, ...]:
        return findings(deployment, self._rootfs, self._view(), self._home.local)

    def observe(self) -> Observed:
        history = self._records.read()
        running = self._control.settled()
        view = running or self._left_behind()
        server = view.live_server if view else None
        serving = release_at(server.host, server.port) if server else ""
        replicas = tuple(_replica(self._project, number, copy) for number, copy in enumerate(view.servers if view else ()))
        known = history.releases if history else ()
        restorable = frozenset(release.id for release in known if self._is_restorable(release))
        seen = [
            (history.generation, history.live) if history else None,
            running is not None,
            # Not whether it answers at this instant: a busy model is no change of the world.
            serving or (server.release if server else ""),
            # Not those that are on their way out, nor how they answer at this instant: no plan depends on it.
            sorted((copy.release, copy.state) for copy in (view.servers if view else ()) if copy.state != "draining"),
            view.kept_port if view else 0,
            sorted(restorable),
        ]
        return Observed(
            history=history,
            endpoint=_endpoint(server) if server else "",
            serving=serving,
            replicas=replicas,
            restorable=restorable,
            notes=_notes(history.live if history else "", running, view, serving),
            repair="the supervisor is gone" if serving and running is None else "",
            fingerprint=hashlib.sha256(json.dumps(seen).encode()).hexdigest(),
        )

    def secret_versions(self, values: Mapping[str, str], history: History | None) -> Mapping[str, str]:
        return secrets.versions(self._folder, values, history)

    def ask(self, request: Request) -> Answer:
        view = self._view()
        staged = [copy for copy in view.servers if copy.state == "staged"] if view else []
        live = view.live_server if view else None
        if request.of == "staged" and (staged or live):
            copy = staged[-1] if staged else live
            return self._ask(copy, "127.0.0.1", copy.probe, request) if copy else Answer(0, b"nothing is running")
        if live is None:
            return Answer(0, b"nothing is running")
        return self._ask(live, live.host, live.port, request)

    def measure(self) -> Mapping[str, Measures]:
        view = self._view()
        live = view.live_server if view else None
        return measures(view, lambda: secrets.operator_key(self._run(live.release))) if view and live else {}

    def why(self) -> tuple[Why, ...]:
        """Where no holder answers, what the last one wrote: also of copies that ended with it."""
        view = self._control.status() or self._control.last_state()
        return whys(self._project, view, self._folder) if view else ()

    def logs(self, release: str = "", lines: int = 100, follow: bool = False) -> Iterator[LogLine]:
        folder = self._log_folder(release)
        if folder is None:
            return
        replica = f"{self._project}-0"
        for text in _log_lines(folder, lines, follow, lambda: self._has_ended(folder.release)):
            yield LogLine(replica, folder.release, text)

    def apply(self, action: Action, deployment: Deployment | None) -> Outcome:
        """Failures that users can cause are outcomes; the records and the old release are as they were."""
        try:
            self._records.confirm()
            if action.kind == "retire":
                return self._retire(action.subjects)
            if action.kind == "destroy":
                return self._destroy()
            if action.kind == "discard":
                return self._discard(action.release)
            if deployment is None:
                raise ValueError(f"{action.kind} needs a deployment")
            if action.kind == "deliver":
                return self._deliver(deployment)
            if action.kind == "stage":
                return self._stage(deployment)
            if action.kind == "shift":
                return self._shift(action.release)
            if action.kind == "restore":
                return self._restore(action.release, action.before)
            return self._operate(deployment)
        except MlshipError as error:
            return Outcome(False, _cause(error), error.details, fault="target")
        except OSError as error:
            return Outcome(False, f"{error.filename or self._folder.path}: {error.strerror or error}", fault="target")

    # Actions.

    def _deliver(self, deployment: Deployment) -> Outcome:
        self._sweep(keep=deployment.release.id)
        content = deployment.release.served.content
        # The claim comes first: what is claimed is never collected by another project's clean-up.
        write_atomic(self._run(deployment.release.id).content, f"{content}\n".encode(), 0o600)
        self._rootfs.prepare(content)
        return Outcome()

    def _stage(self, deployment: Deployment) -> Outcome:
        folder = self._run(deployment.release.id)
        secrets.write(folder, deployment.release, deployment.secrets)
        wanted = self._launch(deployment)
        write_atomic(folder.launch, json.dumps(wanted.to_dict()).encode(), 0o600)
        return self._start(wanted)

    def _start(self, wanted: Launch) -> Outcome:
        self._prepare_folder()
        self._control.ensure()
        log = Path(wanted.log)
        since = size(log)
        self._control.start(wanted)
        return wait_until_ready(self._control.status, wanted.release, wanted.startup_s, log, since)

    def _shift(self, release: str) -> Outcome:
        self._control.ensure()
        view = self._control.shift(release)
        return Outcome(notes=(view.trouble,) if view.trouble else ())

    def _restore(self, release: str, before: str) -> Outcome:
        """From the kept files, or the copy that still runs; then the failed one goes."""
        if before and before != release:
            kept = Launch.from_dict(json.loads(self._run(before).launch.read_bytes()))
            started = self._start(kept)
            if not started.ok:
                return started
            self._shift(before)
        return self._discard(release) if before != release else Outcome()

    def _discard(self, release: str) -> Outcome:
        history = self._records.read()
        if self._control.status() is not None or self._control.strangers():
            self._control.ensure()
            # A failed attempt to start the recorded release anew does not end the holder's own attempts.
            is_recorded = history is not None and history.live == release
            view = self._control.unstage(release) if is_recorded else self._control.stop(release)
            if not view.servers:
                self._control.quit()
        if history is None or all(known.id != release for known in history.releases):
            self._forget(self._run(release), keep_log=True)
        return Outcome()

    def _retire(self, subjects: tuple[str, ...]) -> Outcome:
        view = self._control.status()
        for release in subjects:
            if view and view.copies(release) and release != view.live:
                self._control.stop(release)
            self._forget(self._run(release))
        self._sweep()
        return Outcome()

    def _operate(self, deployment: Deployment) -> Outcome:
        """Another port means a second copy on the new listener; then the first one goes, and its listener with it."""
        release = deployment.release.id
        wanted = self._launch(deployment)
        view = self._control.ensure()
        live = view.live_server
        if live and live.release == release and wanted.host == live.host and wanted.port in (0, live.port):
            return Outcome()
        write_atomic(self._run(release).launch, json.dumps(wanted.to_dict()).encode(), 0o600)
        started = self._start(wanted)
        if not started.ok:
            self._control.unstage(release)
            return started
        return self._shift(release)

    def _destroy(self) -> Outcome:
        self._control.quit()
        left = self._control.strangers()
        if left:
            return Outcome(False, f"processes {', '.join(map(str, left))} of {self._project} do not end")
        _remove(self._folder.path)
        self._collect()
        with suppress(OSError):  # another environment, or another project, is still in it
            self._folder.path.parent.rmdir()
            self._home.local.rmdir()
        return Outcome()

    # What they are made of.

    def _launch(self, deployment: Deployment) -> Launch:
        folder = self._run(deployment.release.id)
        place = {"MLSHIP_SECRETS": str(folder.secrets)} if deployment.release.served.secrets else {}
        command = self._rootfs.command(deployment.release.served.content, {**server_environ(deployment), **place})
        return launch(deployment, command, folder, self._known_host())

    def _ask(self, copy: ServerView, host: str, port: int, request: Request) -> Answer:
        return asked(partial(ask, host, port), request, lambda: secrets.operator_key(self._run(copy.release)))

    def _known_host(self) -> str:
        """Where the service listens now: a rollback without mlship.yaml must not move it."""
        view = self._view()
        return view.launch.host if view and view.launch else HOST

    def _prepare_folder(self) -> None:
        make_folder(self._folder.path)
        self._folder.path.chmod(0o700)  # the control socket and the environment are in it

    def _run(self, release: str) -> ReleaseFolder:
        return self._folder.run(release)

    def _sweep(self, keep: str = "") -> None:
        """Removes what commands that were killed left of releases that were never recorded."""
        history = self._records.read()
        view = self._view()
        wanted = {keep, *(release.id for release in history.releases)} if history else {keep}
        wanted |= {copy.release for copy in view.servers} if view else set()
        for folder in self._folder.kept_runs():
            if folder.release not in wanted:
                self._forget(folder)
        self._collect()

    def _forget(self, folder: ReleaseFolder, *, keep_log: bool = False) -> None:
        if not keep_log:
            shutil.rmtree(folder.path, ignore_errors=True)
            return
        for path in (folder.content, folder.launch):
            path.unlink(missing_ok=True)
        shutil.rmtree(folder.secrets, ignore_errors=True)
        self._collect()

    def _collect(self) -> None:
        self._rootfs.collect(self._used)

    def _used(self) -> frozenset[str]:
        """Contents that any service on this machine claims."""
        claimed = {folder.content_id() for service in place.folders(self._home) for folder in service.kept_runs()}
        return frozenset(claimed - {""})

    def _view(self) -> HolderView | None:
        return self._control.status() or self._left_behind()

    def _left_behind(self) -> HolderView | None:
        """What a holder that is gone wrote last, with only those servers that still run."""
        last = self._control.last_state()
        if last is None:
            return None
        running = tuple(copy for copy in last.servers if copy.pid and start_ticks(copy.pid) == copy.ticks)
        return replace(last, servers=running)

    def _is_restorable(self, release: Release) -> bool:
        content = release.served.content
        has_files = self._rootfs.has(content) or self._rootfs.find(content) is not None
        return has_files and secrets.are_whole(self._run(release.id), release)

    def _log_folder(self, release: str) -> ReleaseFolder | None:
        if release:
            history = self._records.read()
            found = history.find(release).id if history and not release.count("-") else release
            return self._run(found)
        view = self._view()
        if view and view.live:
            return self._run(view.live)
        kept = self._folder.kept_runs()
        return kept[-1] if kept else None

    def _has_ended(self, release: str) -> bool:
        view = self._control.status()
        return view is None or not view.copies(release)


def _remove(folder: Path, attempts: int = 3) -> None:
    """The folder with all that is in it; the lease may be renewed in it meanwhile, hence more than one attempt."""
    for attempt in range(1, attempts + 1):
        try:
            if folder.is_dir():
                shutil.rmtree(folder)
        except OSError as error:
            if attempt == attempts or error.errno not in (errno.ENOTEMPTY, errno.ENOENT):
                raise


def _log_lines(folder: ReleaseFolder, lines: int, following: bool, is_over: Callable[[], bool]) -> Iterator[str]:
    if following:
        yield from follow(folder.log, lines, is_over)
    else:
        yield from tail(folder.log, lines)


def _replica(project: str, number: int, copy: ServerView) -> Replica:
    ready = bool(copy.pid) and is_ready(copy.probe).status == 200
    return Replica(f"{project}-{number}", copy.release, ready, copy.since, copy.state in ("staged", "ended"), _detail(copy))


def _detail(copy: ServerView) -> str:
    parts = []
    if copy.restarts:
        parts.append(f"started again {copy.restarts} time{'s' if copy.restarts > 1 else ''}")
    if not copy.pid:
        parts.append(end_in_words(copy))
    if copy.state == "draining":
        parts.append("finishes what it accepted")
    return "; ".join(parts)


def _endpoint(server: ServerView) -> str:
    host = f"[{server.host}]" if ":" in server.host else server.host
    return f"http://{host}:{server.port}"


def _notes(recorded: str, running: HolderView | None, view: HolderView | None, serving: str) -> tuple[str, ...]:
    notes = []
    if view and view.trouble:
        notes.append(view.trouble)
    if running is None and serving:
        notes.append(f"the supervisor is gone; {serving} still answers, and mlship deploy brings the supervisor back")
    elif running is None and recorded:
        notes.append(f"{recorded} is not running; mlship deploy brings it back")
    return tuple(notes)


def _cause(error: MlshipError) -> str:
    place = f" ({error.where})" if error.where else ""
    remedy = f"; {error.fix}" if error.fix else ""
    return f"{error.what}{place}{remedy}"
