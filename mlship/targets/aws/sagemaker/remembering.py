"""A door that asks only once for what never changes: a configuration of an endpoint, once it is there."""

from __future__ import annotations

from typing import Any

from mlship.targets.aws.door import Door, trusted


class RememberingDoor:
    """Implements targets.aws.door.Door through another one."""

    def __init__(self, inner: Door) -> None:
        self._inner = inner
        self._configs: dict[str, dict[str, Any]] = {}

    @property
    def region(self) -> str:
        return self._inner.region

    @property
    def account(self) -> str:
        return self._inner.account

    @property
    def certificates(self) -> str:
        return trusted(self._inner)

    def call(self, service: str, operation: str, /, **said: Any) -> dict[str, Any]:
        if operation == "delete_endpoint_config":
            self._configs.pop(said["EndpointConfigName"], None)
        if operation != "describe_endpoint_config":
            return self._inner.call(service, operation, **said)
        name = said["EndpointConfigName"]
        if name not in self._configs:
            self._configs[name] = self._inner.call(service, operation, **said)
        return self._configs[name]

    def all(self, service: str, operation: str, key: str, /, **said: Any) -> list[Any]:
        return self._inner.all(service, operation, key, **said)
