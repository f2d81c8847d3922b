"""What came back under load: right, wrong, refused or lost."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from mlship.bench.generator import Seen
from mlship.bench.quantiles import quantile
from mlship.bench.question import Question
from mlship.bench.search import Attempt
from mlship.releases.release import Proof
from mlship.targets.base import Answer
from mlship.targets.verify import difference

REFUSALS = (429, 503, 504)  # what a server says that has more to do than it can; never counted as wrong
SHOWN = 3


@dataclass(frozen=True)
class Counted:
    """wrong: answers that are not the build's own. refused: with 429, 503 or 504. lost: requests without any answer.

    uncompared: of so many different ones that not all were kept. complaints: the first few of wrong and lost, for people.
    """

    wrong: int = 0
    refused: int = 0
    lost: int = 0
    uncompared: int = 0
    complaints: tuple[str, ...] = ()


class Judge:
    """Compares answers with the build's own, each different one once, and counts."""

    def __init__(self, questions: Sequence[Question], proof: Proof) -> None:
        self._proofs = [Proof(question.rows, question.answers, proof.tolerance) for question in questions]
        self._said: dict[tuple[int, int, bytes], str] = {}
        self._lost: Counter[str] = Counter()
        self.wrong = self._refused = self._uncompared = 0

    @property
    def counted(self) -> Counted:
        """Since the beginning."""
        wrong = dict.fromkeys(wrong for wrong in self._said.values() if wrong)
        lost = (f"{count} requests: {reason}" for reason, count in self._lost.items())
        said = (*list(wrong)[:SHOWN], *lost)
        return Counted(self.wrong, self._refused, self._lost.total(), self._uncompared, said)

    def judge(self, seen: Seen) -> int:
        """How many of these were wrong; all are added to what was counted before."""
        wrong = 0
        for given in seen.given:
            if given.status in REFUSALS:
                self._refused += given.count
            elif self._wrong(given.question, given.status, given.body):
                wrong += given.count
        self.wrong += wrong
        self._uncompared += seen.uncompared
        self._lost.update(seen.lost)
        return wrong

    def is_right(self, status: int, body: bytes) -> bool:
        """Whether this is the build's own answer to the first question; it is not counted."""
        return not difference(Answer(status, body), self._proofs[0])

    def _wrong(self, question: int, status: int, body: bytes) -> str:
        key = question, status, body
        if key not in self._said:
            self._said[key] = difference(Answer(status, body), self._proofs[question])
        return self._said[key]


def attempt(seen: Seen, rate: float, wrong: int) -> Attempt:
    """What callers of an open loop saw; one that was refused, lost or answered wrongly waits for ever. Pure."""
    failed = sum(seen.lost.values()) + sum(given.count for given in seen.given if given.status != 200)
    every = (*seen.times, *(math.inf,) * failed)
    return Attempt(rate, quantile(every, 0.5), quantile(every, 0.99), not wrong, len(every))
