"""What mlship test --as judges, without an engine: each platform's facts, and each rule's words."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from mlship.cli.app import run
from mlship.errors import MlshipError
from mlship.flows.gating.drill import Counted
from mlship.flows.gating.platform_beside import beside_body, joined
from mlship.flows.gating.platform_rules import (
    CHECKS,
    KILLED,
    PLATFORMS,
    Seen,
    body_result,
    caller_of,
    closed_result,
    direct_result,
    form_of,
    health_result,
    image_result,
    start_result,
    stop_result,
    stranger_in,
    time_result,
    type_result,
)
from mlship.flows.gating.platform_words import Listener, last_words, listeners
from mlship.server.settings import settings_from
from mlship.targets.caller import Caller

SAGEMAKER, VERTEX, ECS, CLOUD_RUN, LAMBDA = (PLATFORMS[name] for name in ("sagemaker", "vertex", "ecs", "cloud-run", "lambda"))
TCP = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid
   0: 00000000:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000 65532
   1: 0100007F:2328 00000000:0000 0A 00000000:00000000 00:00000000 00000000 65532
   2: 020011AC:1F90 010011AC:D2F4 01 00000000:00000000 00:00000000 00000000 65532
"""
TCP6 = """\
  sl  local_address                         remote_address                        st
   0: 00000000000000000000000000000000:1F91 00000000000000000000000000000000:0000 0A
   1: 00000000000000000000000001000000:1F92 00000000000000000000000000000000:0000 0A
"""


LISTENED = {name: caller for name, caller in PLATFORMS.items() if not caller.beside}


@pytest.mark.parametrize("caller", LISTENED.values(), ids=list(LISTENED))
def test_the_server_listens_where_each_platform_calls(caller: Caller) -> None:
    settings = settings_from({"MLSHIP_MANIFEST": "/manifest.json", **caller.environ})
    assert (settings.host, settings.port) == ("0.0.0.0", caller.port)
    assert settings.vertex_predict in ("", *caller.paths.values())
    assert settings.vertex_health in ("", caller.health.path)
    assert max(settings.drain_timeout_s, settings.drain_delay_s) + 1 < caller.grace_s


@pytest.mark.parametrize("caller", PLATFORMS.values(), ids=list(PLATFORMS))
def test_each_fact_has_a_source_that_can_be_opened(caller: Caller) -> None:
    assert caller.sources and all("." in source and any(digit in source for digit in "0123456789") for source in caller.sources)
    assert caller.start_rule and caller.grace_rule and caller.port_from


def test_where_processes_listen_is_read_from_the_kernels_tables() -> None:
    found = listeners({"tcp": TCP, "tcp6": TCP6})
    assert list(map(str, found)) == ["0.0.0.0:8080", ":::8081", "::1:8082", "127.0.0.1:9000"]
    assert [one.is_reached for one in found] == [True, True, False, False]


def test_a_log_s_last_error_is_what_it_says() -> None:
    failed = json.dumps({"level": "error", "event": "start_failed", "message": "no model", "error": "OSError"})
    assert last_words(["first", failed, "{", json.dumps({"level": "info", "message": "later"})]) == "no model (OSError)"
    assert last_words(["Traceback", "KeyError: 'x'", ""]) == "KeyError: 'x'"
    assert last_words([]) == ""


def why(result: object) -> str:
    assert result.verdict == "fail", result
    return f"{result.why}; {result.fix}"


def test_a_start_in_time_passes_and_a_late_one_names_the_platform_s_rule() -> None:
    assert start_result(VERTEX, Seen(39.0, 39.0)).verdict == "pass"
    assert why(start_result(VERTEX, Seen(41.0, 41.0))).startswith("Vertex AI would have given it up: 4 attempts to connect")
    assert why(start_result(VERTEX, Seen(None, 40.1))).startswith("Vertex AI gives it up: 4 attempts to connect")


def test_a_container_that_ended_says_why_in_its_own_words() -> None:
    broken = Seen(None, 1.0, exit_code=1, words="OSError: [Errno 30] Read-only file system: '/opt/x'")
    said = start_result(ECS, broken)
    assert (said.measured, said.fix) == ("ended with exit 1", "write below /tmp alone")
    assert said.why.endswith("'/opt/x'; as ECS runs it, the root file system is read-only")
    assert "may not write everywhere" in why(start_result(VERTEX, replace(broken, words="[Errno 13] Permission denied")))
    assert why(start_result(VERTEX, replace(broken, words="no model"))).startswith(
        "the container ended while it started: no model;"
    )
    assert "ran out of memory" in why(start_result(VERTEX, replace(broken, is_out_of_memory=True)))


def test_a_listener_elsewhere_is_named_with_where_the_platform_calls() -> None:
    elsewhere = Seen(None, 5.0, listeners=(Listener(9000, "0.0.0.0"), Listener(8080, "127.0.0.1")))
    assert why(start_result(VERTEX, elsewhere)).startswith(
        "the server listens on 0.0.0.0:9000, 127.0.0.1:8080, and Vertex AI calls 0.0.0.0:8080 (AIP_HTTP_PORT); take PORT"
    )


def test_a_route_that_is_not_spoken_names_the_protocol() -> None:
    said = why(start_result(SAGEMAKER, Seen(None, 4.0, health="404", by_itself=True)))
    assert said == "the server is ready, and GET /ping answers 404; add sagemaker to serve.protocols"
    assert why(start_result(SAGEMAKER, Seen(None, 4.0, health="503"))).startswith("GET /ping answers 503; ")
    assert why(start_result(SAGEMAKER, Seen(None, 4.0, words="last line"))).startswith("nothing listens: last line; ")


def test_somebody_else_at_the_container_s_address_is_named() -> None:
    assert stranger_in(200, b'{"release": "r0-aaaaaa"}', "r0-aaaaaa") == ""
    assert stranger_in(0, b"refused", "r0-aaaaaa") == stranger_in(503, b"not yet", "r0-aaaaaa") == ""
    other = stranger_in(200, b'{"release": "r7-bbbbbb"}', "r0-aaaaaa")
    said = why(start_result(LAMBDA, Seen(0.1, 0.1, stranger=other)))
    assert said.startswith("at the container's address a server of r7-bbbbbb answers, and not this container; run it again")
    assert stranger_in(404, b"<html>", "r0-aaaaaa") == "something that answers GET /mlship/release with 404"


def test_an_image_for_machines_that_the_platform_has_not() -> None:
    assert image_result(CLOUD_RUN, "linux/amd64", 10**6).verdict == "pass"
    said = why(image_result(CLOUD_RUN, "linux/arm64", 10**6))
    assert said == "Cloud Run has no machines for linux/arm64; write build: {platforms: [linux/amd64]}"


def test_the_form_is_the_platform_s_own_or_what_the_image_speaks() -> None:
    assert form_of(VERTEX, {"protocols": ["native"]}) == "vertex"
    assert form_of(ECS, {"protocols": ["v2", "native"]}) == "native"
    assert form_of(ECS, {"protocols": ["v2"]}) == "v2"
    both = {"protocols": ["sagemaker", "mlflow"], "invocations": "mlflow"}
    assert (form_of(SAGEMAKER, both), form_of(SAGEMAKER, {**both, "invocations": "sagemaker"})) == ("mlflow", "sagemaker")


def test_the_server_gives_up_before_the_platform() -> None:
    assert time_result(SAGEMAKER, {"request_timeout_s": 60.0}).verdict == "pass"
    assert why(time_result(SAGEMAKER, {"request_timeout_s": 61.0})).startswith("SageMaker waits 60 s for an answer")


def test_health_that_fails_or_is_not_loaded() -> None:
    assert health_result(SAGEMAKER, 0.01, [], 20, 100).verdict == "pass"
    assert health_result(SAGEMAKER, 0.01, [], 20, 0).verdict == "inconclusive"
    assert why(health_result(SAGEMAKER, 3.0, ["such as 503 after 3.0 s"], 20, 9)).startswith("1 of 20 health checks failed")


def test_a_closed_service_behind_a_platform_that_keeps_the_key() -> None:
    assert why(closed_result(VERTEX)).startswith("serve.auth judges callers by the Authorization header, and Vertex AI keeps")


@pytest.mark.parametrize(("status", "verdict"), [(415, "pass"), (400, "pass"), (200, "fail"), (500, "fail"), (0, "fail")])
def test_a_body_of_another_kind_is_to_be_refused(status: int, verdict: str) -> None:
    assert type_result(VERTEX, status, "reset").verdict == verdict


def test_the_largest_body_is_answered_or_refused_in_words() -> None:
    assert body_result(SAGEMAKER, 6_000_000, 4_000_000, 413, "", goes_on=True).verdict == "pass"
    assert body_result(VERTEX, 1_500_000, 4_000_000, 200, "", goes_on=True).verdict == "pass"
    cut = why(body_result(SAGEMAKER, 6_000_000, 4_000_000, 0, "Broken pipe", goes_on=True))
    assert cut.startswith("to a body of 6.0 MB, which SageMaker lets through, the server ends the connection (Broken pipe)")
    assert "answers no more" in why(body_result(SAGEMAKER, 6_000_000, 4_000_000, 413, "", goes_on=False))


def test_a_stop_that_loses_requests_or_is_killed() -> None:
    fine = Counted(answered=100, behind=30, left_s=2.0)
    assert stop_result(CLOUD_RUN, fine, 0).verdict == "pass"
    assert stop_result(CLOUD_RUN, replace(fine, answered=25, behind=5), 0).verdict == "inconclusive"
    lost = why(stop_result(CLOUD_RUN, replace(fine, failed=Counter({"status 503": 2})), 0))
    assert lost.startswith("2 requests failed around SIGTERM, 2 of them: status 503")
    for code, left_s in ((KILLED, 10.2), (None, None)):
        late = stop_result(CLOUD_RUN, replace(fine, left_s=left_s), code)
        assert late.measured.endswith("killed after 10 s")
        assert "still there 10 s after SIGTERM, and Cloud Run kills it" in why(late)
    assert stop_result(CLOUD_RUN, fine, KILLED).measured.endswith("gone after 2.0 s")


def test_platforms_and_checks_that_there_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(MlshipError, match="no such platform") as refused:
        caller_of("sagemakr")
    assert refused.value.fix == "did you mean sagemaker?"
    with pytest.raises(MlshipError, match="heroku: no such platform"):
        caller_of("heroku")
    (tmp_path / "mlship.yaml").write_text("name: shop\nmodel: m.json\n")
    monkeypatch.chdir(tmp_path)
    told = {
        ("--drill",): "--as asks what a platform demands of the container, --drill something else",
        ("--only", "golden"): "--as has no check golden (a gate of mlship test without --as)",
    }
    for words, said in told.items():
        assert run(["test", "--as", "ecs", *words]) == 2
        assert said in capsys.readouterr().err


def test_every_check_has_a_result_of_its_name() -> None:
    named = {
        image_result(ECS, "linux/amd64", 1), time_result(ECS, {}), start_result(ECS, Seen(1.0, 1.0)), closed_result(ECS),
        health_result(ECS, 0.1, [], 1, 1), type_result(ECS, 400, ""), body_result(ECS, 1, 1, 200, "", goes_on=True),
        stop_result(ECS, Counted(), 0), direct_result(LAMBDA, True, "", False),
    }  # fmt: skip
    assert {result.gate for result in named} == set(CHECKS)


def test_rows_alone_are_answered_as_a_request_is_or_refused_where_callers_are_judged() -> None:
    assert direct_result(LAMBDA, True, "", False).verdict == "pass"
    assert direct_result(LAMBDA, False, '{"error": {}, "status": 401}', True).verdict == "pass"
    assert why(direct_result(LAMBDA, True, '{"predictions": [1]}', True)).startswith("to an event that is only rows, as Invoke")
    assert "the function answers Task timed out" in why(direct_result(LAMBDA, False, "Task timed out", False))


def test_a_platform_that_its_containers_ask_stands_in_a_container_beside_them() -> None:
    body = {
        "Image": "churn:1", "Labels": {"mlship.test": "churn"}, "Env": ["A=b"], "ExposedPorts": {"8080/tcp": {}},
        "HostConfig": {"Memory": 512 * 2**20, "PortBindings": {"8080/tcp": []}, "ReadonlyRootfs": True},
    }  # fmt: skip
    beside = beside_body(LAMBDA, body, "/opt/python", 4711)
    assert beside["Entrypoint"][:3] == ["/opt/python", "-S", "-c"] and "class RuntimeApi" in beside["Entrypoint"][3]
    assert beside["HostConfig"]["PortBindings"]["8080/tcp"][0]["HostPort"] == "4711"
    led = joined(body, "4f2a")
    shared = {"/dev/shm": "ro,size=4k"}
    assert led["HostConfig"] == {
        "Memory": 512 * 2**20, "ReadonlyRootfs": True, "NetworkMode": "container:4f2a", "Tmpfs": shared,
    }  # fmt: skip
    assert "ExposedPorts" not in led
    assert led["Env"] == ["A=b", "AWS_LAMBDA_RUNTIME_API=127.0.0.1:9001", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE=512"]
