"""Verification compares what the server says with the build's own answers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mlship.releases.release import Proof, Release, Served, ServedModel
from mlship.targets.base import Answer, Request
from mlship.targets.verify import difference, verify

TOLERANCE = {"rtol": 1e-6, "atol": 1e-9}
RELEASE = Release(
    3,
    Served("sha256:aa", (ServedModel("churn", "bb"),)),
    0.0,
    proofs={
        "churn": Proof(([1.0], [2.0]), {"predictions": ["a", "b"], "probabilities": [[0.25, 0.75], [1.0, 0.0]]}, TOLERANCE)
    },
)
GOOD = {"predictions": ["a", "b"], "probabilities": [[0.25, 0.75], [1.0, 0.0]]}


def server(release: str = RELEASE.id, answers: Any = GOOD, ready: int = 200, by: str = "") -> Any:
    def ask(request: Request) -> Answer:
        if request.path == "/mlship/release":
            return Answer(200, json.dumps({"release": release}).encode())
        if request.path == "/readyz":
            return Answer(ready, b"{}")
        return Answer(200, json.dumps(answers).encode(), {"x-mlship-release": by or release})

    return ask


def test_a_release_that_answers_as_it_did_at_build_is_verified() -> None:
    said = verify(server(), RELEASE, "live")
    assert said.ok
    assert said.text == "release id + 2 predictions ok"


def test_of_a_partial_answer_what_it_tells_is_compared() -> None:
    (proof,) = RELEASE.proofs.values()

    def said(**answers: Any) -> str:
        return difference(Answer(200, json.dumps(answers).encode(), is_partial=True), proof)

    assert said(predictions=["a", "b"]) == ""
    assert said(predictions=["a", "c"]) == "predictions[1] is 'c', the build's own answer is 'b'"
    assert said(other=1) == "predictions is missing"


@pytest.mark.parametrize(
    ("vouched", "ok", "fault"), [(RELEASE.id, True, "release"), ("r2-bbbbbb", False, "target"), ("", False, "target")]
)
def test_what_only_the_platform_vouches_for_is_not_said_to_have_been_asked(vouched: str, ok: bool, fault: str) -> None:
    said = verify(lambda _: Answer(0, b"no way there", is_unreached=True, vouched=vouched), RELEASE, "live")
    assert (said.ok, said.fault, said.predictions) == (ok, fault, 0)
    wanted = "by the platform's own checks alone, not asked from here (no way there)" if ok else "nothing answers: no way there"
    assert said.text == wanted


def test_without_a_sample_only_id_and_readiness_are_claimed() -> None:
    bare = Release(3, RELEASE.served, 0.0)
    assert verify(server(), bare, "live").text == "release id and readiness only"


@pytest.mark.parametrize(
    ("ask", "cause"),
    [
        (lambda request: Answer(0, b"connection refused"), "nothing answers: connection refused"),
        (lambda request: Answer(502), "GET /mlship/release answers 502"),
        (server(release="r2-000000"), f"the server says it is r2-000000, not {RELEASE.id}"),
        (server(release=""), f"the server says it is no release, not {RELEASE.id}"),
        (server(ready=503), "GET /readyz answers 503"),
        (server(by="r2-000000"), f"the prediction came from r2-000000, not from {RELEASE.id}"),
        (server(answers={"predictions": ["a", "b"]}), "model churn answers otherwise: probabilities is missing"),
    ],
)
def test_every_way_of_not_being_the_release_is_named(ask: Any, cause: str) -> None:
    said = verify(ask, RELEASE, "live")
    assert not said.ok
    assert said.cause == cause


def test_a_release_that_nobody_could_reach_is_not_to_blame() -> None:
    assert verify(lambda request: Answer(0, b"no connection", is_unreached=True), RELEASE, "staged").fault == "target"
    assert verify(lambda request: Answer(0, b"it hangs"), RELEASE, "staged").fault == "release"


@pytest.mark.parametrize(
    ("got", "expected", "wrong"),
    [
        ([1.0000001], [1.0], ""),
        ([1.1], [1.0], "predictions[0] is 1.1, the build's own answer is 1.0"),
        ([1], [1.0], ""),
        ([True], [1.0], "predictions[0] is True, the build's own answer is 1.0"),
        ([2], [1], "predictions[0] is 2, the build's own answer is 1"),
        (["1"], [1], "predictions[0] is '1', the build's own answer is 1"),
        ([None], [None], ""),
        ([0.0], [None], "predictions[0] is 0.0, the build's own answer is None"),
        ([1.0], [1.0, 2.0], "predictions has another shape"),
        ([{"a": 1.0}], [{"a": 1.0}], ""),
        ([{"b": 1.0}], [{"a": 1.0}], "predictions[0] has other keys"),
        ([1e308], [1e-300], "predictions[0] is 1e+308, the build's own answer is 1e-300"),
    ],
)
def test_numbers_agree_within_tolerance_and_everything_else_exactly(got: Any, expected: Any, wrong: str) -> None:
    answer = Answer(200, json.dumps({"predictions": got}).encode())
    assert difference(answer, Proof((1,), {"predictions": expected}, TOLERANCE)) == wrong


@pytest.mark.parametrize(
    ("answer", "wrong"),
    [
        (Answer(200, b"<html>"), "the answer is not JSON"),
        (Answer(200, b"[]"), "the answer is not an object"),
        (Answer(500, b"{}"), "POST /predict answers 500"),
        (Answer(0, b"timed out"), "POST /predict answers nothing (timed out)"),
    ],
)
def test_an_answer_that_is_none_is_said(answer: Answer, wrong: str) -> None:
    assert difference(answer, Proof((1,), {"predictions": [1]}, TOLERANCE)) == wrong


def test_a_copy_that_is_named_is_asked_by_its_name() -> None:
    asked: list[str] = []

    def ask(request: Request) -> Answer:
        asked.append(request.replica)
        return server()(request)

    assert verify(ask, RELEASE, "staged", replica="copy-2").ok
    assert asked == ["copy-2"] * 3
