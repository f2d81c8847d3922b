"""How good a model's predictions are on rows whose truth is known: one number, of which more is better."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

ACCURACY, AUC, R2 = "accuracy", "auc", "r2"


class Unjudged(Exception):
    """The labels are none that these predictions could be right about; the message says why, for people."""


@dataclass(frozen=True)
class Judge:
    """measure: `accuracy` (share of rows that are right), `auc` (area under the ROC curve), `r2` (share of the variance explained).

    truth: one a row, as `value` compares it. classes: names of the places of a list of scores, where the model tells them.
    """

    measure: str
    truth: Sequence[Any]
    classes: Sequence[Any] = ()

    @property
    def guessing(self) -> float:
        """What a model has that knows nothing; of classes half of that, for a model may well pass over the commonest."""
        return {ACCURACY: 0.5 / len(set(self.truth)), AUC: 0.5, R2: 0.0}[self.measure]

    def value(self, predictions: Sequence[Any]) -> float:
        """predictions: one a row. Raises Unjudged for what is no number."""
        if self.measure == ACCURACY:
            said = [_key(_class(each, self.classes)) for each in predictions]
            right = sum(1 for one, other in zip(said, self.truth, strict=True) if one == other)
            return right / len(self.truth)
        numbers = [_number(each[0] if isinstance(each, list) else each) for each in predictions]
        return _auc(numbers, self.truth) if self.measure == AUC else _r2(numbers, self.truth)


def judge_of(predictions: Sequence[Any], labels: Sequence[Any], classes: Sequence[Any] | None) -> Judge:
    """What the labels can tell of such predictions. labels: as they stand in the file, texts where it is CSV. Raises Unjudged."""
    first = predictions[0]
    width = len(first) if isinstance(first, list) else 0
    if width and isinstance(first[0], list):
        raise Unjudged("the model's predictions are tables")
    if width > 1:
        return _of_scores(labels, width, classes or ())
    if not isinstance(first[0] if width else first, float):
        return Judge(ACCURACY, [_key(label) for label in labels])
    numbers = [_number(label) for label in labels]
    return Judge(AUC if set(numbers) == {0.0, 1.0} else R2, numbers)


def _of_scores(labels: Sequence[Any], width: int, classes: Sequence[Any]) -> Judge:
    """The place of the highest score is the class: by its name, or by its number."""
    names = list(classes) if len(classes) == width else list(range(width))
    known = {_key(name) for name in names}
    truth = [_key(label) for label in labels]
    strange = next((label for label, key in zip(labels, truth, strict=True) if key not in known), None)
    if strange is not None:
        told = f"classes {names[0]} to {names[-1]}" if names else "no classes"
        raise Unjudged(f"the label {str(strange)[:40]!r} is none of the model's {width} {told}")
    return Judge(ACCURACY, truth, names)


def _class(prediction: Any, classes: Sequence[Any]) -> Any:
    if not isinstance(prediction, list):
        return prediction
    if len(prediction) == 1:
        return prediction[0]
    scores = [float("-inf") if score is None else score for score in prediction]
    return classes[max(range(len(scores)), key=scores.__getitem__)]


def _key(value: Any) -> Any:
    """3, 3.0 and "3" are one class, and so are true and "True"."""
    if isinstance(value, bool):
        return str(value).lower()
    text = str(value).strip()
    try:
        return float(text)
    except ValueError:
        return text.lower() if text.lower() in ("true", "false") else text


def _number(value: Any) -> float:
    try:
        found = float(str(value).strip().lower().replace("true", "1").replace("false", "0"))
    except ValueError:
        found = float("nan")
    if found - found != 0:
        raise Unjudged(f"{str(value)[:40]!r} is no number, and the model predicts numbers")
    return found


def _auc(numbers: Sequence[float], truth: Sequence[float]) -> float:
    """The share of pairs of a 1 and a 0 in which the 1 has the higher number; equal ones count half."""
    import numpy

    values, wanted = numpy.array(numbers), numpy.array(truth) == 1
    _, place, count = numpy.unique(values, return_inverse=True, return_counts=True)
    rank = (numpy.cumsum(count) - (count - 1) / 2)[place]
    ones = int(wanted.sum())
    return float((rank[wanted].sum() - ones * (ones + 1) / 2) / (ones * (len(truth) - ones)))


def _r2(numbers: Sequence[float], truth: Sequence[float]) -> float:
    import numpy

    values, wanted = numpy.array(numbers), numpy.array(truth)
    spread = float(((wanted - wanted.mean()) ** 2).sum())
    if not spread:
        raise Unjudged("all rows have the same label")
    return 1.0 - float(((wanted - values) ** 2).sum()) / spread
