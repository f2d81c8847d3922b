"""What a batch prediction gives back."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Answered:
    """content: of the image. sha256: of the model. data, out, rejects: paths or addresses; size: bytes of the answers.

    rejects: empty where there are none. reason: of the first one. seconds: of all runs that it took. resumed: rows that earlier runs
    had answered or rejected. note: what made it slow, or empty.
    """

    project: str
    content: str
    model: str
    sha256: str
    title: str
    note: str
    data: str
    out: str
    size: int
    rows: int
    rejected: int
    rejects: str
    reason: str
    seconds: float
    resumed: int
    processes: int

    @property
    def answered(self) -> int:
        return self.rows - self.rejected

    @property
    def rows_per_second(self) -> float:
        return self.rows / self.seconds if self.seconds else 0.0
