"""The project's own network at the engine, and who has which address on it.

Addresses are fixed and remembered by the containers themselves, stopped ones too: they survive restarts and reboots
without names that somebody would have to resolve.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection

from mlship.errors import Exit, MlshipError
from mlship.targets.docker.bodies import network_body
from mlship.targets.docker.engine import Engine, EngineRefused, Network
from mlship.targets.docker.spec import PROJECT, SUBNET, Scope

TRIES = 8


def front_address(subnet: str) -> str:
    """The last usable one, far from those of the replicas."""
    return str(ipaddress.IPv4Network(subnet)[-2])


def free_addresses(subnet: str, taken: Collection[str], count: int) -> list[str]:
    """The lowest ones that nobody has. The first one of the subnet is the engine's own, the last usable one the front's.

    Raises MlshipError where the subnet is full.
    """
    network = ipaddress.IPv4Network(subnet)
    found: list[str] = []
    for number in range(2, network.num_addresses - 2):
        if len(found) == count:
            break
        address = str(network[number])
        if address not in taken:
            found.append(address)
    if len(found) < count:
        raise MlshipError(
            f"the network {subnet} has no {count} free addresses",
            fix="keep fewer releases (rollout.keep), then run the same command again",
            exit=Exit.DENIED,
            code="no-address",
        )
    return found


def ensure_network(engine: Engine, scope: Scope, egress: bool) -> Network:
    """Made unless it is there; one that is there is taken as it is.

    The engine chooses the subnet, so that it meets no other network of that machine; then the network is made again with
    that subnet by name, because an engine gives fixed addresses on no other. Raises MlshipError for somebody else's network.
    """
    for attempt in range(TRIES):
        present = engine.network(scope.network)
        if present is None:
            engine.create_network(network_body(scope, egress))
            continue
        _refuse_foreign(engine, scope, present)
        if SUBNET in present.labels:
            return present
        engine.remove_network(scope.network)
        try:
            engine.create_network(network_body(scope, not present.internal, present.subnet))
        except EngineRefused:  # another network took the subnet in between: the engine chooses again
            if attempt >= TRIES - 2:
                raise
    raise MlshipError(
        f"somebody else changes the network {scope.network} at the same time",
        where=engine.address,
        fix="run the same command again",
        exit=Exit.DENIED,
        code="network-changed",
    )


def _refuse_foreign(engine: Engine, scope: Scope, present: Network) -> None:
    if scope.owns_object(present.labels):
        return
    owner = present.labels.get(PROJECT)
    raise MlshipError(
        f"the network {scope.network} is " + (f"of the project {owner}" if owner else "not mlship's"),
        where=engine.address,
        fix="rename the project, or remove the network if nothing needs it: docker network rm " + scope.network,
        code="foreign-network",
    )
