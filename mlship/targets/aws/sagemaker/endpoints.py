"""Changes of an endpoint: each waits until SageMaker is done, and compares what serves then with what was wanted.

SageMaker may set an update back and say InService all the same, with the configuration of before: only its name tells.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Literal

from mlship.errors import Exit, MlshipError
from mlship.targets.aws.documents import Body
from mlship.targets.aws.door import Door, Refused
from mlship.targets.aws.sagemaker import scaling, seen
from mlship.targets.aws.sagemaker.names import Names
from mlship.targets.aws.sagemaker.releasing import Alone, alarms, weighed
from mlship.targets.aws.sagemaker.seen import Endpoint
from mlship.targets.aws.stack import Waiting
from mlship.targets.base import Outcome

SHIFTING = ("ActivatingTraffic", "Baking")  # of a variant that callers reach
SETTLE_S = 3600.0
NEAR = 1e-4  # weights are floats of 32 bits


class Endpoints:
    """Of one project. last_lines: what a release's machines said last, empty where they never came up."""

    def __init__(self, door: Door, names: Names, waiting: Waiting, last_lines: Callable[[str], tuple[str, ...]]) -> None:
        self._door = door
        self._names = names
        self._waiting = waiting
        self._last_lines = last_lines

    def look(self, name: str) -> Endpoint | None:
        return seen.endpoint(self._door, self._names, name)

    def settled(self, name: str, seconds: float = SETTLE_S) -> Endpoint | None:
        """The endpoint when nothing moves there any more. Raises MlshipError with exit 10 when it still does."""
        found: tuple[Endpoint | None] | None = self._waiting.until(lambda: self._still(name), seconds)
        if found is None:
            raise MlshipError(
                f"the endpoint {name} still moves after {seconds:.0f} s",
                fix="the same command goes on with it",
                exit=Exit.TIMED_OUT,
                code="timed-out",
            )
        return found[0]

    def configure(self, wanted: Alone) -> None:
        """Configurations are immutable, and their names tell what they say: one that is there is the wanted one."""
        if not seen.describe_config(self._door, wanted.name):
            self._door.call("sagemaker", "create_endpoint_config", **wanted.config)

    def create(self, body: Body, release: str) -> Outcome:
        self._door.call("sagemaker", "create_endpoint", **body)
        return self.became(body["EndpointName"], body["EndpointConfigName"], release)

    def update(self, body: Body, release: str, seconds: float = SETTLE_S) -> Outcome:
        """Nothing where the endpoint has that configuration already."""
        name, config = body["EndpointName"], body["EndpointConfigName"]
        self.begin(body)
        return self.became(name, config, release, seconds)

    def begin(self, body: Body) -> None:
        name, config = body["EndpointName"], body["EndpointConfigName"]
        present = self.look(name)
        if present is not None and config == (present.pending or present.config) and present.status not in seen.FAILED:
            return
        self.settled(name)
        self._door.call("sagemaker", "update_endpoint", **body)

    def shifting(self, config: str, release: str, seconds: float) -> Outcome:
        """Callers reach the configuration, or some of them do: SageMaker moves the others."""

        def look() -> tuple[bool] | None:
            if self._still(self._names.endpoint) is not None:
                return (False,)
            present = self.look(self._names.endpoint)
            if present is None or not present.is_moving:
                return (False,)
            is_on = present.pending == config and set(present.pending_states) & set(SHIFTING)
            return (True,) if is_on else None

        found = self._waiting.until(look, seconds)
        return Outcome() if found == (True,) else self.became(self._names.endpoint, config, release)

    def became(self, name: str, config: str, release: str, seconds: float = SETTLE_S) -> Outcome:
        """Whether the endpoint has the configuration in the end, whatever its status says."""
        present = self.settled(name, seconds)
        if present is not None and present.is_well and present.config == config:
            return Outcome()
        lines = self._last_lines(release)
        # machines that never said a word did not come up: that is not the release's fault
        fault: Literal["release", "target"] = "release" if lines else "target"
        if present is None:
            return Outcome(False, f"the endpoint {name} is gone", fault="target")
        cause = f"SageMaker has {name} {present.status}" if not present.is_well else f"SageMaker set {name} back"
        why = present.reason or f"it serves {present.config}, and not {config}"
        return Outcome(False, f"{cause}: {why}", lines, fault=fault)

    def weigh(self, weights: Mapping[str, float]) -> Outcome:
        """slot -> share of the callers."""
        name = self._names.endpoint
        present = self.settled(name)
        if present is not None and _near(present.weights(), weights):
            return Outcome()
        self._door.call("sagemaker", "update_endpoint_weights_and_capacities", **weighed(self._names, weights))
        now = self.settled(name)
        told = now.weights() if now else {}
        if now is None or not now.is_well or not _near(told, weights):
            return Outcome(False, f"the endpoint has other weights than it was given: {told}", fault="target")
        return Outcome()

    def resize(self, slot: str, count: int) -> Outcome:
        name = self._names.endpoint
        said = [{"VariantName": slot, "DesiredInstanceCount": count}]
        self._door.call(
            "sagemaker", "update_endpoint_weights_and_capacities", EndpointName=name, DesiredWeightsAndCapacities=said
        )
        now = self.settled(name)
        found = next((variant.count for variant in now.variants if variant.slot == slot), 0) if now else 0
        if found != count:
            return Outcome(False, f"{name} has {found} machines, and not {count}: {now.reason if now else ''}", fault="target")
        return Outcome()

    def stop(self, slot: str) -> None:
        """Has SageMaker take its own update back: the alarms that it watches go off, until it has. What they measure counts again then."""
        self._alarm(slot, "ALARM", "mlship takes the release back")
        self.settled(self._names.endpoint)
        self._alarm(slot, "OK", "the release was taken back")

    def delete(self, name: str) -> None:
        """Nothing is there in the end."""
        present = self.look(name)
        if present is None:
            return
        if present.status != "Deleting":
            self.settled(name)
            try:
                self._door.call("sagemaker", "delete_endpoint", EndpointName=name)
            except Refused as no:
                if no.said != seen.MISSING:  # another command did it meanwhile
                    raise
        self.settled(name)

    def leave(self, slots: tuple[str, ...]) -> None:
        for slot in slots:
            scaling.leave(self._door, self._names, slot)

    def _alarm(self, slot: str, state: str, reason: str) -> None:
        for name in alarms(self._names, slot):
            self._door.call("cloudwatch", "set_alarm_state", AlarmName=name, StateValue=state, StateReason=reason)

    def _still(self, name: str) -> tuple[Endpoint | None] | None:
        """None while it moves. In minutes of waiting AWS may be busy or away for a moment: that ends nothing."""
        try:
            present = self.look(name)
        except MlshipError as error:
            if error.exit is not Exit.UNREACHABLE:
                raise
            return None
        return None if present is not None and present.is_moving else (present,)


def _near(told: Mapping[str, float], wanted: Mapping[str, float]) -> bool:
    return all(math.isclose(told.get(slot, 0.0), share, abs_tol=NEAR) for slot, share in wanted.items())
