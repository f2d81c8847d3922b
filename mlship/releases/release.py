"""A release: the served part of a deployment, and its identity. Pure."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class ServedModel:
    """A model as it is served. sha256: as in the manifest."""

    name: str
    sha256: str


@dataclass(frozen=True)
class Served:
    """What callers can notice: changing any of it makes a new release.

    content: the image's content id, `sha256:<hex>`. serving: the manifest's serving section and the models' method, as plain
    data. resources: {"cpu": millicores, "memory": bytes}. secrets: name -> version.
    """

    content: str
    models: tuple[ServedModel, ...]
    serving: Mapping[str, Any] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    resources: Mapping[str, int] = field(default_factory=dict)

    def digest(self) -> str:
        """sha256 hex over the canonical JSON of the served part."""
        text = json.dumps(asdict(self), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class Proof:
    """The build's own answers, which verify asks the live release for again. Empty instances: there was no sample.

    instances: rows for `/predict`. answers: the body that the built image itself gave. tolerance: {"rtol", "atol"}.
    """

    instances: tuple[Any, ...] = ()
    answers: Mapping[str, Any] = field(default_factory=dict)
    tolerance: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Release:
    """A served part with its place in the sequence. id: `r<sequence>-<first 6 hex of the served part's digest>`.

    created: seconds since the epoch, UTC. image: where the target holds the image (a reference it understands).
    proofs: model name -> Proof. mlship: the version that made it. engines: model name -> what computes it and what the build
    measured, as plain data; the original's where it is missing. quality: model name -> sha256 of labelled rows -> what `test`
    measured on them before the deploy, {"rows", "metrics"}.
    """

    sequence: int
    served: Served
    created: float
    image: str = ""
    proofs: Mapping[str, Proof] = field(default_factory=dict)
    mlship: str = ""
    engines: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    quality: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @functools.cached_property
    def id(self) -> str:
        return release_id(self.sequence, self.served)


def release_id(sequence: int, served: Served) -> str:
    """`r12-7f3a9c`."""
    return f"r{sequence}-{served.digest()[:6]}"
