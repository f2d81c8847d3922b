"""Requests out of a sample, with what is right to answer."""

import json

from mlship.bench.question import Address, Question, questions, raw

ROWS = [[1], [2], [3]]
ANSWERS = {"predictions": ["a", "b", "c"], "probabilities": [[0.1], [0.2], [0.3]]}


def test_each_row_is_asked_with_its_own_answer() -> None:
    found = questions(ROWS, ANSWERS, 1)
    assert [question.rows for question in found] == [([1],), ([2],), ([3],)]
    assert found[1].answers == {"predictions": ["b"], "probabilities": [[0.2]]}


def test_rows_go_together_as_asked() -> None:
    assert [len(question.rows) for question in questions(ROWS, ANSWERS, 2)] == [2, 1]
    assert questions(ROWS, ANSWERS, 0) == (Question(tuple(ROWS), ANSWERS),)


def test_answers_that_are_not_one_a_row_stay_together() -> None:
    for answers in ({"predictions": "all well"}, {"predictions": ["a", "b"]}, {**ANSWERS, "mean": 2.0}):
        assert questions(ROWS, answers, 1) == (Question(tuple(ROWS), answers),)


def test_a_request_is_whole() -> None:
    sent = raw(Question((["Zoë"],), {}), Address("::1", 8080, path="/churn"), "/predict", "secret")
    head, _, body = sent.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[:2] == ["POST /churn/predict HTTP/1.1", "Host: [::1]:8080"]
    assert f"Content-Length: {len(body)}" in lines and "Authorization: Bearer secret" in lines
    assert json.loads(body) == {"instances": [["Zoë"]]}


def test_nobody_is_named_where_callers_are_not_judged() -> None:
    assert b"Authorization" not in raw(Question((1,), {}), Address("127.0.0.1", 1), "/predict")
