"""The network that the weights belong to: mlship makes it without arguments and fills it from the file."""

import torch
from torch import nn


class Diabetes(nn.Module):
    """From ten measurements of a patient to how far the illness has gone a year later."""

    def __init__(self, hidden: int = 16) -> None:
        super().__init__()
        self.register_buffer("centre", torch.zeros(10))
        self.register_buffer("spread", torch.ones(10))
        self.layers = nn.Sequential(nn.Linear(10, hidden), nn.ReLU(), nn.Dropout(0.1), nn.Linear(hidden, 1))

    def forward(self, measured: torch.Tensor) -> torch.Tensor:
        """measured: float32, (patients, 10). Returns float32, (patients,)."""
        return self.layers((measured - self.centre) / self.spread).squeeze(1) * 77 + 152
