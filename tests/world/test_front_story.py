"""The front under load, with a real HAProxy on loopback: what its recipe promises, measured."""

from __future__ import annotations

import http.client
import json
import os
import random
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path

import pytest
from front_load import load
from keeper_front import FIRST, PROJECT, SECOND, World, world

from mlship.keeper import wire

pytestmark = [
    pytest.mark.world,
    pytest.mark.skipif(shutil.which("haproxy", path="/usr/sbin:/usr/bin") is None, reason="needs the package haproxy"),
]

OLD = {f"{FIRST}-{number}": 64 for number in (1, 2, 3, 4)}
NEW = {f"{SECOND}-{number}": 64 for number in (1, 2, 3, 4)}


def post(port: int, body: bytes, context: ssl.SSLContext | None = None) -> tuple[int, bytes]:
    made = http.client.HTTPSConnection if context else http.client.HTTPConnection
    connection = made("127.0.0.1", port, timeout=10, **({"context": context} if context else {}))
    try:
        connection.request("POST", "/predict", body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def exchange(port: int, sent: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), 5) as connection:
        connection.sendall(sent)
        return b"".join(iter(lambda: connection.recv(4096), b""))


def shared(new: int) -> dict[str, int]:
    """Weights by which `new` percent of the callers reach the new release."""
    return {**dict.fromkeys(OLD, 100 - new), **dict.fromkeys(NEW, new)}


def test_reloads_lose_no_request_and_no_count() -> None:
    with world(OLD) as front:
        for name in NEW:
            front.replica(name)
        with load(front.port, kept=7, fresh=2, rate=300) as client:
            for turn in range(20):
                said = front.set({**OLD, **NEW} if turn % 2 == 0 else OLD)
                assert said["reloaded"]
            front.until(lambda: front.read()["old_workers"] == 0, 20)
            report = client.end()
        totals = front.read()["totals"]
        assert report.failed == 0, report
        assert totals["front"] == {"requests": report.requests, "errors": 0, "denied": 0}
        assert sum(server["requests"] for server in totals["servers"].values()) == report.requests


def test_weights_change_without_a_reload_and_without_a_loss() -> None:
    with world(OLD) as front:
        for name in NEW:
            front.replica(name)
        front.set(shared(0))
        with load(front.port, kept=7, fresh=2, rate=300) as client:
            for new in range(5, 101, 5):
                assert not front.set(shared(new))["reloaded"]
            report = client.end()
        assert report.failed == 0, report
        assert front.read()["applied"]
        assert {server["weight"] for name, server in front.read()["servers"].items() if name in OLD} == {0}


@pytest.mark.parametrize("new", [5, 25])
def test_shares_are_exact(new: int) -> None:
    with world(shared(new)) as front, load(front.port, rate=600) as client:
        client.reach(2000)
        report = client.end()
        assert report.failed == 0, report
        assert abs(100 * report.releases[SECOND] / report.requests - new) < 1


def test_a_killed_replica_costs_nobody_an_answer() -> None:
    with world(OLD) as front, load(front.port, kept=7, fresh=2, rate=300) as client:
        for name in OLD:
            client.reach(client.report().requests + 100)
            front.replicas[name].kill()
            front.replicas[name].wait()
            client.reach(client.report().requests + 200)
            front.replica(name)
            front.until(lambda name=name: front.read()["servers"][name]["status"] == "UP")
        report = client.end()
        assert report.failed == 0, report


def test_a_frozen_replica_costs_at_most_one_request_in_a_hundred() -> None:
    with world(OLD) as front, load(front.port, kept=7, fresh=2, rate=300) as client:
        client.reach(300)
        frozen = front.replicas[f"{FIRST}-1"]
        frozen.send_signal(signal.SIGSTOP)
        front.until(lambda: front.read()["servers"][f"{FIRST}-1"]["status"].startswith("DOWN"))
        client.reach(3000)
        frozen.send_signal(signal.SIGCONT)
        front.until(lambda: front.read()["servers"][f"{FIRST}-1"]["status"].startswith("UP"))
        report = client.end()
        assert report.failed <= report.requests / 100, report


def test_a_request_that_kills_replicas_kills_two_at_most() -> None:
    with world(OLD) as front, load(front.port, kept=7, fresh=2, rate=200) as client:
        for _ in range(10):
            assert post(front.port, b"die")[0] == 502
            time.sleep(0.3)
            dead = [name for name, process in front.replicas.items() if process.poll() is not None]
            assert 1 <= len(dead) <= 2
            assert post(front.port, b"fine")[0] == 200
            for name in dead:
                front.replica(name)
            front.until(lambda: all(server["status"] == "UP" for server in front.read()["servers"].values()))
        report = client.end()
        assert report.failed <= report.requests / 100, report


def test_replicas_that_fail_every_check_still_serve() -> None:
    with world(OLD) as front:
        for _ in range(100):
            assert post(front.port, b"fail")[0] == 500
        assert post(front.port, b"fine")[0] == 200
        assert front.read()["totals"]["front"]["errors"] == 100
        assert sum(server["errors"] for server in front.read()["totals"]["servers"].values()) == 100


def test_an_idle_caller_keeps_its_connection_over_a_reload() -> None:
    with world(OLD) as front:
        connection = http.client.HTTPConnection("127.0.0.1", front.port, timeout=10)
        connection.request("POST", "/predict", b"1")
        assert connection.getresponse().read()
        front.replica(f"{SECOND}-1")
        assert front.set({**OLD, f"{SECOND}-1": 64})["old_workers"] == 1
        time.sleep(1)
        connection.request("POST", "/predict", b"1")
        response = connection.getresponse()
        assert (response.status, response.headers["Connection"]) == (200, "close")
        connection.close()
        front.until(lambda: front.read()["old_workers"] == 0)
        assert front.read()["totals"]["front"]["requests"] == 2


def test_a_reload_that_fails_leaves_what_was_before() -> None:
    """HAProxy pauses its old port while it tries the new one; connections that are open are not affected."""
    with world(OLD) as front, load(front.port, kept=8, fresh=0, rate=200) as client:
        taken = front.ports[f"{FIRST}-1"]  # HAProxy cannot have a port that a replica listens on
        said = front.ask(op="front_set", front=front.document(OLD, port=taken))
        assert (said["ok"], said["code"]) == (False, "front-refused")
        assert said["message"] == "HAProxy could not load the configuration; its log says why"
        assert front.read()["front"]["port"] == front.port
        assert front.read()["applied"]
        assert not front.set(OLD)["reloaded"]
        report = client.end()
        assert report.failed == 0, report


def test_callers_are_served_on_when_the_document_is_damaged_and_the_next_one_refused() -> None:
    with world(OLD) as front:
        (front.folder / "front" / "front.json").write_text("{")
        assert front.ask(op="front_set", front=front.document(OLD, port=front.ports[f"{FIRST}-1"]))["code"] == "front-refused"
        assert post(front.port, b"1")[0] == 200
        assert front.set(OLD)["running"]
        assert front.read()["applied"]
        assert post(front.port, b"1")[0] == 200


def test_without_replicas_callers_are_told_so_in_json() -> None:
    with world({}) as front:
        status, body = post(front.port, b"1")
        said = json.loads(body)
        assert (status, said["error"]["code"], len(said["request_id"])) == (503, "unavailable", 36)
        for given, used in ((b"order-7", b"order-7"), (b'a"b', b"")):
            answer = exchange(front.port, b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-Request-Id: %s\r\n\r\n" % given)
            assert b'"request_id": "%s' % used in answer and b'a"b' not in answer


def test_a_killed_front_comes_back_with_what_is_wanted_and_its_counts() -> None:
    with world(OLD) as front:
        assert post(front.port, b"1")[0] == 200
        assert front.read()["totals"]["front"]["requests"] == 1
        assert front.haproxy is not None
        front.haproxy.kill()
        front.haproxy.wait()
        front.until(lambda: not front.read()["running"])
        (front.folder / "front" / "run" / "haproxy.cfg").write_text("damaged")
        front.start()
        assert front.read()["applied"]
        assert post(front.port, b"1")[0] == 200
        assert front.read()["totals"]["front"]["requests"] == 2


def test_front_set_killed_at_any_instant_and_done_again_converges() -> None:
    seed = random.Random(7)
    with world(OLD) as front:
        for name in NEW:
            front.replica(name)
        wishes = [{**OLD, **NEW}, OLD, NEW, shared(25)]
        with load(front.port, kept=4, fresh=1, rate=200) as client:
            for turn in range(24):
                before, wanted = front.read()["front"], front.document(wishes[turn % 4])
                _set_and_kill(front, wanted, after_s=seed.uniform(0.02, 0.45))
                assert _weights(front.read()["front"]) in (_weights(before), _weights(wanted))
                front.set(wishes[turn % 4])
                assert front.read()["applied"]
            report = client.end()
        assert report.failed == 0, report
        assert not [path for path in (front.folder / "front").iterdir() if path.name.startswith(".")]


def _set_and_kill(front: World, document: object, after_s: float) -> None:
    argv = [sys.executable, "-S", "-P", "-m", "mlship.keeper", "serve", str(front.folder)]
    keeper = subprocess.Popen(
        argv, cwd=PROJECT, env={"PYTHONPATH": str(PROJECT)}, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
    )
    assert keeper.stdin is not None
    keeper.stdin.write(wire.pack({"op": "front_set", "front": document}))
    keeper.stdin.flush()
    time.sleep(after_s)
    keeper.kill()
    keeper.wait()
    keeper.stdin.close()


def _weights(document: dict[str, list[dict[str, object]]]) -> dict[object, object]:
    return {server["name"]: server["weight"] for server in document["servers"]}


def test_a_caller_above_its_rate_is_told_to_wait() -> None:
    with world({f"{FIRST}-1": 64}) as front:
        front.set({f"{FIRST}-1": 64}, limits={"rate": 5, "connections": 0})
        statuses = [post(front.port, b"1") for _ in range(12)]
        assert [status for status, _ in statuses][:5] == [200] * 5
        assert statuses[-1][0] == 429
        assert json.loads(statuses[-1][1])["error"]["code"] == "too_many_requests"
        assert front.read()["totals"]["front"]["denied"] == sum(status == 429 for status, _ in statuses)
        front.until(lambda: post(front.port, b"1")[0] == 200)


def test_a_caller_above_its_connections_is_told_so() -> None:
    with world({f"{FIRST}-1": 64}) as front:
        front.set({f"{FIRST}-1": 64}, limits={"rate": 0, "connections": 2})
        kept = [http.client.HTTPConnection("127.0.0.1", front.port, timeout=5) for _ in range(2)]
        for connection in kept:
            connection.request("POST", "/predict", b"1")
            assert connection.getresponse().read()
        assert post(front.port, b"1")[0] == 429
        kept[0].close()
        front.until(lambda: post(front.port, b"1")[0] == 200)
        kept[1].close()


def test_tls_is_served_with_the_given_certificate_and_reloaded_with_the_next(tmp_path: Path) -> None:
    with world(OLD) as front:
        for name, letter in (("one.test", "a"), ("two.test", "b")):
            certificate = _certificate(tmp_path, name)
            folder = front.folder / "front" / "tls"
            folder.mkdir(exist_ok=True)
            (folder / f"{letter * 64}.pem").write_bytes(certificate.read_bytes())
            assert front.set(OLD, tls={"certificate": letter * 64})["reloaded"]
            context = ssl.create_default_context(cafile=str(certificate))
            context.check_hostname = False
            assert post(front.port, b"1", context)[0] == 200
        (folder / f"{'c' * 64}.pem").write_text("no certificate")
        said = front.ask(op="front_set", front=front.document(OLD, tls={"certificate": "c" * 64}))
        assert (said["code"], front.read()["applied"]) == ("front-refused", True)
        assert post(front.port, b"1", context)[0] == 200


def _certificate(folder: Path, name: str) -> Path:
    """Certificate and key in one file."""
    made = folder / f"{name}.pem"
    key, certificate = folder / "key", folder / "certificate"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}",
         "-keyout", key, "-out", certificate],
        check=True, capture_output=True, env={"PATH": os.environ["PATH"]},
    )  # fmt: skip
    made.write_bytes(certificate.read_bytes() + key.read_bytes())
    return made
