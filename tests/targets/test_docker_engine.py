"""The door to the engine: unreachable is said with what to do, answers become values, streams are taken apart."""

from __future__ import annotations

import socket
import struct
from pathlib import Path
from typing import Any

import pytest

from mlship.errors import Exit, MlshipError
from mlship.targets.base import Answer
from mlship.targets.docker import failures
from mlship.targets.docker import seen as answers
from mlship.targets.docker.engine import Container, Engine, connect
from mlship.targets.docker.fleet import ended, unready
from mlship.targets.docker.spec import Address
from mlship.targets.docker.stream import STDERR, STDOUT, Broken, Conversation, packed


def test_no_engine_says_where_it_looked_and_what_to_do(tmp_path: Path) -> None:
    host = f"unix://{tmp_path}/docker.sock"
    with pytest.raises(MlshipError) as failed:
        connect({"DOCKER_HOST": host})
    assert failed.value.exit is Exit.UNREACHABLE
    assert failed.value.what == f"no Docker engine answers at {host}: No such file or directory"
    assert failed.value.fix == "start it (systemctl start docker), or name another one with DOCKER_HOST or docker context use"


def test_a_socket_that_may_not_be_opened_is_a_question_of_permission() -> None:
    error = failures.no_connection(
        "unix:///var/run/docker.sock", Exception("Error while fetching", PermissionError(13, "denied"))
    )
    assert error.exit is Exit.DENIED
    assert str(error) == "this user may not open unix:///var/run/docker.sock; sudo usermod -aG docker $USER, then log in again"


def test_an_unknown_context_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    with pytest.raises(MlshipError, match="there is no docker context 'faraway'; docker context ls"):
        connect({"DOCKER_CONTEXT": "faraway"})


def test_a_container_becomes_a_value() -> None:
    inspected = {
        "Id": "abc",
        "Name": "/mlship-churn-r1-abcdef",
        "Created": "2026-11-21T19:08:43.133645384Z",
        "Image": "sha256:1",
        "RestartCount": 2,
        "State": {"Status": "exited", "ExitCode": 137, "OOMKilled": True, "StartedAt": "0001-01-01T00:00:00Z", "Error": ""},
        "Config": {"Labels": {"a": "b"}, "Entrypoint": ["/usr/bin/python3.11", "-s"]},
        "HostConfig": {"Memory": 2**30, "PortBindings": {"8080/tcp": [{"HostIp": "127.0.0.1", "HostPort": "9090"}]}},
    }
    seen = answers.container_seen(inspected)
    assert (seen.name, seen.restarts, seen.started, seen.created) == ("mlship-churn-r1-abcdef", 2, 0.0, 1795288123.0)
    assert (seen.published, seen.python) == (Address("127.0.0.1", 9090), "/usr/bin/python3.11")
    assert ended(seen) == "out of memory (exit 137, limit 1GiB)"


LISTED = {
    "Id": "c1",
    "Names": ["/mlship-churn-r1-abcdef-1"],
    "ImageID": "sha256:aa",
    "Created": 1795313499,
    "Labels": {"mlship.release": "r1-abcdef"},
    "State": "exited",
    "Status": "Exited (0) 5 minutes ago",
    "NetworkSettings": {"Networks": {"mlship-churn": {"IPAMConfig": {"IPv4Address": "172.20.0.13"}, "IPAddress": ""}}},
}


class Listing:
    """An engine's interface with one running container, one that is kept and one that crashed; `asked`: those asked after."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def containers(self, **wanted: Any) -> list[dict[str, Any]]:
        crashed = {"Id": "c3", "State": "exited", "Status": "Exited (137) 2 seconds ago"}
        return [LISTED, {**LISTED, "Id": "c2", "State": "running", "Status": "Up 3 hours"}, {**LISTED, **crashed}]

    def inspect_container(self, name: str) -> dict[str, Any]:
        self.asked.append(name)
        state = {"Status": "exited", "ExitCode": 137, "OOMKilled": True}
        return {"Id": name, "Name": f"/{name}", "Image": "", "State": state, "Config": {}, "HostConfig": {}}


def test_of_a_kept_copy_a_list_tells_enough_and_of_a_crashed_one_it_does_not() -> None:
    kept = answers.stopped_seen(LISTED)
    assert kept is not None
    assert (kept.name, kept.state, kept.exit_code) == ("mlship-churn-r1-abcdef-1", "exited", 0)
    assert (kept.labels["mlship.release"], kept.addresses) == ("r1-abcdef", {"mlship-churn": "172.20.0.13"})
    listing = Listing()
    found = Engine(listing, "unix:///memory").containers(["mlship.role=replica"], brief=True)
    assert sorted(entry.id for entry in found) == ["c1", "c2", "c3"]
    assert sorted(listing.asked) == ["c2", "c3"]
    assert next(entry for entry in found if entry.id == "c3").out_of_memory
    whole = Engine(listing, "unix:///memory").containers(["mlship.role=replica"])
    assert len(whole) == 3 and len(listing.asked) == 5


def test_why_a_copy_does_not_run_is_one_line() -> None:
    container = Container("1", "x", {}, "exited", exit_code=3)
    assert ended(container) == "it ended with exit code 3"
    assert ended(Container("1", "x", {}, "created", complaint="port is already allocated")) == "port is already allocated"
    assert ended(Container("1", "x", {}, "paused")) == "it is paused"
    assert ended(Container("1", "x", {}, "running")) == ""


def test_what_the_probe_got_is_one_line() -> None:
    assert unready(None) == "it was never asked"
    assert unready(Answer(503, b'{"error": "loading"}\n')) == 'GET /readyz -> 503 {"error": "loading"}'
    assert unready(Answer(0, b"connection refused")) == "GET /readyz -> connection refused"


def test_a_log_line_is_time_and_text() -> None:
    assert answers.log_line(b"2026-11-21T19:08:43.1Z ready to serve\r") == ("2026-11-21T19:08:43.1Z", "ready to serve")


def frame(stream: int, content: bytes) -> bytes:
    return struct.pack(">BxxxL", stream, len(content)) + content


@pytest.fixture
def talk() -> Any:
    ours, theirs = socket.socketpair()
    conversation = Conversation(ours, 2.0)
    yield conversation, theirs
    conversation.close()
    theirs.close()


def test_an_answer_arrives_whole_however_it_was_cut(talk: Any) -> None:
    conversation, theirs = talk
    raw = packed({"text": "ä" * 40_000})
    for start in range(0, len(raw), 30_000):
        theirs.sendall(frame(STDOUT, raw[start : start + 30_000]))
        theirs.sendall(frame(STDERR, b"chatter\n"))
    assert conversation.ask({"op": "read"}) == {"text": "ä" * 40_000}
    assert theirs.recv(100) == b'13\n{"op":"read"}'


def test_a_process_that_dies_is_quoted(talk: Any) -> None:
    conversation, theirs = talk
    theirs.sendall(frame(STDERR, b"Traceback\nModuleNotFoundError: No module named 'mlship.keeper'\n"))
    theirs.shutdown(socket.SHUT_WR)
    with pytest.raises(Broken, match=r"No module named 'mlship\.keeper'"):
        conversation.ask({})


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (b"", "the process ended"),
        (b"hello\n", "it said b'hello'"),
        (b"9\n{}", "the process ended in the middle of its answer"),
        (b"2\n[]", "its answer is not a JSON object"),
        (b"2\n{]", "its answer is not a JSON object"),
    ],
)
def test_what_is_no_answer_is_broken(talk: Any, said: bytes, why: str) -> None:
    conversation, theirs = talk
    theirs.sendall(frame(STDOUT, said) if said else b"")
    theirs.shutdown(socket.SHUT_WR)
    with pytest.raises(Broken, match=why):
        conversation.ask({})
