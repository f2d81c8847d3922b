"""/state/scale.json: what the autoscaler may do, written by the command that deployed. Checked before it is believed."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from mlship.keeper import state
from mlship.keeper.records import Records, Refused
from mlship.keeper.scaling import METRICS, PER_REPLICA, Metric, Policy
from mlship.keeper.state import Damaged

NAME = "scale.json"
PROJECT, ENVIRONMENT, ROLE, RELEASE = "mlship.project", "mlship.env", "mlship.role", "mlship.release"
MOST = 1000

_RELEASE = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)
_ENGINE_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,200}", re.ASCII)


@dataclass(frozen=True)
class Scale:
    """One release and its range.

    network: that its replicas are on; front: the container of the front; prefix: before a server's name in a container's.
    port: of a replica on the network. body: of POST /containers/create, without a name and an address.
    """

    release: str
    policy: Policy
    startup_timeout_s: float
    network: str
    front: str
    prefix: str
    port: int
    body: Mapping[str, Any]

    @property
    def memory(self) -> int:
        """Bytes that one replica may take."""
        return int(self.body["HostConfig"]["Memory"])

    @property
    def stop_timeout_s(self) -> int:
        return int(self.body.get("StopTimeout", 10))

    @property
    def labels(self) -> tuple[str, ...]:
        """What tells the replicas of this release at the engine, as filters."""
        return tuple(f"{name}={self.body['Labels'][name]}" for name in (PROJECT, ENVIRONMENT, ROLE, RELEASE))

    def server(self, number: int) -> str:
        return f"{self.release}-{number}"

    def number(self, server: str) -> int:
        """0 for a name that is no server of this release."""
        number = server.removeprefix(f"{self.release}-")
        return int(number) if number.isdecimal() and number != server else 0


class ScaleDocument:
    """The document in the folder of the records."""

    def __init__(self, folder: Path, records: Records) -> None:
        self._path = folder / NAME
        self._records = records

    def set(self, scale: Mapping[str, Any] | None, token: str = "") -> dict[str, Any]:
        """Replaces the document; None removes it. Raises Refused for one that cannot be right, or without the lease."""
        text = None if scale is None else json.dumps(scale, sort_keys=True) + "\n"
        if text is not None:
            try:
                scale_from(text)
            except Damaged as damaged:
                raise Refused("invalid", str(damaged)) from None
        with self._records.alone(token):
            if text is None:
                state.remove(self._path)
            elif state.read_text(self._path) != text:
                state.write_text(self._path, text)
        return {}

    def read(self) -> Scale | None:
        """None where there is none. Raises Damaged, Newer."""
        text = state.read_text(self._path)
        return None if text is None else scale_from(text)


def scale_from(text: str) -> Scale:
    """Raises Damaged, Newer."""
    document = state.parse(NAME, text)
    state.refuse_newer(NAME, document)
    try:
        return _scale(document)
    except (KeyError, TypeError, AttributeError) as error:
        raise Damaged(f"{NAME}: {error} is missing or of another kind") from None


def _scale(document: Mapping[str, Any]) -> Scale:
    body, release = document["body"], _name("release", document["release"], _RELEASE)
    low, high = document["replicas"]["min"], document["replicas"]["max"]
    if not (type(low) is type(high) is int and 1 <= low <= high <= MOST):
        raise Damaged(f"{NAME}: replicas {low}..{high} is no range from 1 to {MOST}")
    if document["metric"] not in METRICS:
        raise Damaged(f"{NAME}: metric {document['metric']!r} is none of {', '.join(METRICS)}")
    if body["Labels"][ROLE] != "replica" or body["Labels"][RELEASE] != release or not body["Labels"][PROJECT]:
        raise Damaged(f"{NAME}: the labels of body are not those of a replica of {release}")
    host = body["HostConfig"]
    policy = Policy(
        low=low,
        high=high,
        metric=cast(Metric, document["metric"]),
        per_replica=_number("per_replica", _or_usual(document["per_replica"], document["metric"]), above=0.0),
        down_after_s=_number("down_after_s", document["down_after_s"], above=-1.0),
        cores=_number("body.HostConfig.NanoCpus", host["NanoCpus"], above=0.0) / 1e9,
    )
    _number("body.HostConfig.Memory", host["Memory"], above=0.0)
    return Scale(
        release=release,
        policy=policy,
        startup_timeout_s=_number("startup_timeout_s", document["startup_timeout_s"], above=0.0),
        network=_name("network", document["network"], _ENGINE_NAME),
        front=_name("front", document["front"], _ENGINE_NAME),
        prefix=_name("prefix", document["prefix"], _ENGINE_NAME),
        port=int(_number("port", document["port"], above=0.0)),
        body={**body, "Labels": {ENVIRONMENT: "", **body["Labels"]}},
    )


def _or_usual(per_replica: Any, metric: Metric) -> Any:
    return PER_REPLICA[metric] if per_replica is None else per_replica


def _number(name: str, value: Any, above: float) -> float:
    if type(value) not in (int, float) or not math.isfinite(value) or not value > above:
        raise Damaged(f"{NAME}: {name} is {value!r}")
    return float(value)


def _name(name: str, value: Any, pattern: re.Pattern[str]) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise Damaged(f"{NAME}: {name} is {value!r}")
    return value
