"""The finished configuration: what everything after the loader works from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mlship.config.schema import Build, Cost, Model, Monitoring, Resources, Rollout, Scale, Serve, Slo, Targets


@dataclass(frozen=True)
class Project:
    """One project in one environment: defaults filled in, environment merged, models as a list.

    models: (name, model) pairs; the short form gives one entry named after the project.
    environment: empty when none was asked for. positions: dotted key -> (line, column), both from 1.
    """

    file: Path
    name: str
    environment: str
    target: str
    models: tuple[tuple[str, Model], ...]
    labels: Mapping[str, str] = field(default_factory=dict)
    serve: Serve = Serve()
    env: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    build: Build = Build()
    resources: Resources = Resources()
    scale: Scale = Scale()
    slo: Slo = Slo()
    cost: Cost = Cost()
    rollout: Rollout = Rollout()
    monitoring: Monitoring = Monitoring()
    public: bool = False
    targets: Targets = Targets()
    positions: Mapping[str, tuple[int, int]] = field(default_factory=dict, compare=False)

    @property
    def root(self) -> Path:
        """The folder that paths in the file are relative to."""
        return self.file.parent

    def at(self, key: str) -> str:
        """Where a key stands: `mlship.yaml:12:3 scale.replicas`; for a key left out, its nearest parent's place."""
        parts = key.split(".")
        while parts:
            place = self.positions.get(".".join(parts))
            if place:
                return f"{self.file.name}:{place[0]}:{place[1]} {key}"
            parts.pop()
        return f"{self.file.name} {key}"
