"""What `destroy` leaves where it is, because it is not mlship's, or not of this project alone. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mlship.releases.history import History

# Settings of a target that name what was there before mlship came.
GIVEN: Mapping[str, tuple[str, ...]] = {
    "aws": (
        *("bucket", "repository", "cluster", "listener", "roles", "subnets", "security_groups"),
        *("kms_key", "permissions_boundary", "certificate"),
    ),
    "gcp": ("repository", "service_account", "vpc_connector", "bucket"),
    "azure": ("resource_group", "workspace", "environment", "identity", "registry", "storage", "logs", "subnet"),
}


def staying(target: str, history: History | None) -> tuple[str, ...]:
    """One line each: what the records say was given, and the secrets that the releases read."""
    if history is None:
        return ()
    return (*_given(target, history.operating.get("settings") or {}), *_secrets(history.operating))


def _given(target: str, settings: Mapping[str, Any]) -> Iterator[str]:
    for key in GIVEN.get(target, ()):
        said = settings.get(key)
        for name in said.values() if isinstance(said, Mapping) else [said] if isinstance(said, str) else said or ():
            yield f"{key.replace('_', ' ')} {name}"


def _secrets(operating: Mapping[str, Any]) -> Iterator[str]:
    yield from sorted(f"secret {name}" for name in set((operating.get("references") or {}).values()))
