"""`targets.docker.hosts`: several engines that are served one after the other, each with records of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar
from urllib.parse import urlsplit, urlunsplit

from mlship.errors import Exit, MlshipError
from mlship.flows.command_line import command_for
from mlship.flows.context import Context, Where
from mlship.flows.opening import Opened, opened, project_if_any
from mlship.flows.results import PlanView
from mlship.progress import Progress
from mlship.targets.base import Observed

Result = TypeVar("Result")

ON_THE_ENGINES_MACHINE = ("127.0.0.1", "::1", "localhost")
ON_ALL_ADDRESSES = ("0.0.0.0", "::")  # noqa: S104 -- compared


class AtHost:
    """Progress that names the host in every step."""

    def __init__(self, progress: Progress, host: str) -> None:
        self._progress = progress
        self._host = host

    def step(self, name: str, detail: str = "") -> None:
        self._progress.step(name, f"{self._host}  {detail}".rstrip())

    def amount(self, name: str, done: int, total: int | None = None, unit: str = "B") -> None:
        self._progress.amount(name, done, total, unit)


def places(context: Context, where: Where) -> tuple[Where, ...]:
    """`where`, once for each engine that mlship.yaml names; itself alone where it names none, or where there is no YAML."""
    project = project_if_any(context, where)
    hosts = project.targets.docker.hosts if project is not None and project.target == "docker" else ()
    return tuple(replace(where, host=host) for host in hosts) or (where,)


def hosts_of(found: Sequence[Where]) -> tuple[str, ...]:
    return tuple(place.host for place in found)


def under_way(context: Context, where: Where) -> tuple[Where, ...]:
    """The places where a rollout waits; the first one of all where none does, which then says so."""
    found = places(context, where)
    if len(found) == 1:
        return found
    waits = looked_at(hosts_of(found), lambda position: _is_under_way(opened(context, found[position])))
    return tuple(place for place, is_waiting in zip(found, waits, strict=True) if is_waiting) or found[:1]


def _is_under_way(place: Opened) -> bool:
    history = place.target.records.read()
    return history is not None and history.underway is not None


def looked_at(hosts: tuple[str, ...], look: Callable[[int], Result]) -> tuple[Result, ...]:
    """look: gets a host's position and changes nothing. The first failure ends it, before anything is changed anywhere."""
    seen: list[Result] = []
    for position, host in enumerate(hosts):
        try:
            seen.append(look(position))
        except MlshipError as error:
            if len(hosts) == 1:
                raise
            raise _blocked(error, host) from error
    return tuple(seen)


def in_turn(hosts: tuple[str, ...], act: Callable[[int], Result], views: Sequence[PlanView] = ()) -> tuple[Result, ...]:
    """act: gets a host's position. The first failure ends it, with its own exit code; the hosts after it are untouched.

    views: what was planned for each, where that is another release: then the failure says which host serves what.
    """
    done: list[Result] = []
    for position, host in enumerate(hosts):
        try:
            done.append(act(position))
        except MlshipError as error:
            if len(hosts) == 1:
                raise
            raise _of_host(error, host, _states(hosts, position, views), _way_back(views[:position])) from error
    return tuple(done)


def _blocked(error: MlshipError, host: str) -> MlshipError:
    gone = error.exit is Exit.UNREACHABLE
    without = "to go on without this host, take it out of targets.docker.hosts" if gone else ""
    return _of_host(error, host, ("nothing was changed on any host",), without)


def _of_host(error: MlshipError, host: str, more: tuple[str, ...], fix: str) -> MlshipError:
    return MlshipError(
        f"{host}: {error.what}",
        error.where,
        "; ".join(part for part in (error.fix, fix) if part),
        exit=error.exit,
        code=error.code,
        details=(*error.details, *more),
        findings=error.findings,
    )


def _states(hosts: tuple[str, ...], failed: int, views: Sequence[PlanView]) -> tuple[str, ...]:
    """A line for each host but the one that failed, of which the error itself tells."""
    return tuple(
        f"{host}: {'done' if position < failed else 'untouched'}{_serving(views, position, position < failed)}"
        for position, host in enumerate(hosts)
        if position != failed
    )


def _serving(views: Sequence[PlanView], position: int, is_done: bool) -> str:
    if not views:
        return ""
    view = views[position]
    serves = view.release if is_done or view.takes_back else view.previous
    return f", {serves.id if serves else 'nothing'} serves"


def _way_back(done: Sequence[PlanView]) -> str:
    """Of the hosts that are done, to what they served before."""
    onward = [view for view in done if not view.takes_back]
    moved = [view for view in onward if view.previous and view.release and view.previous.id != view.release.id]
    if not moved or moved[0].previous is None:
        return ""
    back = command_for("rollback", moved[0].project, moved[0].target, moved[0].environment)
    return f"{back} --to {moved[0].previous.id} takes back what is done"


def endpoint_of(opened: Opened, observed: Observed) -> str:
    """Where callers reach the service: for an engine on another machine its name, unless it publishes on loopback there."""
    recorded = observed.history.operating.get("settings", {}) if observed.history else {}
    return endpoint_at(observed.endpoint, opened.engine, recorded.get("host", ""))


def endpoint_at(endpoint: str, engine: str, published: str) -> str:
    """endpoint: as seen on the engine's machine. engine: its address. published: the address that the port is published on.

    Pure.
    """
    machine = urlsplit(engine)
    said = urlsplit(endpoint)
    is_remote = machine.scheme in ("ssh", "tcp", "http", "https") and machine.hostname not in (None, *ON_THE_ENGINES_MACHINE)
    if not (is_remote and machine.hostname and published in ON_ALL_ADDRESSES and said.hostname in ON_THE_ENGINES_MACHINE):
        return endpoint
    name = f"[{machine.hostname}]" if ":" in machine.hostname else machine.hostname
    return urlunsplit(said._replace(netloc=f"{name}:{said.port}" if said.port else name))
