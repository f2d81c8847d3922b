"""What gates decide, without a server."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from mlship.bench.generator import Given, Seen
from mlship.cli.app import run
from mlship.cli.views.test import report_text
from mlship.config.quality import parse
from mlship.errors import Exit, MlshipError
from mlship.flows.evidence import RowsFile
from mlship.flows.gating import budgets
from mlship.flows.gating.drill import Counted, drill_result
from mlship.flows.gating.exact import golden_results, sample_results
from mlship.flows.gating.golden import truths
from mlship.flows.gating.holdout import Columns, Unanswered, columns_of, measure, parts, results
from mlship.flows.gating.junit import junit
from mlship.flows.gating.metrics import Unmeasurable
from mlship.flows.gating.qualities import Qualities, Quality, quality_of
from mlship.flows.gating.results import NotAsked, Report, Result
from mlship.flows.gating.schema_change import Change, change, service_change, takes
from mlship.flows.gating.sides import Side, refusal
from mlship.flows.gating.wire import answers, asked, spoken
from mlship.releases.release import Proof
from mlship.targets.base import Answer, Request
from mlship.units import Duration, Memory

INPUTS = [{"name": "age", "dtype": "int64"}, {"name": "city", "dtype": "string"}]
ROWS = ({"age": 30, "city": "Rome"}, {"age": 40.0, "city": None})
ANSWERS = {"predictions": ["a", "b"], "probabilities": [[0.25, 0.75], [1.0, 0.0]]}


def body(protocol: str) -> Any:
    path, raw = asked(protocol, "churn", "/predict", ROWS, INPUTS)
    return path, json.loads(raw)


def test_rows_in_the_words_of_each_protocol() -> None:
    rows = list(ROWS)
    assert body("native") == ("/predict", {"instances": rows})
    assert body("sagemaker") == ("/invocations", {"instances": rows})
    assert body("vertex") == ("/vertex/predict", {"instances": rows})
    assert body("azureml") == ("/score", {"input_data": rows})
    assert body("mlflow") == ("/invocations", {"dataframe_records": rows})
    assert body("tfserving") == ("/v1/models/churn:predict", {"instances": rows})
    tensors = [
        {"name": "age", "datatype": "INT64", "shape": [2], "data": [30, 40]},
        {"name": "city", "datatype": "BYTES", "shape": [2], "data": ["Rome", None]},
    ]
    assert body("v2") == ("/v2/models/churn/infer", {"inputs": tensors})
    nested = json.loads(asked("v2", "m", "/predict", [[[1, 2]], [[3, 4]]], [{"name": "x", "dtype": "any"}])[1])["inputs"]
    assert nested == [{"name": "x", "datatype": "FP64", "shape": [2, 2], "data": [1, 2, 3, 4]}]
    assert json.loads(asked("v2", "m", "/predict", [[1, 2]], [])[1])["inputs"][0]["shape"] == [1, 2]


def test_answers_of_each_protocol_are_the_same_answers() -> None:
    tensors = [
        {"name": "predictions", "datatype": "BYTES", "shape": [2], "data": ["a", "b"]},
        {"name": "probabilities", "datatype": "FP64", "shape": [2, 2], "data": [0.25, 0.75, 1.0, 0.0]},
    ]
    assert answers("native", json.dumps(ANSWERS).encode(), ANSWERS) == ANSWERS
    assert answers("v2", json.dumps({"outputs": tensors}).encode(), ANSWERS) == ANSWERS
    assert answers("azureml", b'["a", "b"]', ANSWERS) == {"predictions": ["a", "b"]}
    listed = [{"predictions": "a", "probabilities": [0.25, 0.75]}, {"predictions": "b", "probabilities": [1.0, 0.0]}]
    assert answers("tfserving", json.dumps({"predictions": listed}).encode(), ANSWERS) == ANSWERS
    truth = {"predictions": ["a", "b"]}  # of two outputs, people wrote down one
    assert answers("tfserving", json.dumps({"predictions": listed}).encode(), truth) == truth
    objects = {"predictions": [{"predictions": 1}]}
    assert answers("vertex", json.dumps(objects).encode(), objects) == objects
    texts = {"outputs": [{"name": "tags", "datatype": "BYTES", "shape": [1], "data": ['["x"]']}]}
    assert answers("v2", json.dumps(texts).encode(), {"tags": [["x"]]}) == {"tags": [["x"]]}
    with pytest.raises(ValueError, match="no list of predictions"):
        answers("vertex", b"{}", ANSWERS)


def test_models_beside_the_first_are_asked_where_protocols_can_name_them() -> None:
    every = {"protocols": ("native", "v2", "sagemaker", "vertex", "azureml", "mlflow", "tfserving")}
    assert spoken(every, is_first=False) == ("native", "v2", "tfserving")
    assert "sagemaker" not in spoken({**every, "invocations": "mlflow"}, is_first=True)


def side(says: dict[str, Any], status: int = 200, protocols: tuple[str, ...] = ("native",)) -> Side:
    def ask(request: Request) -> Answer:
        return Answer(status, json.dumps(says).encode())

    return Side(ask, "the built image", "sha256:aa", {"protocols": protocols}, {"churn": Proof(ROWS, ANSWERS, {"rtol": 1e-6})})


def test_objects_of_unnamed_features_have_no_words_in_v2() -> None:
    told = list(sample_results(side(ANSWERS, protocols=("native", "v2")), "churn", ()))
    assert [(result.name, result.verdict) for result in told] == [("sample native", "pass"), ("sample v2", "inconclusive")]
    assert told[1].why == "the model names no features, and v2 has no words for rows that are objects"


def test_the_sample_is_compared_and_told() -> None:
    [good] = sample_results(side(ANSWERS), "churn", INPUTS)
    assert (good.verdict, good.name, good.measured) == ("pass", "sample native", "2 rows equal")
    [wrong] = sample_results(side({**ANSWERS, "predictions": ["a", "c"]}), "churn", INPUTS)
    assert (wrong.verdict, wrong.why) == ("fail", "the sample: predictions[1] is 'c', the build's own answer is 'b'")
    bare = Side(side({}).ask, "x", "sha256:aa", {}, {"churn": Proof()})
    [unknown] = sample_results(bare, "churn", INPUTS)
    assert (unknown.verdict, unknown.why) == ("inconclusive", "churn was built without a sample")


def test_a_model_that_no_protocol_can_name_is_not_known() -> None:
    proofs = {"first": Proof(ROWS, ANSWERS), "churn": Proof(ROWS, ANSWERS)}
    beside = Side(side(ANSWERS).ask, "the built image", "sha256:aa", {"protocols": ("vertex",)}, proofs)
    [unknown] = sample_results(beside, "churn", INPUTS)
    assert (unknown.verdict, unknown.why) == ("inconclusive", "no protocol of serve.protocols can name churn: vertex")


def test_truths_are_compared_as_people_write_numbers(tmp_path: Path) -> None:
    (tmp_path / "golden.jsonl").write_text(
        '{"instances": [[1]], "predictions": [2]}\n\n{"instances": [[2]], "predictions": [4]}\n'
    )
    known = truths(tmp_path, "golden.jsonl", "mlship.yaml:3:3 model.golden")
    assert [truth.where for truth in known] == ["golden.jsonl:1", "golden.jsonl:3"]
    [wrong] = golden_results(side({"predictions": [2.0]}), "churn", INPUTS, known)
    assert (wrong.verdict, wrong.measured) == ("fail", "1 of 2 wrong")
    assert wrong.why == "golden.jsonl:3: predictions[0] is 2.0, the truth is 4.0"
    [refused] = golden_results(side({"error": {"message": "no", "problems": [{"feature": "age", "message": "got text"}]}}, 422),
                               "churn", INPUTS, known)  # fmt: skip
    assert refused.why == "golden.jsonl:1: the server answers 422: no (age: got text)"
    [odd] = golden_results(side({}, protocols=("v2",)), "churn", INPUTS, known)
    assert odd.why.startswith("golden.jsonl:1: the answer is not of the protocol v2")


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "golden.json has no rows"),
        ("{]", "this is not JSON"),
        ("[1]", "this is no truth: it needs rows, and what is right for them"),
        ('{"instances": [1]}', "this is no truth"),
        ('{"instances": [1, 2], "predictions": [1]}', "predictions has 1 entries for 2 rows"),
        ('{"instances": [1], "predictions": 1}', "predictions has no entries for 1 rows"),
    ],
)
def test_a_file_of_truths_that_is_none_is_refused(tmp_path: Path, text: str, what: str) -> None:
    (tmp_path / "golden.json").write_text(text)
    with pytest.raises(MlshipError, match=what.replace("[", r"\[")):
        truths(tmp_path, "golden.json", "mlship.yaml:3:3 model.golden")
    with pytest.raises(MlshipError, match=r"other\.json cannot be read"):
        truths(tmp_path, "other.json", "mlship.yaml:3:3 model.golden")


def rows_file(path: Path, text: str, form: Any, head: str = "") -> RowsFile:
    path.write_text(text)
    return RowsFile("holdout", path, form, "y", "mlship.yaml:4:3 model.holdout.data", "cd", head)


def test_labels_leave_the_rows_before_they_are_sent(tmp_path: Path) -> None:
    known = columns_of({"inputs": [{"name": "a"}, {"name": "b"}], "named": True}, has_hooks=False)
    csv = rows_file(tmp_path / "a.csv", 'b,y,a,note\n1,no,"x,1",-\n2,yes,z,-\n', "csv", "b,y,a,note\n")
    [part] = parts(csv, known)
    assert (part.labels, part.body) == (("no", "yes"), b'b,a\n1,"x,1"\n2,z\n')
    lines = rows_file(tmp_path / "a.jsonl", '{"a": 1, "b": null, "y": true, "note": 3}\n', "jsonl")
    [part] = parts(lines, known)
    assert (part.labels, json.loads(part.body)) == ((True,), {"instances": [{"a": 1, "b": None}]})
    by_place = Columns(("x0", "x1", "x2"), are_known=False)
    assert next(parts(csv, by_place)).body.startswith(b"x0,x1,x2\n")
    assert next(parts(csv, columns_of({}, has_hooks=True))).body.startswith(b"b,a,note\n")


def test_rows_without_a_label_are_refused(tmp_path: Path) -> None:
    file = rows_file(tmp_path / "a.csv", "a,y\n1,no\n2,\n", "csv", "a,y\n")
    with pytest.raises(MlshipError, match=r"row 1 of a\.csv has no label"):
        list(parts(file, Columns()))
    file = rows_file(tmp_path / "a.jsonl", '{"a": 1, "y": 1}\n[1]\n', "jsonl")
    with pytest.raises(MlshipError, match=r"row 1 of a\.jsonl is no object"):
        list(parts(file, Columns()))


def test_rows_are_measured_through_the_server(tmp_path: Path) -> None:
    file = rows_file(tmp_path / "a.jsonl", '{"a": 1, "y": "a"}\n{"a": 2, "y": "c"}\n', "jsonl")
    found = measure(side({"predictions": ["a", "b"]}), "churn", file, Columns(), ["a", "b", "c"])
    assert (found.rows, found.metrics["accuracy"]) == (2, 0.5)
    with pytest.raises(Unanswered, match=r"rows 0 to 1 of a\.jsonl: the server answers 503: busy"):
        measure(side({"error": "busy"}, 503), "churn", file, Columns(), [])
    with pytest.raises(Unmeasurable, match=r"rows 0 to 1 of a\.jsonl: the server answers 422: no a"):
        measure(side({"error": "no a"}, 422), "churn", file, Columns(), [])
    with pytest.raises(Unmeasurable, match="no predictions, but x"):
        measure(side({"x": []}), "churn", file, Columns(), [])


def test_limits_are_numbers_or_from_the_live_releases_figure(tmp_path: Path) -> None:
    limits = [parse("auc", 0.8), parse("accuracy", "baseline - 0.01"), parse("rmse", "baseline+1"), parse("f1", "baseline")]
    assert [limit.text for limit in limits] == [">= 0.8", ">= baseline - 0.01", "<= baseline + 1", ">= baseline"]
    new = Quality(100, "cd", {"auc": 0.79, "accuracy": 0.9, "rmse": 3.0, "f1": 0.5})
    known = Qualities(tmp_path)
    known.write("sha256:aa", "churn", Quality(100, "cd", {"accuracy": 0.905, "rmse": 1.5, "f1": 0.5}))
    known.write("sha256:aa", "churn", Quality(100, "ef", {"accuracy": 0.1}))
    baseline = known.of("sha256:aa", "churn", "cd")
    found = list(results(new, limits, baseline, "", ""))
    assert [result.verdict for result in found] == ["fail", "pass", "fail", "pass"]
    assert found[2].why == "rmse is 3, wanted <= 2.5 (baseline + 1)"
    assert quality_of(known.every("sha256:aa"), "churn", "cd") == baseline
    assert known.of("sha256:aa", "churn", "00") is None and known.of("sha256:bb", "churn", "cd") is None
    alone = list(results(new, limits[1:2], None, "there is no live release", "churn"))
    assert (alone[0].name, alone[0].verdict, alone[0].why) == (
        "holdout churn accuracy",
        "inconclusive",
        "there is no live release",
    )
    few = list(results(Quality(29, "cd", {"auc": 0.1}), limits[:1], None, "", ""))
    assert (few[0].verdict, few[0].why) == ("inconclusive", "29 rows say too little; it takes 30")
    odd = list(results(new, [parse("logloss", 1)], None, "", ""))
    assert odd[0].verdict == "fail"  # who asks for it wants it kept
    assert odd[0].why == "logloss cannot be told of these answers and labels; what can: accuracy, auc, f1, rmse"


def test_damaged_figures_are_told_apart_from_none(tmp_path: Path) -> None:
    known = Qualities(tmp_path)
    known.write("sha256:aa", "churn", Quality(1, "cd", {}))
    (tmp_path / "quality" / "aa.json").write_text("{")
    with pytest.raises(MlshipError, match="the measured quality is damaged"):
        known.of("sha256:aa", "churn", "cd")
    (tmp_path / "quality" / "aa.json").write_text('{"schema": 9}')
    with pytest.raises(MlshipError, match="written by another mlship"):
        known.of("sha256:aa", "churn", "cd")


def feature(name: str, dtype: str = "float64", **more: Any) -> dict[str, Any]:
    return {"name": name, "dtype": dtype, "nullable": False, "categories": None, "shape": [], **more}


def output(name: str, dtype: str = "float64", **more: Any) -> dict[str, Any]:
    return {"name": name, "dtype": dtype, "shape": [], "classes": None, **more}


def schema(inputs: list[dict[str, Any]], outputs: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    return {"inputs": inputs, "outputs": outputs or [], "extra": "refuse"}


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ([feature("age"), feature("x")], [feature("age")], "feature x is gone"),
        ([feature("plan_name")], [feature("plan_names")], "feature plan_name is gone; renamed to plan_names?"),
        ([feature("a")], [feature("a"), feature("b")], "feature b is new, and callers of before do not send it"),
        ([feature("a"), feature("b")], [feature("b"), feature("a")], "features stand in another order: b, a; before a, b"),
        ([feature("a")], [feature("a", "int64")], "feature a takes int64, before float64"),
        ([feature("a", nullable=True)], [feature("a")], "feature a takes null no more"),
        ([feature("a", shape=[3])], [feature("a", shape=[4])], r"feature a has the shape [4], before [3]"),
        ([feature("a", categories=["x", "y"])], [feature("a", categories=["x"])], "feature a takes no y"),
        ([feature("a")], [feature("a", categories=["x"])], "feature a takes a closed set of values now"),
        ([], [feature("a")], "features are checked now; before, any row was taken"),
    ],
)
def test_what_breaks_callers(before: list[dict[str, Any]], after: list[dict[str, Any]], said: str) -> None:
    assert said in change(schema(before), schema(after)).breaking


def test_outputs_that_go_or_turn_break_callers_and_new_ones_do_not() -> None:
    before = schema([], [output("predictions", "int64", classes=[0, 1]), output("score")])
    after = schema([], [output("predictions", "string", shape=[2], classes=[1, 2]), output("extra")])
    found = change(before, after)
    assert found.breaking == (
        "output score is gone", "output predictions gives string, before int64",
        "output predictions has the shape [2] a row, before []", "output predictions says 0 no more",
    )  # fmt: skip
    assert found.compatible == ("output extra is new", "output predictions may say 2")


def test_what_is_served_no_more_breaks_callers() -> None:
    before = {"protocols": ("native", "v2")}
    assert service_change(before, ("a", "b"), before, ("a", "b")) == Change()
    fewer = service_change(before, ("a", "b"), {"auth": {"keys": "K"}}, ("b",))
    assert fewer.breaking == ("model a is gone", "the protocol v2 is gone", "callers need a key now (serve.auth)")
    assert service_change(before, ("a",), before, ("b", "a")).breaking == ("/predict asks b, before a",)
    more = service_change({}, ("a",), before, ("a", "b"))
    assert (more.breaking, more.compatible) == ((), ("model b is new", "the protocol v2 is new"))


def test_what_takes_more_is_compatible() -> None:
    before = schema([feature("a", "int32"), feature("b", "string", categories=["x"]), feature("c", shape=[3])])
    after = schema([feature("a", nullable=True), feature("b", "string", categories=["x", "y"]), feature("c", shape=[-1])])
    found = change(before, after)
    assert (
        not found.breaking
        and "feature a also takes null" in found.compatible
        and "feature b takes more values" in found.compatible
    )
    assert (
        takes("uint8", "int16")
        and takes("float64", "float32")
        and not takes("int64", "int32")
        and not takes("string", "float64")
    )
    assert takes("bool", "any") and not takes("int16", "uint32")


def test_budgets() -> None:
    limit = Memory.parse("100MB")
    assert budgets.memory_result(99_000_000, limit).verdict == "pass"
    assert budgets.memory_result(None, limit).verdict == "inconclusive"
    assert budgets.memory_result(200_000_000, limit).why == "the server uses 200 MB, wanted <= 100 MB"
    assert budgets.start_result(2.0, Duration.parse("2s")).verdict == "pass"
    assert budgets.start_result(2.5, Duration.parse("2s")).why == "ready after 2.50 s, wanted <= 2 s"
    assert budgets.promise("p95_ms=40") == budgets.promise("p95=40ms") == budgets.Promise("p95_ms", 0.04)
    assert (budgets.promise(""), budgets.memory_limit(""), budgets.start_limit("")) == (None, None, None)
    for wrong in ("p95_ms", "p95_ms=-1", "mean_ms=4", "p95_ms=nan"):
        with pytest.raises(MlshipError, match="is no promise that can be measured"):
            budgets.promise(wrong)
    with pytest.raises(MlshipError, match="--max-memory lots"):
        budgets.memory_limit("lots")
    with pytest.raises(MlshipError, match="--max-start soon"):
        budgets.start_limit("soon")


def test_latency_is_judged_of_enough_requests_only() -> None:
    promised = budgets.Promise("p95_ms", 0.04)
    assert budgets.slo_result(Seen((0.03,) * 200, 3, 200), promised).verdict == "pass"
    assert budgets.slo_result(Seen((0.03,) * 199, 3, 199), promised).verdict == "inconclusive"
    assert budgets.slo_result(Seen((0.03, 0.05), 3, 2), promised).verdict == "inconclusive"
    assert budgets.slo_result(Seen((), 3, 2), promised).verdict == "inconclusive"
    few = budgets.slo_result(Seen((4.0,) * 3, 3, 3), promised)
    assert (few.verdict, few.why) == ("fail", "p95_ms is 4000 ms, wanted <= 40 ms")
    slow = budgets.slo_result(Seen((0.03,) * 180 + (0.05,) * 20, 3, 200), promised)
    assert (slow.verdict, slow.why) == ("fail", "p95_ms is 50 ms, wanted <= 40 ms")
    refused = budgets.slo_result(Seen((0.03,) * 180, 3, 200, (Given(0, 503, b"", 20),)), promised)
    assert (refused.verdict, refused.why) == ("fail", "p95_ms is no answer, wanted <= 40 ms")


def test_a_drill_fails_by_one_lost_request() -> None:
    assert drill_result(Counted(100, 40, Counter(), 1.2)).verdict == "pass"
    assert drill_result(Counted(100, 5, Counter(), 1.2)).verdict == "inconclusive"
    assert "still there 30 s after SIGTERM" in drill_result(Counted(100, 40, Counter(), None)).why
    lost = drill_result(Counted(100, 40, Counter({"Connection refused": 1}), 1.2))
    assert (lost.verdict, lost.why) == ("fail", "1 requests failed after SIGTERM or before, 1 of them: Connection refused")


def test_refusals_are_told_in_the_servers_words() -> None:
    assert refusal(Answer(0, b"timed out")) == "nothing answers (timed out)"
    assert refusal(Answer(502, b"<html>")) == "the server answers 502"
    assert not refusal(Answer(200))


PASSED = Result("sample", "pass", "v2", "20 rows equal", "all equal")
FAILED = Result("golden", "fail", "native", "wrong", "all equal", "golden.jsonl:1: \x1b[0m <b> & 'x'", "look at its units")
UNKNOWN = Result(
    "schema", "inconclusive", "", "", "nothing that breaks callers", "there is no live release on local", "mlship deploy"
)


def report(*said: Result, **more: Any) -> Report:
    missing = (NotAsked("drill", "mlship test --drill"),)
    return Report("churn", "prod", "the built image", "sha256:c41e07f2a1b3", said, missing, seconds=1.5, **more)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--live --image c41e07f2a1b3", "--live asks the live release, --image a built one"),
        ("--image c41e07f2a1b3", "there is no image 'c41e07f2a1b3' on this machine"),
        ("--key NONE_SUCH", "the variable NONE_SUCH is not set"),
        ("--only goldn", "did you mean golden?"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_is_built(
    options: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mlship.yaml").write_text("name: churn\nmodel: model.joblib\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLSHIP_HOME", str(tmp_path / "home"))
    assert run(["test", *options.split()]) == 2
    assert words in capsys.readouterr().err


def test_exits() -> None:
    assert report(PASSED, UNKNOWN).exit == Exit.OK
    assert report(PASSED, UNKNOWN, strict=True).exit == Exit.BUILD_FAILED
    assert report(PASSED, FAILED).exit == Exit.BUILD_FAILED
    crossed = Result("slo", "fail", "p95_ms")
    assert report(crossed, live=True).exit == Exit.DRIFTED and report(crossed).exit == Exit.BUILD_FAILED
    assert report(crossed, FAILED, live=True).exit == Exit.BUILD_FAILED


def test_people_read_what_was_measured_wanted_and_to_be_done() -> None:
    assert (
        report_text(report(PASSED, UNKNOWN))
        == """\
churn/prod  the built image  content c41e07f2a1b3
  pass  sample v2  20 rows equal  all equal
  ?     schema     -              nothing that breaks callers
not known: schema: there is no live release on local
  fix  mlship deploy
not asked
  drill  mlship test --drill
1 passed, 1 not known, 1 not asked  (1.5 s)"""
    )


def test_junit_is_well_formed_whatever_a_model_says() -> None:
    suite = ElementTree.fromstring(junit(report(PASSED, FAILED, UNKNOWN)))[0]
    assert {key: suite.get(key) for key in ("tests", "failures", "errors", "skipped")} == {
        "tests": "4", "failures": "1", "errors": "0", "skipped": "2",
    }  # fmt: skip
    assert [case.get("name") for case in suite] == ["sample v2", "golden native", "schema", "drill"]
    assert suite[1][0].get("message") == "golden.jsonl:1: ?[0m <b> & 'x'"
    strict = ElementTree.fromstring(junit(report(UNKNOWN, strict=True)))[0]
    assert (strict.get("errors"), strict[0][0].tag) == ("1", "error")
