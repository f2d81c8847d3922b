"""Metrics of labelled rows, against values that scikit-learn 1.9 gives for the same rows."""

from __future__ import annotations

import pytest

from mlship.flows.gating.metrics import Tally, Unmeasurable

LABELS = ["no", "yes", "yes", "no", "yes", "no"]
SAID = ["no", "yes", "no", "yes", "yes", "no"]
SCORES = [[0.9, 0.1], [0.3, 0.7], [0.6, 0.4], [0.4, 0.6], [0.4, 0.6], [0.8, 0.2]]


def test_two_classes_in_parts() -> None:
    tally = Tally(["no", "yes"])
    tally.add(LABELS[:2], SAID[:2], SCORES[:2])
    tally.add(LABELS[2:], SAID[2:], SCORES[2:])
    # 8 of 9 pairs in order less half a pair for the equal 0.6 and one for 0.4 below 0.6: (9 - 1 - 0.5) / 9
    assert tally.metrics() == pytest.approx(
        {"accuracy": 4 / 6, "f1": 2 / 3, "auc": 7.5 / 9, "logloss": 0.5047643}, rel=1e-6
    )  # fmt: skip


def test_classes_are_the_same_however_the_file_writes_them() -> None:
    tally = Tally([0, 1])
    tally.add(["0", "1.0", "1"], [0, 1, 0], None)
    assert tally.metrics() == pytest.approx({"accuracy": 2 / 3, "f1": 2 / 3})
    booleans = Tally()
    booleans.add(["True", "false"], [True, False], None)
    assert booleans.metrics() == {"accuracy": 1.0, "f1": 1.0}


def test_three_classes_take_the_mean_of_each_against_the_rest() -> None:
    tally = Tally(["a", "b", "c"])
    tally.add(["a", "b", "c", "a"], ["a", "b", "b", "c"], [[0.8, 0.1, 0.1], [0.2, 0.5, 0.3], [0.1, 0.5, 0.4], [0.3, 0.3, 0.4]])
    assert tally.metrics() == pytest.approx(
        {"accuracy": 0.5, "f1": (2 / 3 + 2 / 3 + 0) / 3, "auc": (1.0 + 2.5 / 3 + 2.5 / 3) / 3, "logloss": 0.7591391}, rel=1e-6
    )


def test_probabilities_as_predictions_name_the_class_by_the_highest() -> None:
    tally = Tally(["no", "yes"])
    tally.add(LABELS, SCORES, None)
    assert tally.metrics()["accuracy"] == 4 / 6 and "auc" in tally.metrics()


def test_classes_without_names_are_counted() -> None:
    tally = Tally()
    tally.add([0, "1", 1], [[0.9, 0.1], [0.4, 0.6], [0.6, 0.4]], None)
    assert tally.metrics()["accuracy"] == 2 / 3 and tally.metrics()["auc"] == 1.0


def test_numbers() -> None:
    tally = Tally()
    tally.add(["1", 2, "4"], [1.5, 2.0, 3.0], None)
    assert tally.metrics() == pytest.approx({"rmse": (1.25 / 3) ** 0.5, "mae": 0.5, "r2": 1 - 1.25 / (14 / 3)})


def test_numbers_that_rank_two_classes_have_an_auc() -> None:
    tally = Tally()
    tally.add([0, 1, 1, 0], [0.1, 0.9, 0.4, 0.4], None)
    assert tally.metrics()["auc"] == 3.5 / 4


@pytest.mark.parametrize(
    ("classes", "labels", "predictions", "why"),
    [
        (["a", "b"], ["1"], ["a"], r"the label '1' is none of the model's classes \(a, b\)"),
        ([], ["low"], [0.5], "the label 'low' is no number, and the model predicts numbers"),
        (["a", "b", "c"], ["a"], [[0.5, 0.5]], "2 numbers a row, and the model tells of 3 classes"),
        ([], ["2"], [[0.5, 0.5]], r"the label '2' is none of the model's classes \(0.0, 1.0\)"),
        ([], ["1"], [None], "the answer None is no class and no number"),
        ([], ["1", "2"], [1.0], "2 rows have 1 predictions"),
        ([], [1.0], [float("inf")], "the answer inf is no number"),
    ],
)
def test_what_does_not_go_together_is_said(
    classes: list[str], labels: list[object], predictions: list[object], why: str
) -> None:
    with pytest.raises(Unmeasurable, match=why):
        Tally(classes).add(labels, predictions, None)


def test_one_kind_of_label_has_no_auc() -> None:
    tally = Tally(["no", "yes"])
    tally.add(["no", "no"], ["no", "no"], [[0.9, 0.1], [0.8, 0.2]])
    assert "auc" not in tally.metrics()


def test_scores_that_are_no_probabilities_have_no_logloss_and_no_auc() -> None:
    logits = Tally(["no", "yes"])
    logits.add(["no", "yes"], ["no", "yes"], [[5.0, -3.0], [-1.0, 2.0]])
    assert logits.metrics() == {"accuracy": 1.0, "f1": 1.0}
    some = Tally(["no", "yes"])
    some.add(["no", "yes"], ["no", "yes"], [[0.9, 0.1], None])
    assert some.metrics() == {"accuracy": 1.0, "f1": 1.0}
    with pytest.raises(Unmeasurable, match=r"the probabilities \[None, 0.1\] are not all numbers"):
        Tally(["no", "yes"]).add(["no"], ["no"], [[None, 0.1]])


def test_answers_that_are_classes_and_numbers_by_turns_are_no_measure() -> None:
    tally = Tally()
    tally.add([1, 2], [1.0, 2], None)
    with pytest.raises(Unmeasurable, match="some predictions are numbers"):
        tally.metrics()


def test_one_class_without_a_second_has_no_f1() -> None:
    tally = Tally()
    tally.add([0, 0], [0, 0], None)
    assert tally.metrics() == {"accuracy": 1.0}
