"""Calls to an engine whose connection is cut, what counts as done already, and where an engine is over ssh."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import docker
import pytest
import requests
import urllib3

from mlship.errors import Exit, MlshipError
from mlship.runner import Command, Result
from mlship.targets.docker import failures, ssh
from mlship.targets.docker.engine import PAUSES_S, PORT_PAUSES_S, Engine, EngineRefused, Unreachable, repeated
from mlship.targets.docker.seen import Usage, usage_seen

CUT = requests.exceptions.ConnectionError(
    urllib3.exceptions.ProtocolError("Connection aborted.", ConnectionResetError(104, "reset"))
)


class Api:
    """Answers each call from a list; an exception in it is raised."""

    def __init__(self, **answers: list[Any]) -> None:
        self.answers = answers
        self.asked: list[str] = []

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            self.asked.append(name)
            answer = self.answers[name].pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer

        return call


def engine(**answers: list[Any]) -> tuple[Engine, Api, list[float]]:
    api, slept = Api(**answers), []
    return Engine(api, "unix:///x", slept.append), api, slept


def refusal(status: int, why: str = "no") -> docker.errors.APIError:
    response = requests.Response()
    response.status_code = status
    kind = docker.errors.NotFound if status == 404 else docker.errors.APIError
    return kind("refused", response, why)


def inspected(**changes: Any) -> dict[str, Any]:
    return {
        "Id": "id1",
        "Name": "/door",
        "Image": "sha256:1",
        "State": {"Status": "running"},
        "Config": {"Labels": {"mlship.spec": "abc", "mlship.project": "churn"}},
        "HostConfig": {},
        **changes,
    }


def test_a_call_whose_connection_is_cut_is_made_again():
    door, api, slept = engine(start=[CUT, CUT, None])
    door.start("id1")
    assert api.asked == ["start"] * 3
    assert slept == list(PAUSES_S[:2])


def test_a_line_that_stays_cut_is_given_up():
    door, api, _ = engine(start=[CUT] * 9)
    with pytest.raises(Unreachable):
        door.start("id1")
    assert len(api.asked) == len(PAUSES_S) + 1


@pytest.mark.parametrize(
    "error",
    [
        requests.exceptions.ReadTimeout("60 s"),
        requests.exceptions.ConnectionError(ConnectionRefusedError(111, "refused")),
        requests.exceptions.ConnectionError(urllib3.exceptions.ProtocolError("aborted", FileNotFoundError(2, "no such file"))),
    ],
)
def test_silence_and_an_engine_that_is_not_there_are_said_at_once(error):
    door, api, slept = engine(start=[error, None])
    with pytest.raises(Unreachable):
        door.start("id1")
    assert (api.asked, slept) == (["start"], [])


def test_a_port_that_is_given_back_late_is_waited_for():
    taken = refusal(500, "driver failed: Bind for 127.0.0.1:9000 failed: port is already allocated")
    door, api, slept = engine(start=[taken, taken, None])
    door.start("id1")
    assert (api.asked, slept) == (["start"] * 3, list(PORT_PAUSES_S[:2]))
    door, api, slept = engine(start=[taken] * 5)
    with pytest.raises(EngineRefused, match="port is already allocated"):
        door.start("id1")
    assert (len(api.asked), slept) == (5, list(PORT_PAUSES_S))
    door, api, slept = engine(start=[refusal(500)])
    with pytest.raises(EngineRefused):
        door.start("id1")
    assert slept == []


def test_half_an_answer_is_a_cut():
    error = failures.no_connection("unix:///x", requests.exceptions.JSONDecodeError("Expecting value", "", 0))
    assert isinstance(error, Unreachable)
    assert error.was_cut
    assert error.what == "no Docker engine answers at unix:///x: the connection was cut in the middle of an answer"


def test_what_is_no_error_of_the_connection_is_not_repeated():
    asked = []

    def call() -> None:
        asked.append(1)
        raise MlshipError("no")

    with pytest.raises(MlshipError, match="no"):
        repeated(call, lambda pause_s: None)
    assert asked == [1]


def test_a_container_that_the_cut_call_made_counts_as_made():
    door, _, _ = engine(create_container_from_config=[CUT, refusal(409)], inspect_container=[inspected()])
    assert door.create("door", {"Labels": {"mlship.spec": "abc"}}) == "id1"


def test_a_container_of_another_specification_does_not_count():
    door, _, _ = engine(create_container_from_config=[refusal(409)], inspect_container=[inspected()])
    with pytest.raises(EngineRefused) as refused:
        door.create("door", {"Labels": {"mlship.spec": "other"}})
    assert refused.value.status == 409


def test_a_connection_to_a_network_that_is_there_counts():
    there = inspected(NetworkSettings={"Networks": {"mlship-churn": {"IPAMConfig": {"IPv4Address": "172.20.0.2"}}}})
    door, _, _ = engine(connect_container_to_network=[refusal(403), refusal(403)], inspect_container=[there, there])
    door.connect("mlship-churn", "id1", "172.20.0.2")
    with pytest.raises(EngineRefused):
        door.connect("mlship-churn", "id1", "172.20.0.3")


def test_stopping_waits_as_long_as_the_container_may_take():
    waits = []
    door, api, _ = engine(inspect_container=[inspected(Config={"StopTimeout": 128})])
    api.stop = lambda container, timeout: waits.append(timeout)
    door.stop("id1")
    assert waits == [128]


@pytest.mark.parametrize("idle", ["total_inactive_file", "inactive_file"], ids=["control groups 1", "control groups 2"])
def test_memory_that_is_only_a_cache_of_files_is_not_taken(idle):
    stats = {"memory_stats": {"usage": 100, "stats": {idle: 30}}, "cpu_stats": {"cpu_usage": {"total_usage": 2_500_000_000}}}
    assert usage_seen(stats) == Usage(70, 2.5)


@pytest.mark.parametrize(
    ("address", "argv", "text"),
    [
        ("ssh://deploy@shop.test:2222", ("-l", "deploy", "-p", "2222", "--", "shop.test"), "ssh -p 2222 deploy@shop.test"),
        ("ssh://shop", ("--", "shop"), "ssh shop"),
        ("ssh://me@[::1]:22/", ("-l", "me", "-p", "22", "--", "::1"), "ssh -p 22 me@::1"),
    ],
)
def test_an_address_over_ssh_becomes_a_login(address, argv, text):
    known = ssh.login(address, {})
    assert known.argv == ("ssh", *ssh.OPTIONS, *argv)
    assert known.text == text


@pytest.mark.parametrize("address", ["ssh://", "ssh://-oA=x", "ssh://a:hush@b", "ssh://a@b:port", "ssh://a@b/docker.sock"])
def test_what_is_no_address_over_ssh_is_refused(address):
    with pytest.raises(MlshipError, match="is no address of an engine") as refused:
        ssh.login(address, {})
    assert refused.value.exit is Exit.USAGE
    assert "hush" not in refused.value.what


class Remote:
    """What ssh's programs answer, by the last words of the command."""

    def __init__(self, **codes: int) -> None:
        self.codes = codes

    def run(self, command: Command) -> Result:
        word = next(word for word in self.codes if word in command.argv)
        return Result(self.codes[word], b"", b"it said so\n")


def test_a_login_that_may_not_use_the_engine_is_told_so():
    error = ssh.diagnosis("ssh://deploy@shop", Remote(version=1, test=0), {})
    assert (error.exit, error.what) == (Exit.DENIED, "this login may not use the engine at ssh://deploy@shop")
    assert error.fix == "ssh deploy@shop 'sudo usermod -aG docker $USER'"


def test_an_engine_that_does_not_run_over_there_is_told_so():
    error = ssh.diagnosis("ssh://deploy@shop", Remote(version=1, test=1), {})
    assert (error.exit, error.details) == (Exit.UNREACHABLE, ("it said so",))
    assert "docker on shop reaches no engine" in error.what


def test_a_line_that_stands_again_may_be_tried_again():
    error = ssh.diagnosis("ssh://deploy@shop", Remote(version=0), {})
    assert isinstance(error, Unreachable)
    assert error.was_cut
