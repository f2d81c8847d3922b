"""How many copies a function has: at most, and kept ready, so that a new version is warm before any caller reaches it.

Provisioned concurrency is of versions here and not of the alias, whose setting cannot be changed while weights lead to two versions
(developer guide, "Configuring provisioned concurrency for a function"; from memory, verify). All of a function's versions together have
no more than its reserved concurrency (PutProvisionedConcurrencyConfig refuses it), so that a narrow range warms less of the next one
until the last one has left.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from mlship.targets.aws.door import Door, Refused
from mlship.targets.aws.lambdas import releasing
from mlship.targets.aws.lambdas.foundation import kept_ready, reserved
from mlship.targets.aws.lambdas.naming import function_name
from mlship.targets.aws.scope import Scope
from mlship.targets.aws.stack import Waiting
from mlship.targets.base import Deployment, Outcome

READY_S = 900.0  # the longest INIT of such a copy (developer guide, "Lambda quotas")
REQUESTED = "RequestedProvisionedConcurrentExecutions"


class Copies:
    """Of one function."""

    def __init__(self, door: Door, scope: Scope, waiting: Waiting) -> None:
        self._door = door
        self._scope = scope
        self._name = function_name(scope)
        self._waiting = waiting

    def allow(self, deployment: Deployment) -> None:
        """A cap that is too low for the release is raised before it has callers; it is lowered after those of the last one have gone."""
        most, present = reserved(deployment), self._cap()
        if most is not None and present is not None and present < most:
            self._set_cap(most)

    def cap(self, deployment: Deployment) -> None:
        """Where nobody says it, and mlship.yaml is here to say so, the account's limit holds again."""
        most, present = reserved(deployment), self._cap()
        if most is not None and present != most:
            self._set_cap(most)
        elif most is None and present is not None and deployment.places:
            self._uncap()

    def beside(self, number: str, deployment: Deployment) -> Outcome:
        """The version gets as many copies as its callers' versions leave it, and they are up."""
        others = sum(count for version, count in self._counts().items() if version != number)
        wanted = min(kept_ready(deployment), deployment.replicas[1] - others)
        if wanted <= 0:
            return Outcome()
        self._put(number, wanted)
        return self._until(number)

    def alone(self, number: str, deployment: Deployment) -> None:
        """The version has all of its copies, if need be at once in the place of the others'."""
        wanted, most = kept_ready(deployment), reserved(deployment)
        others = {version: count for version, count in self._counts().items() if version != number}
        if most is not None and wanted > most - sum(others.values()):
            self.leave(others)
        if wanted:
            self._put(number, wanted)

    def back(self, number: str, deployment: Deployment, taken: Deployment) -> None:
        """The version is kept as it was before another release came with numbers of its own.

        deployment: as the records say, taken: as what is taken back said. A cap that only that one can have asked for goes: the records
        do not tell a maximum of 1 that was said from one that was not, and callers who are refused are worse.
        """
        self.allow(deployment)
        self.alone(number, deployment)
        most, present = reserved(deployment), self._cap()
        if most is not None and present != most:
            self._set_cap(most)
        elif most is None and present is not None and present == reserved(taken):
            self._uncap()

    def lower(self, deployment: Deployment) -> None:
        """No version keeps more than is asked for now."""
        most = kept_ready(deployment)
        for version, count in self._counts().items():
            if count > most:
                self._put(version, most) if most else self.leave([version])

    def leave_but(self, numbers: Collection[str]) -> None:
        """No other version has copies that wait for callers."""
        self.leave([version for version in self._counts() if version not in numbers])

    def leave(self, numbers: Collection[str]) -> None:
        for number in numbers:
            self._door.call("lambda", "delete_provisioned_concurrency_config", FunctionName=self._name, Qualifier=number)

    def count(self, number: str) -> int:
        """Of copies that were asked for and can be had."""
        told = self._told().get(number, {})
        return 0 if told.get("Status") == "FAILED" else int(told.get(REQUESTED, 0))

    def has(self, number: str) -> bool:
        return number in self._told()

    def _cap(self) -> int | None:
        told = self._door.call("lambda", "get_function_concurrency", FunctionName=self._name)
        found: int | None = told.get("ReservedConcurrentExecutions")
        return found

    def _set_cap(self, most: int) -> None:
        self._door.call("lambda", "put_function_concurrency", FunctionName=self._name, ReservedConcurrentExecutions=most)

    def _uncap(self) -> None:
        self._door.call("lambda", "delete_function_concurrency", FunctionName=self._name)

    def _put(self, number: str, count: int) -> None:
        told = self._told().get(number, {})
        if told.get(REQUESTED) != count or told.get("Status") == "FAILED":
            self._door.call("lambda", "put_provisioned_concurrency_config", **releasing.provisioned(self._scope, number, count))

    def _until(self, number: str) -> Outcome:
        def look() -> Outcome | None:
            told = self._listed().get(number, {})
            if told.get("Status") != "FAILED":
                return Outcome() if told.get("Status") == "READY" else None
            reason = str(told.get("StatusReason") or "")
            fault: Any = "release" if "FUNCTION_ERROR" in reason else "target"
            return Outcome(False, f"Lambda cannot keep copies of {self._name} ready: {reason}", fault=fault)

        late = f"{self._name} has no copies ready after {READY_S:.0f} s; the same command goes on with it"
        return self._waiting.until(look, READY_S) or Outcome(False, late, fault="target")

    def _counts(self) -> dict[str, int]:
        return {version: int(told[REQUESTED]) for version, told in self._told().items()}

    def _told(self) -> Mapping[str, Mapping[str, Any]]:
        """By version. Nothing where these credentials may not look: who asks for no such copies needs no right to it."""
        try:
            return self._listed()
        except Refused as no:
            if no.code != "denied":
                raise
            return {}

    def _listed(self) -> Mapping[str, Mapping[str, Any]]:
        told = self._door.all(
            "lambda", "list_provisioned_concurrency_configs", "ProvisionedConcurrencyConfigs", FunctionName=self._name
        )
        return {str(one["FunctionArn"]).rpartition(":")[2]: one for one in told}
