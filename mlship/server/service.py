"""What one worker has to answer with: its models, who it is, and whether it takes work."""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass, field
from typing import Any

from mlship.server.board import DRAINING, FAILING, READY, STARTED, STATE, Board, Slot
from mlship.server.core import ServedModel
from mlship.server.manifest import Manifest
from mlship.server.settings import Settings

NUMBERED = re.compile(r"r([1-9][0-9]{0,17})-[0-9a-f]{6}\Z")


@dataclass
class Service:
    """One worker's state, read by all routes. index: its place among the workers."""

    manifest: Manifest
    settings: Settings
    models: dict[str, ServedModel]
    board: Board
    slot: Slot
    started: float = field(default_factory=time.time)
    index: int = 0

    @property
    def model(self) -> ServedModel:
        """The only or the default model."""
        return self.models[self.manifest.models[0].name]

    @property
    def version(self) -> str:
        """The version of every model here, for protocols that number them: that of the release, 41 of r41-9c01d2; else 1."""
        numbered = NUMBERED.match(self.settings.release)
        return numbered[1] if numbered else "1"

    @property
    def is_draining(self) -> bool:
        """True from SIGTERM on."""
        return self.slot.cells[STATE] == DRAINING

    @property
    def is_ready(self) -> bool:
        """True when every worker has loaded its models and this one is not going away."""
        return bool(self.board.cells[STARTED]) and self.slot.cells[STATE] == READY and not self.is_failing

    @property
    def is_failing(self) -> bool:
        """True while a worker that is to replace a lost one cannot load its models."""
        return bool(self.board.cells[FAILING])

    @property
    def device(self) -> str:
        """What this worker computes on, as in `devices`."""
        return self.devices[self.index]

    @property
    def devices(self) -> list[str]:
        """What each worker computes on: `cpu`, or its GPU, `cuda:1 NVIDIA L4`."""
        cards = self.settings.cards
        return [f"cuda:{card.id} {card.name}" for card in cards] or ["cpu"] * self.board.workers

    def identity(self) -> dict[str, Any]:
        """The document of /mlship/release."""
        identity: dict[str, Any] = {
            "release": self.settings.release,
            "project": self.manifest.project,
            "models": {name: model.entry.sha256 for name, model in self.models.items()},
            "accepting": self.board.is_accepting and not self.is_draining,
            "ready": self.is_ready,
            "workers": self.board.workers,
            "device": self.device,
            "pid": os.getpid(),
            "mlship": self.manifest.mlship,
        }
        return {**identity, "content": self.settings.content} if self.settings.content else identity
