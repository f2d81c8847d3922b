"""One number for how good predictions are, whatever form they and the labels have."""

from __future__ import annotations

import numpy
import pytest
from sklearn.metrics import r2_score, roc_auc_score

from mlship.server.compiling.proof_rows import GENERATED, cut
from mlship.server.compiling.quality import Unjudged, judge_of

RANDOM = numpy.random.default_rng(7)


@pytest.mark.parametrize(
    ("predictions", "labels", "classes"),
    [
        ([3, 4, 5, 6], ["3", "4.0", "5", "0"], None),
        (["a", "b", "c", "d"], ["a", "b ", "c", "x"], None),
        ([True, False, True, True], ["true", "False", "TRUE", "false"], None),
        ([[0.1, 0.9], [8.0, -3.0], [0.4, 0.6], [1.0, 0.0]], ["1", "0", "1", "1"], None),
        ([[0.1, 0.9], [8.0, -3.0], [0.4, 0.6], [1.0, 0.0]], ["no", "yes", "no", "no"], ("yes", "no")),
    ],
)
def test_classes_are_counted_by_name_number_or_highest_score(predictions, labels, classes):
    judge = judge_of(predictions, labels, classes)
    assert (judge.measure, judge.value(predictions)) == ("accuracy", 0.75)
    assert judge.guessing == 0.5 / len({str(label).lower() for label in labels})


def test_one_score_for_two_classes_is_judged_by_its_order():
    labels = RANDOM.integers(0, 2, 200)
    scores = numpy.round(labels + RANDOM.normal(size=200), 1)  # with ties
    judge = judge_of([[score] for score in scores.tolist()], labels.astype(str).tolist(), None)
    assert judge.measure == "auc"
    assert judge.value(scores.tolist()) == pytest.approx(roc_auc_score(labels, scores))


def test_numbers_are_judged_by_the_variance_that_they_explain():
    truth = RANDOM.normal(size=100)
    said = truth + RANDOM.normal(size=100) / 3
    judge = judge_of(said.tolist(), truth.tolist(), None)
    assert (judge.measure, judge.value(said.tolist())) == ("r2", pytest.approx(r2_score(truth, said)))


@pytest.mark.parametrize(
    ("predictions", "labels", "why"),
    [
        ([[0.1, 0.9]], ["cat"], "the label 'cat' is none of the model's 2 classes 0 to 1"),
        ([1.5], ["high"], "'high' is no number"),
        ([[[1.0, 2.0]]], ["1"], "predictions are tables"),
    ],
)
def test_labels_that_no_prediction_can_meet_are_refused(predictions, labels, why):
    with pytest.raises(Unjudged, match=why):
        judge_of(predictions, labels, None)


def test_a_slow_model_is_asked_some_rows_of_each_kind():
    kinds = {"sample": list(range(8)), "reference": list(range(400)), GENERATED: list(range(600))}
    kept = cut(kinds, 100)
    assert kept["sample"] == list(range(8))
    assert kept["reference"] == list(range(0, 400, 9)) and kept[GENERATED] == list(range(47))
    assert cut(kinds, 5000) == kinds
