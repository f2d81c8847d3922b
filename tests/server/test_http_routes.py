"""The routes of a real server process: what each answers, and how each refuses."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from served import SIGNATURE, Answer, Server, running, written

from mlship.server.core import ServedModel
from mlship.server.manifest import Model

ROWS = {"instances": [{"amount": 1, "city": "Rome"}, {"amount": 2.5, "city": None}]}
CSV = {"Content-Type": "text/csv"}
LINES = {"Content-Type": "application/jsonlines"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    path = written(tmp_path_factory.mktemp("demo"), max_body=2000, request_timeout_s=0.3)
    with running(path, MLSHIP_RELEASE="r7-abcdef", MLSHIP_CONTENT="c0ffee") as server:
        yield server


def error(answer: Answer) -> Any:
    return answer.json["error"]


def test_rows_come_back_as_predictions(server: Server) -> None:
    answer = server.ask("/predict", ROWS)
    assert (answer.status, answer.json) == (200, {"predictions": [2, 5.0]})
    assert server.ask("/predict", {"instances": [[1, "Rome"], [2.5, None]]}).json == {"predictions": [2, 5.0]}


def test_every_answer_names_release_and_request(server: Server) -> None:
    for answer in (
        server.ask("/predict", ROWS),
        server.ask("/nowhere"),
        server.ask("/predict", b"{"),
        server.ask("/predict", b"x" * 3000),
        server.ask("/ping", method="DELETE"),
    ):
        assert answer.headers["x-mlship-release"] == "r7-abcdef"
        assert re.fullmatch(r"[0-9a-f]{20}", answer.headers["x-request-id"])
    assert error(server.ask("/nowhere"))["problems"] == []


@pytest.mark.parametrize(
    ("given", "kept"), [("abc-1.2:3/4", True), ("x" * 129, False), ('a"b', False), ("a b", False), ("é", False)]
)
def test_a_callers_request_id_is_kept_when_it_is_sane(server: Server, given: str, kept: bool) -> None:
    answer = server.ask("/nowhere", headers={"X-Request-Id": given})
    assert (answer.headers["x-request-id"] == given) is kept
    assert answer.json["request_id"] == answer.headers["x-request-id"]


def test_the_release_can_be_asked_at_its_path_and_by_the_predict_body(server: Server) -> None:
    told = server.ask("/mlship/release").json
    assert {**told, "pid": 0} == {
        "release": "r7-abcdef",
        "project": "demo",
        "models": {"demo": "ab" * 32},
        "content": "c0ffee",
        "accepting": True,
        "ready": True,
        "workers": 1,
        "device": "cpu",
        "pid": 0,
        "mlship": "0.1.0",
    }
    assert server.ask("/predict", {"mlship": "release"}).json == told
    assert server.ask("/invocations", {"mlship": "release"}).json == told


@pytest.mark.parametrize(
    "path", ["/livez", "/readyz", "/ping", "/schema", "/openapi.json", "/docs", "/metrics", "/mlship/release", "/livez?x=1"]
)
def test_what_can_be_read_answers_get_and_head(server: Server, path: str) -> None:
    got = server.ask(path)
    head = server.ask(path, method="HEAD")
    assert (got.status, head.status, head.body) == (200, 200, b"")
    if path != "/metrics":
        assert head.headers["content-length"] == str(len(got.body))


BAD_BODIES = [
    (b"", {}, 400, "the body is empty; send {\"instances\": [...]}"),
    (b"{", {}, 400, "the body is not JSON: "),
    (b"\xff\xfe", {}, 400, "the body is not JSON: "),
    (b"[[1, null]]", {}, 400, 'the body must be {"instances": [...]}, got a list; wrap it: {"instances": [...]}'),
    (b'"x"', {}, 400, 'the body must be {"instances": [...]}, got the string "x"'),
    (b"{}", {}, 400, 'the body lacks "instances"; send {"instances": [...]}'),
    (b'{"instance": []}', {}, 400, 'the body lacks "instances"; it has "instance"; send {"instances": [...]}'),
    (b'{"instances": [], "parameters": {}}', {}, 400, 'the body has "parameters" beside "instances"; send {"instances": [...]}'),
    (b'{"instances": []}', {}, 400, "instances is empty; send at least one row"),
    (b'{"instances": [[1, 1e999]]}', {}, 422, 'row 0, feature "city": expected'),
    (b'{"instances": [[1e999, null]]}', {}, 422, 'row 0, feature "amount": expected a number, got Infinity'),
    (b'{"instances": [[NaN, null]]}', {}, 422, 'row 0, feature "amount": expected a number, got NaN'),
    (b'{"instances": [["30", null]]}', {}, 422, 'row 0, feature "amount": expected a number, got the string "30"; remove the quotes'),
    (b"[" * 3 + b"]" * 3, {"Content-Type": "application/xml"}, 415, "the content type application/xml is not taken; send one of"),
    (b"{}", {"Content-Type": "application/json; charset=latin-1"}, 415, "the charset latin-1 is not taken; send UTF-8"),
    (b"{}", {"Content-Encoding": "gzip"}, 415, "a compressed body is not taken; send it without Content-Encoding"),
    (b"{}\n{", LINES, 400, "line 2 is not JSON: "),
    (b'a,"b', CSV, 400, "the body is not CSV: unexpected end of data"),
    (b"\xff,1", CSV, 400, "the CSV is not UTF-8 (byte 0)"),
    (b"", CSV, 400, "instances is empty; send at least one row"),
    (b"abc,Rome", CSV, 422, 'row 0, feature "amount": expected a number, got the string "abc"'),
    (b"1,Rome,2", CSV, 422, "row 0 has 3 values; the model takes 2: amount, city"),
    (b"amount,town\n1,Rome", CSV, 422, '2 problems; the first: the CSV has a column "town" that the model does not know'),
    (b"amount\n1", {"Content-Type": "text/csv; header=present"}, 422, 'the CSV lacks the column "city"'),
    (b"amount,city,amount\n1,Rome,1", CSV, 422, 'the CSV has the column "amount" twice'),
    (b"amount,city\n1,Rome\n1", CSV, 422, "row 1 has 1 cells; the header has 2"),
    (b"inf,Rome", CSV, 422, 'row 0, feature "amount": expected a number, got the string "inf"'),
    (b",Rome", CSV, 422, 'row 0, feature "amount": expected a number, got null'),
]  # fmt: skip


@pytest.mark.parametrize(("body", "headers", "status", "message"), BAD_BODIES)
def test_a_body_that_cannot_be_taken_is_refused_with_its_reason(
    server: Server, body: bytes, headers: dict[str, str], status: int, message: str
) -> None:
    answer = server.ask("/predict", body, headers)
    assert (answer.status, error(answer)["message"][: len(message)]) == (status, message)
    assert answer.headers["content-type"] == "application/json"


def test_deep_json_is_refused_and_not_followed(server: Server) -> None:
    answer = server.ask("/predict", b"[" * 1990)
    assert answer.status == 400


def test_a_refused_row_is_named_in_the_answer(server: Server) -> None:
    answer = server.ask("/predict", {"instances": [[1, None], ["30", "Paris"]]})
    assert answer.status == 422
    assert error(answer)["code"] == "invalid_input"
    assert error(answer)["problems"][0] == {
        "row": 1,
        "feature": "amount",
        "value": "30",
        "expected": "a number",
        "message": 'row 1, feature "amount": expected a number, got the string "30"; remove the quotes',
    }
    assert error(answer)["problems"][1]["feature"] == "city"


def test_a_models_own_refusal_names_the_row_and_its_failure_shows_no_trace(server: Server) -> None:
    refused = server.ask("/predict", {"instances": [[1, None], [-1, None], [2, None]]})
    assert (refused.status, error(refused)["problems"][0]["row"]) == (422, 1)
    assert "ValueError: amounts are not negative" in error(refused)["message"]
    failed = server.ask("/predict", {"instances": [[-2, None]]}, {"X-Request-Id": "look-me-up"})
    assert (failed.status, error(failed)["code"]) == (500, "model_failed")
    assert error(failed)["message"] == "the model failed on this input; the log has the reason under this request id"
    assert b"secret" not in failed.body and b"Traceback" not in failed.body
    logged = server.event("model_failed")
    assert (logged["request_id"], logged["message"]) == ("look-me-up", "secret internals")
    assert "RuntimeError" in logged["trace"]


def test_a_result_that_is_not_finite_is_null(server: Server) -> None:
    assert server.ask("/predict", {"instances": [[-6, None]]}).json == {"predictions": [None]}


def test_an_answer_that_takes_too_long_is_given_up(server: Server) -> None:
    # the first one is run at once, as all before were quick; from then on the engine knows better
    answer = server.ask("/predict", {"instances": [[-4, None]]})
    late = server.ask("/predict", {"instances": [[-4, None]]})
    assert answer.status in (200, 504)
    assert (late.status, error(late)["message"]) == (504, "no answer within 0.3 s (serve.request_timeout)")
    # its call goes on, and until it is over others may be refused
    assert any(server.ask("/predict", ROWS).status == 200 for _ in range(10_000))


def test_csv_comes_back_as_csv_unless_accept_says_otherwise(server: Server) -> None:
    answer = server.ask("/predict", b"city,amount\nRome,1\n,2.5\n", CSV)
    assert (answer.headers["content-type"], answer.body) == ("text/csv; charset=utf-8", b"predictions\n2\n5.0\n")
    assert server.ask("/predict", b"1,Rome\n", {**CSV, "Accept": "application/json"}).json == {"predictions": [2]}
    assert server.ask("/predict", ROWS, {"Accept": "text/csv, */*;q=0.1"}).body == b"predictions\n2\n5.0\n"


def test_sagemaker_takes_its_formats_and_answers_csv_without_header(server: Server) -> None:
    assert server.ask("/ping").body == b""
    assert server.ask("/invocations", ROWS).json == {"predictions": [2, 5.0]}
    assert server.ask("/invocations", ROWS["instances"]).json == {"predictions": [2, 5.0]}
    assert server.ask("/invocations", b"1,Rome\n2.5,\n", CSV).body == b"2\n5.0\n"
    assert server.ask("/invocations", b"amount,city\n1,Rome\n", CSV).body == b"2\n"
    lines = server.ask("/invocations", b'{"features": [1, "Rome"]}\n[2.5, null]\n', LINES)
    assert (lines.headers["content-type"], lines.body) == ("application/jsonlines", b'{"predictions":2}\n{"predictions":5.0}\n')


def test_curls_default_content_type_is_read_as_json(server: Server) -> None:
    assert server.ask("/predict", ROWS, {"Content-Type": "application/x-www-form-urlencoded"}).status == 200


def test_unknown_paths_list_the_known_and_wrong_methods_the_right_ones(server: Server) -> None:
    missing = server.ask("/predictions")
    assert (missing.status, "/predict, " in error(missing)["message"]) == (404, True)
    wrong = server.ask("/predict")
    assert (wrong.status, wrong.headers["allow"]) == (405, "POST")
    assert error(wrong)["message"] == "GET is not possible at /predict; send POST"
    assert server.ask("/livez", ROWS).headers["allow"] == "GET, HEAD"


def test_the_schema_and_openapi_describe_this_model(server: Server) -> None:
    schema = server.ask("/schema").json
    assert [feature["name"] for feature in schema["inputs"]] == ["amount", "city"]
    document = server.ask("/openapi.json").json
    assert (document["openapi"], document["info"]["version"]) == ("3.1.0", "r7-abcdef")
    row = document["components"]["schemas"]["Row"]["oneOf"][0]
    assert row["properties"] == {"amount": {"type": "number"}, "city": {"enum": ["Rome", "Oslo </script><b>", None]}}
    example = document["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"]["example"]
    assert server.ask("/predict", example).status == 200


def test_the_docs_page_runs_nothing_but_its_own_script(server: Server) -> None:
    answer = server.ask("/docs")
    page = answer.body.decode()
    assert "Oslo </script>" not in page and "\\u003c/script\\u003e" in page
    assert not re.search(r"(src|href)=[\"']?(https?:|//)", page)
    assert "default-src 'none'; script-src 'sha256-" in answer.headers["content-security-policy"]
    inside = re.search(r'<script type="application/json" id="schema">(.*?)</script>', page, re.DOTALL)
    assert inside and json.loads(inside[1])["inputs"][1]["categories"][1] == "Oslo </script><b>"


def test_metrics_count_requests_rows_and_model_time(server: Server) -> None:
    def value(text: str, line: str) -> float:
        found = re.search(rf"^{re.escape(line)} (\S+)$", text, re.MULTILINE)
        return float(found[1]) if found else 0.0

    names = (
        'mlship_requests_total{route="/predict",status="200"}',
        'mlship_rows_total{model="demo"}',
        'mlship_model_seconds_count{model="demo"}',
    )
    before = server.ask("/metrics").body.decode()
    server.ask("/predict", ROWS)
    server.ask("/nowhere")
    after = server.ask("/metrics").body.decode()
    assert [value(after, name) - value(before, name) for name in names] == [1, 2, 1]
    assert value(after, 'mlship_request_seconds_count{route="/predict",status_class="2xx"}') > 0
    assert 'mlship_release_info{mlship="0.1.0",project="demo",release="r7-abcdef"} 1.0' in after
    assert value(after, "process_resident_memory_bytes") > 10e6
    assert "/nowhere" not in after and 'route="other",status="404"' in after


def test_the_tests_signature_is_what_the_core_checks() -> None:
    class Fake:
        title = "Fake"

        def predict(self, rows: Any) -> dict[str, Any]:
            return {"predictions": rows}

        def signature(self, sample: tuple[Any, ...]) -> Any:
            return SIGNATURE

    model = ServedModel(Model("m", "python", "none", "model", "", signature=SIGNATURE), Fake())
    assert model.answer([[1, "Rome"]]) == {"predictions": [[1, "Rome"]]}
