"""Metrics of labelled rows, as scikit-learn defines them, from the server's answers. Pure; the standard library only.

Classes: accuracy; f1 of the second of two classes, of more the mean of all; auc of the second of two classes (pairs, equal scores count
half), of more the mean of each against the rest; logloss (natural logarithm, probabilities not below 2.2e-16). Scores that are no
probabilities, such as logits, have neither auc nor logloss. Numbers: rmse, mae, r2; where the labels are 0 and 1, numbers are scores,
too: auc.
"""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Sequence
from itertools import groupby
from typing import Any

LEAST_P = 2.220446049250313e-16  # of float64; scikit-learn 1.5 and later clip there
SUM_OFF = 0.01  # from 1, of a row's probabilities: float16, and hooks that round


class Unmeasurable(ValueError):
    """Labels and answers do not go together; the message says why."""


def class_key(value: Any) -> Any:
    """3, 3.0 and "3" are one class, and so are true and "True"."""
    if isinstance(value, bool):
        return str(value).lower()
    text = str(value).strip()
    try:
        return float(text)
    except ValueError:
        return text.lower() if text.lower() in ("true", "false") else text


class Tally:
    """Takes labels and answers in parts. classes: of the model, as it tells them; empty where it does not."""

    def __init__(self, classes: Sequence[Any] = ()) -> None:
        self._classes = [class_key(name) for name in classes]
        self._pairs: Counter[tuple[Any, Any]] = Counter()
        self._scores: list[array[float]] = []
        self._truth = array("i")
        self._loss = 0.0
        self._numbers = Numbers()
        self.rows = 0

    def add(self, labels: Sequence[Any], predictions: Sequence[Any], scores: Sequence[Any] | None) -> None:
        """One entry a row. scores: probabilities, one for each class. Raises Unmeasurable."""
        if len(predictions) != len(labels):
            raise Unmeasurable(f"{len(labels)} rows have {len(predictions)} predictions")
        for place, (label, prediction) in enumerate(zip(labels, predictions, strict=True)):
            self._one(label, prediction, scores[place] if scores is not None else None)
        self.rows += len(labels)

    def metrics(self) -> dict[str, float]:
        """All that can be told of these rows. Raises Unmeasurable where some answers are classes and some are numbers."""
        if self._numbers.count:
            if self._pairs:
                raise Unmeasurable("some predictions are numbers with a fraction's type, and some are whole numbers or classes")
            return self._numbers.metrics()
        right = sum(count for (truth, said), count in self._pairs.items() if truth == said)
        found = {"accuracy": right / self.rows} if self.rows else {}
        names = self._names()
        if len(names) > 1:
            found["f1"] = self._f1(names)
        if self._scores and len(self._truth) == self.rows:
            found["logloss"] = self._loss / self.rows
            aucs = [_auc(scores, [truth == place for truth in self._truth]) for place, scores in enumerate(self._scores)]
            wanted = aucs[1:] if len(aucs) == 2 else aucs
            if wanted and all(value is not None for value in wanted):
                found["auc"] = sum(value for value in wanted if value is not None) / len(wanted)
        return found

    def _one(self, label: Any, prediction: Any, scores: Any) -> None:
        if isinstance(prediction, list) and len(prediction) == 1:
            prediction = prediction[0]
        if isinstance(prediction, list) and scores is None:
            prediction, scores = self._highest(prediction), prediction
        if isinstance(prediction, float) and scores is None and not self._classes:
            self._numbers.add(_number(label), prediction)
            return
        if prediction is None or isinstance(prediction, list | dict):
            raise Unmeasurable(f"the answer {str(prediction)[:40]} is no class and no number")
        truth = class_key(label)
        if self._classes and truth not in self._classes:
            known = ", ".join(str(name)[:20] for name in self._classes[:5])
            raise Unmeasurable(f"the label {str(label)[:40]!r} is none of the model's classes ({known})")
        self._pairs[truth, class_key(prediction)] += 1
        if isinstance(scores, list) and len(scores) == len(self._classes):
            self._score(self._classes.index(truth), scores)

    def _highest(self, scores: list[Any]) -> Any:
        """Of a model that does not name its classes, they are counted from 0."""
        self._classes = self._classes or [float(place) for place in range(len(scores))]
        if len(scores) != len(self._classes) or any(not isinstance(score, int | float) for score in scores):
            raise Unmeasurable(f"{len(scores)} numbers a row, and the model tells of {len(self._classes)} classes")
        return self._classes[max(range(len(scores)), key=scores.__getitem__)]

    def _score(self, truth: int, scores: list[Any]) -> None:
        if any(not isinstance(score, int | float) or not math.isfinite(score) for score in scores):
            raise Unmeasurable(f"the probabilities {str(scores)[:60]} are not all numbers")
        if min(scores) < 0 or abs(sum(scores) - 1) > SUM_OFF:
            return
        if not self._scores:
            self._scores = [array("d") for _ in scores]
        for kept, score in zip(self._scores, scores, strict=True):
            kept.append(score)
        self._truth.append(truth)
        self._loss -= math.log(min(max(self._scores[truth][-1], LEAST_P), 1.0))

    def _names(self) -> list[Any]:
        """Both classes of a model that tells two, else those that were seen."""
        seen = {key for pair in self._pairs for key in pair}
        return self._classes if len(self._classes) == 2 else sorted(seen, key=lambda key: (isinstance(key, str), key))

    def _f1(self, names: Sequence[Any]) -> float:
        wanted = names[1:] if len(names) == 2 else names
        return sum(self._f1_of(name) for name in wanted) / len(wanted)

    def _f1_of(self, name: Any) -> float:
        both = self._pairs[name, name]
        some = sum(count * ((truth == name) + (said == name)) for (truth, said), count in self._pairs.items())
        return 2 * both / some if some else 0.0


class Numbers:
    """Errors of a model that predicts numbers. Mean and squares of the truth after Welford (Technometrics 4, 1962)."""

    def __init__(self) -> None:
        self.count = 0
        self._squares = self._absolute = self._mean = self._spread = 0.0
        self._scores, self._truth = array("d"), array("d")

    def add(self, truth: float, said: float) -> None:
        if not math.isfinite(said):
            raise Unmeasurable(f"the answer {said} is no number")
        self.count += 1
        self._squares += (said - truth) ** 2
        self._absolute += abs(said - truth)
        off = truth - self._mean
        self._mean += off / self.count
        self._spread += off * (truth - self._mean)
        if truth in (0.0, 1.0) and len(self._truth) == self.count - 1:
            self._scores.append(said)
            self._truth.append(truth)

    def metrics(self) -> dict[str, float]:
        found = {"rmse": math.sqrt(self._squares / self.count), "mae": self._absolute / self.count}
        if self._spread:
            found["r2"] = 1 - self._squares / self._spread
        ranked = _auc(self._scores, [truth == 1.0 for truth in self._truth]) if len(self._truth) == self.count else None
        return found if ranked is None else {**found, "auc": ranked}


def _auc(scores: Sequence[float], positive: Sequence[bool]) -> float | None:
    """Mann and Whitney's U over all pairs, by ranks; equal scores share theirs. None where one kind is missing."""
    ones = sum(positive)
    if not ones or ones == len(positive):
        return None
    order = sorted(range(len(scores)), key=scores.__getitem__)
    ranks, before = 0.0, 0
    for _, group in groupby(order, key=scores.__getitem__):
        equal = list(group)
        ranks += sum(positive[place] for place in equal) * (before + (len(equal) + 1) / 2)
        before += len(equal)
    return (ranks - ones * (ones + 1) / 2) / (ones * (len(positive) - ones))


def _number(label: Any) -> float:
    key = class_key(label)
    found = {"true": 1.0, "false": 0.0}.get(key, key) if isinstance(key, str) else key
    if not isinstance(found, float) or not math.isfinite(found):
        raise Unmeasurable(f"the label {str(label)[:40]!r} is no number, and the model predicts numbers")
    return found
