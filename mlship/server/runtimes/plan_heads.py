"""From the scores of a compiled model to its answer: labels, probabilities, numbers.

A head is a function from scores, float64 (rows, outputs), to what LoadedModel.predict gives. One row is answered with Python's
own numbers: for so few, calls of numpy take longer than the arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import exp, isfinite
from typing import Any

Head = Callable[[Any], Mapping[str, Any]]
MAX_EXPONENT = 709.0  # exp(710) is more than a double holds


def head_from(said: Mapping[str, Any]) -> Head:
    """said: {"link", "gives", "classes", "at_zero", "flat"}.

    link: how scores become probabilities: `expit`, `softmax`, `ovr` (expit of each, then their share) or `none` (they are such
    already, or there are none). gives: `labels`, `probabilities`, `labels and probabilities` or `scores`. at_zero: the place of
    the class for a single score of 0. flat: whether one output is a number a row, not a list of one.
    """
    if said["gives"] == "scores":
        flat = bool(said["flat"])
        return lambda scores: {"predictions": scores[:, 0] if flat else scores}
    one, several = _one_row(said), _several_rows(said)

    def answered(scores: Any) -> Mapping[str, Any]:
        # beside NaN, of scores that outgrew doubles, Python's max takes another place than numpy's
        if len(scores) == 1 and isfinite(sum(listed := scores.tolist()[0])):
            return one(listed)
        return several(scores)

    return answered


def _one_row(said: Mapping[str, Any]) -> Callable[[list[float]], Mapping[str, Any]]:
    classes, gives, at_zero = list(said["classes"]), said["gives"], int(said["at_zero"])
    share = _SHARES[said["link"]]

    def answered(scores: list[float]) -> Mapping[str, Any]:
        if gives == "probabilities":
            return {"predictions": [share(scores)]}
        if len(scores) == 1:
            score = scores[0]
            place = 1 if score > 0 else at_zero if score == 0 else 0
        else:
            place = scores.index(max(scores))
        label = [classes[place]]
        return {"predictions": label} if gives == "labels" else {"predictions": label, "probabilities": [share(scores)]}

    return answered


def _several_rows(said: Mapping[str, Any]) -> Head:
    import numpy

    listed, gives, at_zero = list(said["classes"]), said["gives"], int(said["at_zero"])
    classes, share = numpy.array(listed), _SHARES_OF_MANY[said["link"]]

    def answered(scores: Any) -> Mapping[str, Any]:
        if gives == "probabilities":
            return {"predictions": share(numpy, scores)}
        labels = {"predictions": classes.take(_places(scores, at_zero))}
        return labels if gives == "labels" else {**labels, "probabilities": share(numpy, scores)}

    return answered


def _places(scores: Any, at_zero: int) -> Any:
    if scores.shape[1] > 1:
        return scores.argmax(axis=1)
    return ((scores[:, 0] >= 0) if at_zero else (scores[:, 0] > 0)).astype("intp")


def _expit(score: float) -> float:
    return 1.0 / (1.0 + exp(-score)) if score > -MAX_EXPONENT else 0.0


def _expit_share(scores: list[float]) -> list[float]:
    probability = _expit(scores[0])
    return [1.0 - probability, probability]


def _softmax(scores: list[float]) -> list[float]:
    most = max(scores)
    powers = [exp(score - most) for score in scores]
    whole = sum(powers)
    return [power / whole for power in powers]


def _ovr(scores: list[float]) -> list[float]:
    each = [_expit(score) for score in scores]
    whole = sum(each)
    return [part / whole for part in each] if whole else [1.0 / len(each)] * len(each)


def _expits(numpy: Any, scores: Any) -> Any:
    with numpy.errstate(over="ignore"):
        return 1.0 / (1.0 + numpy.exp(-scores))


def _expit_shares(numpy: Any, scores: Any) -> Any:
    probability = _expits(numpy, scores[:, 0])
    return numpy.stack([1.0 - probability, probability], axis=1)


def _softmaxes(numpy: Any, scores: Any) -> Any:
    powers = numpy.exp(scores - scores.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def _ovrs(numpy: Any, scores: Any) -> Any:
    each = _expits(numpy, scores)
    whole = each.sum(axis=1, keepdims=True)
    return numpy.where(whole == 0, 1.0 / scores.shape[1], each / numpy.where(whole == 0, 1.0, whole))


_SHARES: Mapping[str, Callable[[list[float]], list[float]]] = {
    "expit": _expit_share,
    "softmax": _softmax,
    "ovr": _ovr,
    "none": lambda scores: scores,
}
_SHARES_OF_MANY: Mapping[str, Callable[[Any, Any], Any]] = {
    "expit": _expit_shares,
    "softmax": _softmaxes,
    "ovr": _ovrs,
    "none": lambda numpy, scores: scores,
}
