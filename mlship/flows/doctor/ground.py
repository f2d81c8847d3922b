"""What every check stands on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mlship.config.project import Project
from mlship.flows.context import Context


@dataclass(frozen=True)
class Ground:
    """project: None without a mlship.yaml. root: its folder, else the current one. python: what --python says."""

    context: Context
    project: Project | None
    root: Path
    python: str
