"""What a deploy changes in how a service is operated, setting by setting. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

# The records' names where they are not the file's own.
_KEYS = {
    "replicas": "scale.replicas",
    "startup_timeout_s": "serve.startup_timeout_s",
    "request_timeout_s": "serve.request_timeout_s",
    "keep": "rollout.keep",
    "references": "secrets",
    "auth": "serve.auth",
}
_LONGEST = 80  # letters of one value; the plan is read in a terminal


def changed_settings(before: Mapping[str, Any], after: Mapping[str, Any], target: str) -> tuple[str, ...]:
    """`targets.local.port: left out -> 8080`, one for each setting of the operating part that differs, in order."""
    keys = {**_KEYS, "settings": f"targets.{target}", "service": f"targets.{target}.service"}
    old, new = (dict(_settings(part, keys)) for part in (before, after))
    return tuple(
        f"{key}: {_shown(old.get(key))} -> {_shown(new.get(key))}"
        for key in sorted({*old, *new})
        if old.get(key) != new.get(key)
    )


def _settings(part: Mapping[str, Any], keys: Mapping[str, str]) -> Iterator[tuple[str, Any]]:
    for name, value in json.loads(json.dumps(part)).items():  # as the records write it: tuples and lists do not differ
        yield from _below(keys.get(name, name), value)


def _below(key: str, value: Any) -> Iterator[tuple[str, Any]]:
    if key.endswith("_s") and isinstance(value, (int, float)):
        yield key.removesuffix("_s"), f"{value:g}s"
    elif not isinstance(value, dict):
        yield key, value
    elif set(value) == {"min", "max"}:
        yield key, value["min"] if value["min"] == value["max"] else f"{value['min']}..{value['max']}"
    else:
        for name, inner in value.items():
            yield from _below("rollout.strategy" if (key, name) == ("rollout", "name") else f"{key}.{name}", inner)


def _shown(value: Any) -> str:
    if value is None:
        return "left out"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
