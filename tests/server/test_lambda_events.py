"""The real server process as a function of Lambda: its runtime API stands on loopback, and requests come as events."""

from __future__ import annotations

import base64
import http.client
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import served

from mlship.server import manifest
from mlship.targets.aws import lambda_service as played

pytestmark = pytest.mark.world

ROW = {"amount": 21, "city": "Rome"}
FAILS, REFUSED, SLEEPS = ({"amount": amount, "city": "Rome"} for amount in (-2, -1, -5))


@dataclass
class Function:
    """process: the server. front: port of the function's URL."""

    process: served.Server
    service: played.Function
    front: int

    def ask(self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> served.Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.front, timeout=20)
        try:
            connection.request(method, path, body or None, headers or {"Content-Type": "application/json"})
            got = connection.getresponse()
            return served.Answer(got.status, {name.lower(): value for name, value in got.getheaders()}, got.read())
        finally:
            connection.close()

    def predict(self, *rows: Any, **headers: str) -> served.Answer:
        return self.ask("POST", "/predict", json.dumps({"instances": rows}).encode(), headers or None)

    def invoke(self, event: Any) -> served.Answer:
        return self.ask("POST", played.INVOKE + "it/invocations", json.dumps(event).encode())


@contextmanager
def function(
    folder: Path, timeout_s: float = 30.0, environ: dict[str, str] | None = None, **serving: Any
) -> Iterator[Function]:
    service = played.Function(timeout_s)
    api = played.opened(service, played.RuntimeApi, "127.0.0.1", 0)
    front = played.opened(service, played.Front, "127.0.0.1", 0)
    named = {
        "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{api.server_port}",
        "AWS_LAMBDA_FUNCTION_NAME": "churn",
        "AWS_LAMBDA_FUNCTION_VERSION": "7",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1769",
        "MLSHIP_RELEASE": "r41-9c01d2",
    }
    try:
        with served.launched(served.written(folder, **serving), **{**named, **(environ or {})}) as process:
            assert service.has_started.wait(20), process.errors
            yield Function(process, service, front.server_port)
    finally:
        for server in (api, front):
            server.shutdown()
            server.server_close()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Function]:
    with function(tmp_path_factory.mktemp("lambda"), max_body=50_000) as found:
        yield found


def test_a_request_is_answered_as_by_every_server(running: Function) -> None:
    answer = running.predict(ROW, ROW)
    assert (answer.status, answer.json) == (200, {"predictions": [42, 42]})
    assert answer.headers["x-mlship-release"] == "r41-9c01d2" and answer.headers["content-type"] == "application/json"
    assert answer.headers["x-request-id"]
    assert running.predict(ROW, **{"X-Request-Id": "mine-1"}).headers["x-request-id"] == "mine-1"


def test_every_route_of_the_server_is_there(running: Function) -> None:
    told = running.ask("GET", "/mlship/release").json
    assert (told["release"], told["ready"], told["workers"]) == ("r41-9c01d2", True, 1)
    assert running.ask("GET", "/readyz").status == 200
    body = json.dumps({"inputs": [{"name": "x", "shape": [1], "datatype": "FP64", "data": [3]}]}).encode()
    assert running.ask("POST", "/v2/models/demo/infer", body).status in (200, 400, 422)
    assert running.ask("HEAD", "/readyz").body == b""
    assert running.ask("GET", "/nowhere").status == 404


def test_csv_goes_in_and_comes_out(running: Function) -> None:
    answer = running.ask("POST", "/predict", b"amount,city\n4,Rome\n", {"Content-Type": "text/csv"})
    assert (answer.status, answer.body) == (200, b"predictions\n8.0\n") or answer.body == b"predictions\n8\n"
    assert answer.headers["content-type"].startswith("text/csv")


def test_a_body_in_base64_is_read(running: Function) -> None:
    answer = running.ask(
        "POST", "/predict", json.dumps({"instances": [ROW]}).encode(), {"Content-Type": "application/octet-stream"}
    )
    assert answer.status == 415  # the type is judged as it always is
    event = {
        "version": "2.0",
        "rawPath": "/prod/predict",
        "rawQueryString": "",
        "headers": {"content-type": "application/json"},
        "requestContext": {"http": {"method": "POST"}, "stage": "prod"},
        "isBase64Encoded": True,
        "body": base64.b64encode(json.dumps({"instances": [ROW]}).encode()).decode(),
    }
    told = running.invoke(event).json
    assert told["statusCode"] == 200 and json.loads(told["body"]) == {"predictions": [42]}
    assert running.invoke({**event, "body": "no base64!"}).json["statusCode"] == 400
    assert running.invoke({**event, "version": "1.0"}).json["statusCode"] == 400


def test_an_event_of_rows_is_a_prediction(running: Function) -> None:
    assert running.invoke({"instances": [ROW]}).json == {"predictions": [42]}
    assert running.invoke({"mlship": "release"}).json["release"] == "r41-9c01d2"


def test_what_is_wrong_with_rows_is_told_and_the_loop_goes_on(running: Function) -> None:
    assert running.predict({"amount": "many", "city": "Rome"}).status == 422
    assert running.ask("POST", "/predict", b"{").status == 400
    assert running.predict(REFUSED).status == 422
    refused = running.invoke({"instances": [REFUSED]})
    assert refused.json["status"] == 422 and "x-amz-function-error" not in refused.headers
    assert running.ask("POST", "/predict", b" " * 60_000).status == 413
    assert running.invoke([1, 2]).json["status"] == 400
    assert running.predict(ROW).json == {"predictions": [42]}


def test_an_error_in_the_model_ends_nothing(running: Function) -> None:
    answer = running.predict(FAILS)
    assert answer.status == 500 and b"secret internals" not in answer.body
    failed = running.invoke({"instances": [FAILS]})
    assert failed.headers["x-amz-function-error"] == "Unhandled"
    assert failed.json["errorType"] == "mlship.Failed" and "secret internals" not in failed.json["errorMessage"]
    assert running.predict(ROW).json == {"predictions": [42]}
    assert running.process.process.poll() is None


def test_many_events_are_answered_in_their_order(running: Function) -> None:
    for amount in range(200):
        assert running.invoke({"instances": [{"amount": amount, "city": "Rome"}]}).json == {"predictions": [2 * amount]}


def test_a_model_that_does_not_answer_in_time_is_left_behind(tmp_path: Path) -> None:
    with function(tmp_path, environ={"MLSHIP_STUCK_S": "0.3"}, request_timeout_s=0.2) as slow:
        late = slow.predict(SLEEPS)
        assert late.status == 504 and "serve.request_timeout" in late.json["error"]["message"]
        assert slow.predict(ROW).status == 504  # it is still asked
        assert slow.process.wait() == 1
        assert slow.process.event("model_stuck")


def test_an_impatient_caller_ends_nothing(tmp_path: Path) -> None:
    with function(tmp_path) as running:
        for _ in range(3):
            late = running.predict(
                {"amount": -4, "city": "Rome"}, **{"X-Request-Timeout-Ms": "20", "Content-Type": "application/json"}
            )
            assert late.status == 504 and "within 0.02 s" in late.json["error"]["message"]
        assert running.predict(ROW).json == {"predictions": [42]}


def test_the_functions_own_timeout_is_kept(tmp_path: Path) -> None:
    with function(tmp_path, timeout_s=0.5, request_timeout_s=20) as short:
        late = short.predict(SLEEPS)
        assert late.status == 504 and "the function's own timeout" in late.json["error"]["message"]


def test_a_start_that_fails_is_told_to_lambda(tmp_path: Path) -> None:
    with function(tmp_path, environ={"DOUBLER_FAILS": "1"}) as failed:
        told = json.loads(failed.service.start_error)
        assert "the weights are gone" in told["errorMessage"] and told["errorType"] == "mlship.StartFailed"
        assert failed.process.wait() == 1
        assert failed.process.event("start_failed")["model"] == "demo"


def test_callers_are_judged_where_serve_auth_says_so(tmp_path: Path) -> None:
    environ = {"MLSHIP_OPERATOR_KEY": "k" * 40, "DEMO_KEYS": "anna: " + "a" * 40}
    with function(tmp_path, environ=environ, auth=manifest.Auth(api_keys="DEMO_KEYS")) as closed:
        assert closed.predict(ROW).status == 401
        assert closed.predict(ROW, Authorization="Bearer " + "k" * 40, **{"Content-Type": "application/json"}).status == 200
        assert closed.invoke({"instances": [ROW]}).json["status"] == 401
        assert closed.ask("GET", "/mlship/release").status == 200


def test_a_failure_is_counted_in_the_log(tmp_path: Path) -> None:
    with function(tmp_path) as watched:
        assert watched.predict(FAILS).status == 500
        watched.process.process.kill()
        assert watched.process.process.stdout is not None
        lines = [json.loads(line) for line in watched.process.process.stdout.read().splitlines()]
    (counted,) = [line for line in lines if "_aws" in line]
    assert (counted["FunctionName"], counted["ExecutedVersion"], counted["Failures"]) == ("churn", "7", 1)
    (metric,) = counted["_aws"]["CloudWatchMetrics"]
    assert metric["Dimensions"] == [["FunctionName", "ExecutedVersion"]]
    (line,) = [line for line in lines if line.get("event") == "request"]
    assert line["status"] == 500


def test_an_answer_that_lambda_would_not_hand_on_is_refused_with_the_reason(running: Function) -> None:
    running.service.answer_bytes = 1_000
    refused = running.predict(*[ROW] * 1_000)
    assert refused.status == 413 and "ask for fewer rows" in refused.json["error"]["message"]
    assert refused.json["error"]["code"] == "answer_too_large"
    direct = running.invoke({"instances": [ROW] * 1_000})
    assert direct.json["status"] == 413
    running.service.answer_bytes = played.ANSWER_BYTES
    assert running.predict(*[ROW] * 1_000).status == 200
