"""What there is of a project at SageMaker, read anew each time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mlship.targets.aws import stack
from mlship.targets.aws.door import Door, Refused
from mlship.targets.aws.sagemaker.names import SLOTS, Names
from mlship.targets.base import Replica

MISSING = "ValidationException"  # the only answer to a well-formed name of nothing
FAILED = ("Failed", "UpdateRollbackFailed", "OutOfService")
MOVING = ("Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting")


@dataclass(frozen=True)
class Variant:
    """One release at an endpoint. told: the variant in its configuration. states: `Baking` and the like, while it is updated."""

    slot: str
    release: str
    count: int
    desired: int
    weight: float
    told: Mapping[str, Any] = field(default_factory=dict)
    states: tuple[str, ...] = ()


@dataclass(frozen=True)
class Endpoint:
    """config: name of the configuration that serves. pending: of the one that it is being updated to, and its variants' states.

    since: when the configuration that serves was made, seconds since the epoch. reason: why it failed, as SageMaker says it.
    """

    name: str
    arn: str
    status: str
    config: str
    variants: tuple[Variant, ...] = ()
    pending: str = ""
    pending_states: tuple[str, ...] = ()
    since: float = 0.0
    reason: str = ""

    @property
    def is_moving(self) -> bool:
        return self.status in MOVING

    @property
    def is_well(self) -> bool:
        return self.status == "InService"

    def of(self, release: str) -> Variant | None:
        return next((variant for variant in self.variants if variant.release == release), None)

    @property
    def serving(self) -> Variant | None:
        """The variant that most callers reach."""
        most = max(self.variants, key=lambda variant: variant.weight, default=None)
        return most if most is not None and most.weight else None

    @property
    def is_pair(self) -> bool:
        return len(self.variants) > 1

    def weights(self) -> dict[str, float]:
        """slot -> share of the callers."""
        whole = sum(variant.weight for variant in self.variants)
        return {variant.slot: variant.weight / whole for variant in self.variants} if whole else {}


@dataclass(frozen=True)
class Seen:
    """main: what callers invoke; check: where a release is asked before any of them reaches it."""

    outputs: Mapping[str, str]
    main: Endpoint | None = None
    check: Endpoint | None = None

    @property
    def shares(self) -> dict[str, float]:
        """release -> share of the callers; nothing while SageMaker moves them itself, and tells nobody how many."""
        if self.main is None or self.main.pending:
            return {}
        by_slot = self.main.weights()
        return {variant.release: by_slot[variant.slot] for variant in self.main.variants if by_slot.get(variant.slot)}

    def slot_of(self, release: str) -> str:
        """Where the release is, or the slot that it would take by itself: the live one, which SageMaker's shifting needs."""
        known = self.main.of(release) if self.main else None
        live = known or (self.main.serving if self.main else None)
        return live.slot if live else SLOTS[0]


def look(door: Door, names: Names) -> Seen | None:
    """None where there is no foundation."""
    found = stack.read(door, names.scope.stem)
    if found is None or not found.outputs:
        return None
    return Seen(found.outputs, endpoint(door, names, names.endpoint), endpoint(door, names, names.check))


def endpoint(door: Door, names: Names, name: str) -> Endpoint | None:
    """None where there is none of that name."""
    try:
        told = door.call("sagemaker", "describe_endpoint", EndpointName=name)
    except Refused as no:
        if no.said == MISSING:
            return None
        raise
    pending: Mapping[str, Any] = told.get("PendingDeploymentSummary") or {}
    config = str(told.get("EndpointConfigName") or pending.get("EndpointConfigName") or "")
    said = describe_config(door, config)
    by_slot = {one["VariantName"]: one for one in said.get("ProductionVariants") or ()}
    made = said.get("CreationTime")
    return Endpoint(
        name=name,
        arn=str(told["EndpointArn"]),
        status=str(told["EndpointStatus"]),
        config=config,
        # what is not up yet, or never came up, tells no variants
        variants=tuple(
            _variant(names, one, by_slot.get(one["VariantName"], {}))
            for one in told.get("ProductionVariants") or said.get("ProductionVariants") or ()
        ),
        pending=str(pending.get("EndpointConfigName") or ""),
        pending_states=tuple(state for one in pending.get("ProductionVariants") or () for state in _states(one)),
        since=made.timestamp() if made else 0.0,
        reason=str(told.get("FailureReason") or ""),
    )


def describe_config(door: Door, name: str) -> Mapping[str, Any]:
    """Empty where somebody took it away: SageMaker lets an endpoint run on without it."""
    try:
        return door.call("sagemaker", "describe_endpoint_config", EndpointConfigName=name) if name else {}
    except Refused as no:
        if no.said == MISSING:
            return {}
        raise


def configs(door: Door, names: Names) -> dict[str, str]:
    """Name -> release, of every configuration of the project, the newest first."""
    told = door.all("sagemaker", "list_endpoint_configs", "EndpointConfigs", NameContains=names.prefix)
    newest = sorted(told, key=lambda one: one["CreationTime"], reverse=True)
    every = {str(one["EndpointConfigName"]): names.release_of(one["EndpointConfigName"]) for one in newest}
    return {name: release for name, release in every.items() if release}


def models(door: Door, names: Names) -> dict[str, tuple[str, str]]:
    """Name -> release and ARN, of every model of the project."""
    told = door.all("sagemaker", "list_models", "Models", NameContains=names.prefix)
    every = {str(one["ModelName"]): (names.release_of(one["ModelName"]), str(one["ModelArn"])) for one in told}
    return {name: of for name, of in every.items() if of[0]}


def replicas(seen: Seen) -> tuple[Replica, ...]:
    """One a variant: SageMaker tells how many machines it has, and nothing of each."""
    found = []
    for one, is_check in ((seen.main, False), (seen.check, True)):
        if one is None or one.status == "Deleting":
            continue
        for variant in one.variants:
            ready = one.status in ("InService", "Updating", "SystemUpdating", "RollingBack") and variant.count > 0
            staged = is_check or not variant.weight or one.status in FAILED
            name = "check" if is_check else variant.slot
            found.append(Replica(name, variant.release, ready, one.since, staged, _detail(one, variant)))
    return tuple(found)


def _detail(one: Endpoint, variant: Variant) -> str:
    machines = f"{variant.count} of {variant.desired} machines" if variant.desired != 1 else ""
    return ", ".join(filter(None, ("" if one.is_well else one.status.lower(), machines)))


def _variant(names: Names, told: Mapping[str, Any], configured: Mapping[str, Any]) -> Variant:
    return Variant(
        slot=str(told["VariantName"]),
        release=names.release_of(str(configured.get("ModelName") or "")),
        count=int(told.get("CurrentInstanceCount") or 0),
        desired=int(told.get("DesiredInstanceCount") or 0),
        weight=float(told.get("CurrentWeight") or 0.0),
        told=configured,
        states=_states(told),
    )


def _states(told: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(str(one["Status"]) for one in told.get("VariantStatus") or ())
