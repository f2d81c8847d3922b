"""What the world should look like: a release, how it is operated, and what of that is billed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from mlship.releases.release import Release
from mlship.units import Secret

Support = Literal["native", "emulated", "absent"]


@dataclass(frozen=True)
class Feature:
    """How a service honours a key. reason and instead are said to the user when support is not native."""

    support: Support
    reason: str = ""
    instead: str = ""


Meter = Literal["always", "scaled", "spot", "request", "busy", "active", "idle", "egress", "logs", "free"]


@dataclass(frozen=True)
class PriceKey:
    """Where a price stands in the book: that of a machine (`instance`), or of an `item` of a managed `service`.

    times: the price is taken so many times, such as the premium that a managed endpoint adds to its machine. Both: the item's own
    price where the book has one, else the machine's so many times. shared: what the book calls the regions that cost the same as
    this one (`tier1`), where it has no price of this one alone; `` for none.
    """

    cloud: str
    region: str
    instance: str = ""
    service: str = ""
    item: str = ""
    times: float = 1.0
    shared: str = ""


@dataclass(frozen=True)
class Resource:
    """Something that is billed, or would be if this target billed. `quantity` of `unit` is what one tick of its meter costs.

    billed: how the meter runs. `always`: an hour of the month (a monthly unit, `GB-month`: the month). `scaled`: an hour of a
    replica, however that was bought; `spot`: the same of a replica that is spot. `request`: one request. `busy`: a second of a
    replica that has at least one request, rounded as settings `round_s` says (0.1: each request to 100 ms; 0.001 to 1 ms);
    `active` and `idle`: seconds of replicas with and without a request. `egress`, `logs`: a GB. `free`: it never runs.
    price: where its price stands; None where nobody bills it.
    """

    kind: str
    name: str
    quantity: float = 1.0
    unit: str = "piece"
    billed: Meter = "always"
    settings: Mapping[str, Any] = field(default_factory=dict)
    price: PriceKey | None = None


@dataclass(frozen=True)
class Strategy:
    """How a release takes over. name: empty for the target's own default.

    steps: shares of the callers in (0, 1], rising; used by canary only, the last one is 1. bake_s: how long each step is
    watched (blue-green: how long the old copies stay warm beside the new ones). gates: as in mlship.yaml, `p95_ms < 40`;
    below min_requests the measured ones are inconclusive, which pauses. approve: `manual` pauses before all callers move.
    mirror: share of the requests, up to 0.5, of which the release gets a copy for bake_s before its first callers; 0: of none.
    """

    name: Literal["", "recreate", "rolling", "blue-green", "canary"] = ""
    steps: tuple[float, ...] = ()
    bake_s: float = 0.0
    min_requests: int = 200
    gates: tuple[str, ...] = ()
    on_fail: Literal["rollback", "pause"] = "rollback"
    approve: Literal["auto", "manual"] = "auto"
    mirror: float = 0.0


@dataclass(frozen=True)
class Certificate:
    """What a service proves itself with. chain: PEM, its own certificate first; key: PEM of its private key."""

    chain: str
    key: Secret

    @property
    def pem(self) -> Secret:
        """Both, as a front reads them."""
        return Secret(self.chain + self.key.reveal())

    @property
    def name(self) -> str:
        """sha256 of both: tells certificates apart and gives nothing away."""
        return hashlib.sha256(self.pem.reveal().encode()).hexdigest()


@dataclass(frozen=True)
class Deployment:
    """What the world should look like: one release, and how it is operated.

    environment: empty when the project has none. settings: the target's own section of mlship.yaml, as plain data with its
    defaults ({"port": 8080}). operating: scale, cost, rollout, labels as plain data. replicas: at least and at most how many
    copies; a target with autoscaling moves between them. secrets: name -> value, where the command read them; certificate: as
    read, for a service that speaks TLS, `settings["tls"]["certificate"]` is its name; both never printed, never recorded.
    references: variable -> what mlship.yaml says of it for this target, whose platform reads the value itself
    (`secretsmanager:churn/keys`); the version that a release gets is in `release.served.secrets`. `operating["public"]`: whether
    callers may come from the internet, `operating["auth"]`: whether the server of a cloud judges them; absent means no.
    """

    project: str
    environment: str
    target: str
    service: str
    release: Release
    settings: Mapping[str, Any]
    operating: Mapping[str, Any]
    labels: Mapping[str, str] = field(default_factory=dict)
    startup_timeout_s: float = 60.0
    request_timeout_s: float = 2.0
    keep: int = 5
    replicas: tuple[int, int] = (1, 1)
    strategy: Strategy = Strategy()
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    certificate: Certificate | None = None
    references: Mapping[str, str] = field(default_factory=dict)
    places: Mapping[str, str] = field(default_factory=dict)
    """dotted key -> where it stands in mlship.yaml; findings point there. Empty when there is no file."""
