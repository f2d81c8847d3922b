"""What the autoscaler does at the engine: replicas made, started, asked, stopped, removed."""

from __future__ import annotations

import io
import ipaddress
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from mlship.keeper import wire
from mlship.keeper.engine_api import Container, Engine, Failure
from mlship.keeper.scale_document import Scale
from mlship.keeper.scale_plan import RUNNING, Bring, Clear

READY_WAIT_S = 1.0  # how long the replicas that are coming are asked in each round, all together
PROBE_S = 10.0  # for a program to start in the front's container on a busy machine

Said = TypeVar("Said")


class Problem(Exception):
    """This round cannot go on; says why. The next one looks anew. is_silence: the engine did not answer."""

    def __init__(self, why: str, is_silence: bool = False) -> None:
        super().__init__(why)
        self.is_silence = is_silence


class NotBrought(Problem):
    """A replica could not be made or started."""


class Hands:
    """goes_on: asked before each change; False when somebody wants the end, and it raises when the lease is lost."""

    def __init__(self, engine: Engine, goes_on: Callable[[], bool]) -> None:
        self._engine = engine
        self._goes_on = goes_on

    def replicas(self, scale: Scale) -> tuple[Container, ...]:
        """Of the release, stopped ones too. Raises Problem."""
        return answered(self._engine.containers(scale.labels))

    def readiness(self, scale: Scale, running: Mapping[str, Container]) -> dict[str, str]:
        """What each says to /readyz: `200` or why not. Asked from the front, over the network, as callers' requests will go."""
        return {name: self._asked(scale, found, READY_WAIT_S / len(running)) for name, found in running.items()}

    def bring(self, scale: Scale, step: Bring) -> Iterator[str]:
        """Servers that are coming from now on, one after the other. Raises NotBrought."""
        yield from step.keep
        for container in step.start:
            if not self._goes_on():
                return
            server = container.name.removeprefix(scale.prefix)
            self._start(container.id, server)
            yield server
        for number in step.numbers:
            if not self._goes_on():
                return
            server = scale.server(number)
            self._start(self._create(scale, server), server)
            yield server

    def clear(self, scale: Scale, step: Clear) -> Iterator[str]:
        """Servers whose replicas are gone, one after the other. Raises Problem."""
        for container in step.containers:
            if not self._goes_on():
                return
            server = container.name.removeprefix(scale.prefix)
            stopped = self._engine.stop(container.id, scale.stop_timeout_s) if container.state in RUNNING else None
            gone = stopped if stopped is not None and not stopped.is_absence else self._engine.remove(container.id)
            if gone is not None:
                raise Problem(f"{server} cannot be removed: {gone}")
            yield server

    def _create(self, scale: Scale, server: str) -> str:
        made = self._engine.create(f"{scale.prefix}{server}", self._body(scale))
        if isinstance(made, Failure):
            raise NotBrought(f"{server} cannot be made: {made}")
        return made

    def _start(self, container: str, server: str) -> None:
        started = self._engine.start(container)
        if started is not None:
            self._engine.remove(container)
            raise NotBrought(f"{server} cannot be started: {started}")

    def _body(self, scale: Scale) -> dict[str, Any]:
        """The recorded body with an address of its own."""
        network = answered(self._engine.network(scale.network))
        everyone = answered(self._engine.containers())
        address = lowest_free(network, {container.addresses.get(scale.network, "") for container in everyone})
        if address is None:
            raise NotBrought(f"the network {scale.network} has no free address")
        return {
            **scale.body,
            "NetworkingConfig": {"EndpointsConfig": {scale.network: {"IPAMConfig": {"IPv4Address": address}}}},
        }

    def _asked(self, scale: Scale, container: Container, wait_s: float) -> str:
        request = {
            "address": container.addresses.get(scale.network, ""), "port": scale.port, "method": "GET", "path": "/readyz",
            "timeout_s": 2.0, "wait_s": wait_s,
        }  # fmt: skip
        front = answered(self._engine.inspect(scale.front))
        argv = [*((front.get("Config") or {}).get("Entrypoint") or []), "probe", json.dumps(request)]
        printed = self._engine.execute(scale.front, argv, wait_s + PROBE_S)
        if isinstance(printed, Failure):
            return str(printed)
        try:
            answer = wire.read(io.BytesIO(printed))
        except wire.WireError as error:
            return f"the probe failed: {error}"
        if not isinstance(answer, dict):
            return "the probe said nothing"
        return str(answer.get("error") or answer.get("status"))


def answered(said: Said | Failure) -> Said:
    """What the engine said. Raises Problem."""
    if isinstance(said, Failure):
        raise Problem(str(said), is_silence=said.status == 0)
    return said


def lowest_free(network: Mapping[str, Any], taken: set[str]) -> str | None:
    """An address that no container has; the first of the subnet is the engine's, the last usable one the front's."""
    ranges = (network.get("IPAM") or {}).get("Config") or [{}]
    subnet = ipaddress.IPv4Network(ranges[0]["Subnet"])
    addresses = (str(subnet[number]) for number in range(2, subnet.num_addresses - 2))
    return next((address for address in addresses if address not in taken), None)
