"""What a call of a model costs: so much for the call and so much for each row, learnt from the calls themselves.

The line decides where a call runs, how many rows are worth joining, and how long a queue is in seconds.
"""

from __future__ import annotations

import math

MOST = 1_000_000  # rows in one call, whatever they cost
KEPT = 0.9  # share of the earlier measurements that stays with each new one: a model that becomes slow is known so at once
WORTH = 8  # a call whose rows cost so many times what the call itself costs gains less than an eighth from more rows
UNFELT_S = 0.001  # rows that cost no more together are always joined: nobody feels the wait, and the line goes on learning

# A call that took so many times what was expected says that the machine stood still; a second one soon after, that the model is slow
LEAP = 8
CALM = 16  # calls between two that are not believed


class Pace:
    """A line through the measured calls, the newest counting most. most_seen: rows of the largest of them."""

    def __init__(self) -> None:
        self.most_seen = 1
        self.call_s = math.inf
        self.row_s = 0.0
        self._calm = 0
        self._weight = self._rows = self._seconds = self._squares = self._products = 0.0

    def expected_s(self, rows: float) -> float:
        """Seconds for a call with so many rows; infinite before the first measurement."""
        return self.call_s + self.row_s * rows

    def worth_joining(self, longest_s: float = math.inf) -> int:
        """Rows from which a call gains too little from further rows for anybody to wait for them; at least 1.

        longest_s: that a call should take. Its rows may cost as much as the call itself all the same: to join fewer would take more
        than twice as long for all.
        """
        if self.call_s == math.inf:
            return 1
        felt_s = min(max(self.call_s * WORTH, UNFELT_S), max(longest_s - self.call_s, self.call_s))
        return MOST if self.row_s * MOST <= felt_s else max(1, math.ceil(felt_s / self.row_s))

    def learn(self, rows: int, seconds: float) -> None:
        """Takes one measured call into account."""
        if self._calm >= CALM and seconds > LEAP * (self.call_s + self.row_s * rows) + UNFELT_S:
            self._calm = 0
            return
        self._calm += 1
        if rows > self.most_seen:
            self.most_seen = rows
        self._weight = self._weight * KEPT + 1
        self._rows = self._rows * KEPT + rows
        self._seconds = self._seconds * KEPT + seconds
        self._squares = self._squares * KEPT + rows * rows
        self._products = self._products * KEPT + rows * seconds
        self._fit()

    def _fit(self) -> None:
        """Least squares, neither part below zero. Calls of one size say nothing about the slope: then it stays as it was, unless
        it is the slope that keeps them small: what one stall made of it is doubted, until a larger call is tried again."""
        rows, seconds = self._rows / self._weight, self._seconds / self._weight
        spread = self._squares / self._weight - rows * rows
        if spread > 0.01 * rows * rows:
            slope = (self._products / self._weight - rows * seconds) / spread
            self.row_s = max(0.0, slope)
        elif self.row_s * rows >= UNFELT_S and rows >= self.worth_joining():  # never the second without the first
            self.row_s *= KEPT
        if self.row_s * rows > seconds:
            self.row_s = seconds / rows
        self.call_s = seconds - self.row_s * rows
