"""serve.outputs, serve.passthrough, serve.extra and serve.hooks: what callers send and get."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy
import pytest
from spoken import ENTRY, Spoken
from wired import Doubler

from mlship.server.batching.together import apart, together
from mlship.server.core import ServedModel
from mlship.server.hooks import HookedModel, Hooks, behind_hooks, hooks_from
from mlship.server.manifest import Feature, Output, Signature
from mlship.server.messages import Call, Request, answered
from mlship.server.problems import InputError, ModelFailed
from mlship.server.protocols.calls import ask
from mlship.server.runtimes.base import LoadError
from mlship.server.selected_outputs import SelectedModel

TWO = Signature(
    (Feature("a"), Feature("b", nullable=True)),
    (Output("predictions", "int64", (), (0, 1)), Output("probabilities", "float64", (2,), ("no", "yes"))),
    "array",
    True,
)


class Coin:
    """Says 1 for a positive first value, with probabilities."""

    title = "Coin"

    def predict(self, rows: Any) -> dict[str, Any]:
        ones = (rows[:, 0] > 0).astype(int)
        return {"predictions": ones, "probabilities": numpy.column_stack([1 - ones * 0.75, ones * 0.75])}

    def signature(self, sample: tuple[Any, ...]) -> Signature:
        return TWO


def test_outputs_name_parts_of_the_answer_and_leave_out_the_rest() -> None:
    selected = SelectedModel(Coin(), {"churn_probability": "proba[1]", "label": "predictions"})
    spoken = Spoken(selected, signature=selected.signature(()), outputs={"churn_probability": "proba[1]"})
    rows = [[1, 0], [-1, 0]]
    told = {"predictions": [1, 0], "churn_probability": [0.75, 0.0], "label": [1, 0]}
    assert spoken.ask("/predict", {"instances": rows}).json == told
    assert (
        spoken.ask("/predict", b"1,0\n", {"Content-Type": "text/csv"}).body
        == b"predictions,churn_probability,label\n1,0.75,1\n"
    )
    entries = [
        {"predictions": 1, "churn_probability": 0.75, "label": 1},
        {"predictions": 0, "churn_probability": 0.0, "label": 0},
    ]
    for path in ("/invocations", "/vertex/predict"):
        body = {"inputs" if path == "/invocations" else "instances": rows}
        assert spoken.ask(path, body).json == {"predictions": entries}
    assert spoken.ask("/score", {"input_data": rows}).json == entries
    assert [output.name for output in selected.signature(()).outputs] == ["predictions", "churn_probability", "label"]


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"p": "margin"}, "serve.outputs.p takes margin, which the model does not give; it gives predictions, probabilities"),
        (
            {"p": "proba[2]"},
            "serve.outputs.p takes probabilities[2], but each row has 2 values: probabilities[0] is 'no', probabilities[1] is 'yes'",
        ),
        ({"p": "predictions[0]"}, "serve.outputs.p takes predictions[0], but each row has one value"),
    ],
)
def test_an_output_that_the_model_does_not_give_is_found_at_build(wanted: dict[str, str], message: str) -> None:
    with pytest.raises(LoadError) as caught:
        SelectedModel(Coin(), wanted).signature(())
    assert str(caught.value) == message


def test_with_predict_proba_the_predictions_are_the_probabilities_of_an_output() -> None:
    class Proba(Coin):
        def predict(self, rows: Any) -> dict[str, Any]:
            return {"predictions": Coin.predict(self, rows)["probabilities"]}

        def signature(self, sample: tuple[Any, ...]) -> Signature:
            return replace(TWO, outputs=(Output("predictions", "float64", (2,)),))

    selected = SelectedModel(Proba(), {"p": "proba[1]"})
    found = selected.signature(())
    assert found.outputs[1] == Output("p", "float64", ())
    assert Spoken(selected, signature=found).ask("/predict", {"instances": [[1, 0]]}).json["p"] == [0.75]


KEPT: dict[str, Any] = {"passthrough": ("id",)}
UNKNOWN = 'row 0 has a feature "idd" that the model does not know'


def test_what_goes_through_comes_back_beside_each_prediction() -> None:
    spoken = Spoken(passthrough=("id", "note"))
    row = {"amount": 1, "city": "Rome", "id": "c-7"}
    assert spoken.ask("/predict", {"instances": [row, {**row, "note": 3}]}).json == {
        "predictions": [2, 2],
        "id": ["c-7", "c-7"],
        "note": [None, 3],
    }
    assert spoken.ask("/predict", {"instances": [[1, "Rome"]]}).json == {"predictions": [2], "id": [None], "note": [None]}
    assert spoken.ask("/vertex/predict", {"instances": [row]}).json == {
        "predictions": [{"predictions": 2, "id": "c-7", "note": None}]
    }
    csv = spoken.ask("/predict", b"id,amount,city\nc-7,1,Rome\n8,2,\n", {"Content-Type": "text/csv"})
    assert csv.body == b"predictions,id,note\n2,c-7,\n4,8,\n"
    split = {"dataframe_split": {"columns": ["id", "amount", "city"], "data": [["c-7", 1, None]]}}
    assert spoken.ask("/invocations", split).json["predictions"][0]["id"] == "c-7"


def test_a_list_does_not_go_through() -> None:
    answer = Spoken(**KEPT).ask("/predict", {"instances": [{"amount": 1, "city": None, "id": [1]}]})
    assert (answer.status, answer.json["error"]["message"]) == (422, 'row 0: "id" goes through as one value, got a list')


@pytest.mark.parametrize("protocol", ["/predict", "/invocations", "/vertex/predict"])
def test_extra_fields_are_refused_by_name_unless_serve_ignores_them(protocol: str) -> None:
    body = {"instances": [{"amount": 1, "city": "Rome", "idd": 1}]}
    refused = Spoken(**KEPT).ask(protocol, body)
    assert (refused.status, refused.json["error"]["message"]) == (422, UNKNOWN)
    ignoring = Spoken(extra="ignore", **KEPT)
    assert ignoring.ask(protocol, body).status == 200
    assert ignoring.ask(protocol, {"instances": [{"amount": 1}]}).status == 422
    csv = {"Content-Type": "text/csv"}
    assert ignoring.ask("/predict", b"amount,idd,city\n1,x,Rome\n", csv).body == b"predictions,id\n2,\n"
    assert (
        Spoken().ask("/predict", b"amount,cty,city\n1,x,Rome\n", csv).json["error"]["message"].endswith('did you mean "city"?')
    )


HOOKS = """
from mlship.server.hooks import WrongInput


def preprocess(rows):
    if any(row["euro"] < 0 for row in rows):
        raise WrongInput("debts are not taken", row=[row["euro"] < 0 for row in rows].index(True), feature="euro")
    if any(row["euro"] == 13 for row in rows):
        raise KeyError("unlucky")
    if rows[0]["euro"] == 14:
        return rows[1:]
    return [[row["euro"] * 1.1, None] for row in rows]


def postprocess(answer, rows):
    if rows[0]["euro"] == 15:
        return {"predictions": answer["predictions"][1:]}
    return {**answer, "band": ["high" if value > 2 else "low" for value in answer["predictions"]]}
"""


@pytest.fixture
def hooked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Spoken]:
    (tmp_path / "bands.py").write_text(HOOKS)
    monkeypatch.syspath_prepend(str(tmp_path))
    entry = replace(ENTRY, signature=TWO, hooks="bands.py")
    hooks = hooks_from(entry, tmp_path)
    model = HookedModel(entry, Coin(), hooks)
    signature = behind_hooks(entry, hooks).signature
    yield Spoken(model, signature=signature)
    sys.modules.pop("bands", None)


def test_hooks_see_the_rows_as_sent_and_give_the_answer(hooked: Spoken) -> None:
    assert hooked.ask("/predict", {"instances": [{"euro": 1}, {"euro": 2}]}).json == {
        "predictions": [1, 1],
        "probabilities": [[0.25, 0.75], [0.25, 0.75]],
        "band": ["low", "low"],
    }
    assert hooked.ask("/invocations", b"euro\n3\n", {"Content-Type": "text/csv; header=present"}).body == b"1\n"


def test_postprocess_sees_the_rows_as_sent_also_where_preprocess_writes_into_them() -> None:
    def to_cents(rows: list[Any]) -> list[Any]:
        for row in rows:
            row["amount"] *= 100
        return rows

    hooks = Hooks(to_cents, lambda answer, rows: [row["amount"] for row in rows])
    assert HookedModel(ENTRY, Doubler(), hooks).predict([{"amount": 1, "city": "Rome"}]) == {"predictions": [1]}


def test_a_hook_refuses_rows_in_its_own_words(hooked: Spoken) -> None:
    answer = hooked.ask("/predict", {"instances": [{"euro": 1}, {"euro": -2}]})
    assert answer.status == 422
    assert answer.json["error"]["problems"] == [
        {"row": 1, "feature": "euro", "value": None, "expected": "", "message": "row 1: debts are not taken"}
    ]


@pytest.mark.parametrize(
    ("euro", "reason"),
    [
        (13, "preprocess raised KeyError: 'unlucky'"),
        (14, "preprocess gave 0 rows for 1"),
        (15, "the output predictions has 0 entries for 1 rows"),
    ],
)
def test_what_a_hook_does_wrong_is_the_servers_failure_with_its_reason(hooked: Spoken, euro: int, reason: str) -> None:
    with pytest.raises(ModelFailed, match=reason.replace("(", "[(]")):
        hooked.model.answer([{"euro": euro}])


def test_of_requests_that_come_together_only_the_one_that_a_hook_refuses_is_refused(hooked: Spoken) -> None:
    def call(place: int, euro: float) -> Call:
        return ask(Request("POST", "/predict", {}, str(place)), hooked.model, [{"euro": euro}], answered)

    calls = [call(place, -1 if place == 5 else 13 if place == 9 else 1 + place / 100) for place in range(16)]
    assert together(hooked.model, calls, lambda *measured: None) is None
    statuses = [response.status for response in apart(hooked.model, calls, lambda *measured: None)]
    assert statuses == [422 if place == 5 else 500 if place == 9 else 200 for place in range(16)]


class OneArray(Doubler):
    """Gives every result in the same array."""

    def predict(self, rows: Any) -> dict[str, Any]:
        if len(rows) != 300:
            raise ValueError("not together")
        self.result: Any = getattr(self, "result", numpy.zeros(300))
        self.result[:] = rows[0]["amount"]
        return {"predictions": self.result}


def test_requests_that_are_taken_apart_keep_their_answers_where_a_model_uses_its_array_again() -> None:
    model = Spoken(OneArray()).model
    calls = [
        ask(Request("POST", "/predict", {}, str(each)), model, [{"amount": each, "city": "Rome"}] * 300, answered)
        for each in (1, 2)
    ]
    assert together(model, calls, lambda *measured: None) is None
    told = [json.loads(response.body)["predictions"] for response in apart(model, calls, lambda *measured: None)]
    assert told == [[1] * 300, [2] * 300]


def test_rows_that_preprocess_makes_are_checked() -> None:
    entry = replace(ENTRY, signature=TWO)
    hooks = Hooks(lambda rows: [["x", None] for _ in rows], None)
    model = ServedModel(behind_hooks(entry, hooks), HookedModel(entry, Coin(), hooks))
    with pytest.raises(InputError, match='row 0, feature "a": expected a number'):
        model.answer([1])


def test_a_file_without_hooks_and_a_name_that_is_taken_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "idle_hooks.py").write_text("")
    (tmp_path / "json.py").write_text(HOOKS)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(LoadError, match=r"idle_hooks.py has neither preprocess\(rows\) nor postprocess"):
        hooks_from(replace(ENTRY, hooks="idle_hooks.py"), tmp_path)
    with pytest.raises(LoadError, match=r"an installed package is called json, too; give json.py another name"):
        hooks_from(replace(ENTRY, hooks="json.py"), tmp_path)
