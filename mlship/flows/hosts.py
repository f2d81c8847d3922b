"""`targets.docker.hosts`: several engines that are served one after the other, each with records of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar
from urllib.parse import urlsplit, urlunsplit

from mlship.errors import MlshipError
from mlship.flows.context import Context, Where
from mlship.flows.opening import Opened, opened, project_if_any
from mlship.targets.base import Observed

Result = TypeVar("Result")

ON_THE_ENGINES_MACHINE = ("127.0.0.1", "::1", "localhost")
ON_ALL_ADDRESSES = ("0.0.0.0", "::")  # noqa: S104 -- compared


def places(context: Context, where: Where) -> tuple[Where, ...]:
    """`where`, once for each engine that mlship.yaml names; itself alone where it names none, or where there is no YAML."""
    project = project_if_any(context, where)
    hosts = project.targets.docker.hosts if project is not None and project.target == "docker" else ()
    return tuple(replace(where, host=host) for host in hosts) or (where,)


def under_way(context: Context, where: Where) -> tuple[Where, ...]:
    """The places where a rollout waits; the first one of all where none does, which then says so."""
    found = places(context, where)
    if len(found) == 1:
        return found
    waiting = tuple(place for place in found if _is_under_way(opened(context, place)))
    return waiting or found[:1]


def _is_under_way(place: Opened) -> bool:
    history = place.target.records.read()
    return history is not None and history.underway is not None


def in_turn(hosts: tuple[str, ...], act: Callable[[int], Result]) -> tuple[Result, ...]:
    """act: gets a host's position. The first failure ends it, with its own exit code; the hosts after it are untouched."""
    done: list[Result] = []
    for position, host in enumerate(hosts):
        try:
            done.append(act(position))
        except MlshipError as error:
            if len(hosts) == 1:
                raise
            raise _stopped(error, host, hosts[:position], hosts[position + 1 :]) from error
    return tuple(done)


def _stopped(error: MlshipError, host: str, done: tuple[str, ...], left: tuple[str, ...]) -> MlshipError:
    lines = [f"{name}: done" for name in done] + [f"{name}: untouched" for name in left]
    return MlshipError(
        f"{host}: {error.what}",
        error.where,
        error.fix,
        exit=error.exit,
        code=error.code,
        details=(*error.details, *lines),
        findings=error.findings,
    )


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
