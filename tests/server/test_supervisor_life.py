"""The life of a real server: start, failure, replacement, drain."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from served import ROOT, Server, answers, everything, launched, listener, release, running, until, written
from wired import prediction, request


def test_a_model_that_fails_to_load_stops_the_start_with_its_reason(tmp_path: Path) -> None:
    with launched(written(tmp_path, workers=2), DOUBLER_FAILS="1") as server:
        line = server.event("start_failed")
        assert server.wait() == 1
        assert line["message"] == "the model demo cannot be loaded: RuntimeError: the weights are gone"
        assert (line["model"], line["error"]) == ("demo", "RuntimeError")
        assert "doubler.py" in line["trace"]


@pytest.mark.world
def test_a_model_that_loads_too_slowly_stops_the_start(tmp_path: Path) -> None:
    with launched(written(tmp_path, startup_timeout_s=0.3), DOUBLER_LOADS_S="30") as server:
        line = server.event("start_failed")
        assert line["message"] == "the model did not load within 0.3 s; raise serve.startup_timeout, or make it load faster"
        assert server.wait() == 1


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        (b"{}", "manifest.json is not a manifest; build the image again"),
        (b'{"schema": 99, "mlship": "9.9"}', "manifest.json was written by mlship 9.9; upgrade mlship"),
        (None, "cannot read {path}: No such file or directory; set MLSHIP_MANIFEST"),
    ],
)
def test_a_manifest_that_cannot_be_read_is_one_line(tmp_path: Path, manifest: bytes | None, message: str) -> None:
    path = tmp_path / "manifest.json"
    if manifest is not None:
        path.write_bytes(manifest)
    with launched(path) as server:
        assert server.event("start_failed")["message"] == message.format(path=path)
        assert server.wait() == 2


def test_a_killed_worker_is_replaced_its_queue_inherited_and_its_counts_stay(tmp_path: Path) -> None:
    with running(written(tmp_path)) as server, socket.socket() as waiting:
        server.ask("/predict", {"instances": [[1, None]]})
        killed = int(str(release(server.port)["pid"]))
        os.kill(killed, signal.SIGSTOP)
        waiting.settimeout(10)
        waiting.connect(("127.0.0.1", server.port))  # the system takes it in, nobody accepts it
        waiting.sendall(prediction(4, "Connection: close"))
        os.kill(killed, signal.SIGKILL)
        lost = server.event("worker_lost")
        (answer,) = answers(everything(waiting))
        assert (answer.status, answer.json) == (200, {"predictions": [8]})
        assert (lost["ending"], lost["worker"]) == ("SIGKILL, perhaps out of memory", 0)
        told = until(lambda: asked_again(server))
        assert told["pid"] != killed
        text = server.ask("/metrics").body.decode()
        assert 'mlship_requests_total{route="/predict",status="200"} 2.0' in text
        assert "mlship_worker_restarts_total 1.0" in text


def asked_again(server: Server) -> dict[str, object] | None:
    try:
        return release(server.port)
    except OSError:
        return None


@pytest.mark.world
def test_a_replacement_that_cannot_load_its_model_ends_readiness_until_one_can(tmp_path: Path) -> None:
    with running(written(tmp_path, workers=2)) as server:
        code = tmp_path / "code" / "doubler.py"
        kept = code.read_text()
        code.write_text("raise RuntimeError('the weights are gone')")
        os.kill(int(str(release(server.port)["pid"])), signal.SIGKILL)
        until(lambda: server.ask("/readyz").json == {"status": "a worker cannot load its models"})
        assert (server.ask("/livez").status, server.ask("/predict", {"instances": [[1, None]]}).status) == (200, 200)
        code.write_text(kept)
        until(lambda: server.ask("/readyz").status == 200)
        assert any("the weights are gone" in line.get("message", "") for line in server.errors) or server.event("worker_lost")


@pytest.mark.world
def test_a_worker_that_a_model_ends_is_replaced(tmp_path: Path) -> None:
    with running(written(tmp_path)) as server:
        with pytest.raises(OSError), socket.create_connection(("127.0.0.1", server.port), timeout=5) as client:
            client.sendall(prediction(-3))
            if everything(client) == b"":
                raise ConnectionResetError
        assert server.event("worker_lost")["ending"] == "exit 3"
        until(lambda: asked_again(server))
        assert server.ask("/predict", {"instances": [[1, None]]}).status == 200


@pytest.mark.world
def test_a_stuck_worker_is_killed_and_replaced(tmp_path: Path) -> None:
    with running(written(tmp_path), MLSHIP_STUCK_S="0.6") as server:
        pid = release(server.port)["pid"]
        with socket.create_connection(("127.0.0.1", server.port), timeout=5) as client:
            client.sendall(prediction(-5))
            server.event("worker_stuck")
            server.event("worker_lost")
        assert until(lambda: asked_again(server))["pid"] != pid


@pytest.mark.world
def test_workers_live_on_when_all_stood_still_for_longer_than_a_stuck_one_may(tmp_path: Path) -> None:
    with running(written(tmp_path), MLSHIP_STUCK_S="0.6") as server:
        pid = release(server.port)["pid"]
        both = (server.process.pid, pid)
        for each in both:
            os.kill(each, signal.SIGSTOP)
        time.sleep(1.6)
        for each in both:
            os.kill(each, signal.SIGCONT)
            time.sleep(0.1)
        assert release(server.port)["pid"] == pid
        assert [line["event"] for line in server.errors] == ["ready"]


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, *(pytest.param(also, marks=pytest.mark.world) for also in (signal.SIGINT, signal.SIGHUP))]
)
def test_a_server_that_is_told_to_stop_ends_with_exit_0(tmp_path: Path, number: signal.Signals) -> None:
    with running(written(tmp_path, workers=2)) as server:
        server.signal(number)
        assert server.wait(5) == 0
        server.event("stopped")


@pytest.mark.world
def test_work_in_flight_is_finished_after_sigterm(tmp_path: Path) -> None:
    with running(written(tmp_path)) as server, socket.create_connection(("127.0.0.1", server.port), timeout=5) as client:
        server.ask("/predict", {"instances": [[-4, None]]})  # from now on the engine knows that this model can be slow
        client.sendall(prediction(-4))
        until(lambda: "mlship_rows_in_flight 1.0" in server.ask("/metrics").body.decode())
        server.signal(signal.SIGTERM)
        (answer,) = answers(everything(client))
        assert (answer.status, answer.json, answer.headers["connection"]) == (200, {"predictions": [-8]}, "close")
        assert server.wait(5) == 0


@pytest.mark.world
def test_an_idle_connection_may_ask_once_more_after_sigterm(tmp_path: Path) -> None:
    with running(written(tmp_path)) as server, socket.create_connection(("127.0.0.1", server.port), timeout=5) as client:
        client.sendall(prediction(1))
        client.recv(65536)
        server.signal(signal.SIGTERM)
        server.event("draining")
        time.sleep(0.1)
        client.sendall(request("GET", "/readyz"))
        (answer,) = answers(everything(client))
        assert (answer.status, answer.json, answer.headers["connection"]) == (503, {"status": "draining"}, "close")
        client.close()
        assert server.wait(5) == 0


@pytest.mark.world
def test_new_connections_are_taken_during_the_drain_delay(tmp_path: Path) -> None:
    with running(written(tmp_path), MLSHIP_DRAIN_DELAY_S="0.4") as server:
        server.signal(signal.SIGTERM)
        server.event("draining")
        time.sleep(0.1)
        answer = server.ask("/predict", {"instances": [[1, None]]})
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        assert server.ask("/readyz").status == 503
        assert server.wait(5) == 0
        with pytest.raises(ConnectionRefusedError):
            server.ask("/readyz")


@pytest.mark.world
def test_a_second_sigterm_ends_at_once(tmp_path: Path) -> None:
    with running(written(tmp_path), MLSHIP_DRAIN_DELAY_S="30", MLSHIP_DRAIN_TIMEOUT_S="30") as server:
        server.signal(signal.SIGTERM)
        server.event("draining")
        server.signal(signal.SIGTERM)
        assert server.wait(2) == 143


@pytest.mark.world
def test_workers_go_when_their_supervisor_is_killed(tmp_path: Path) -> None:
    with running(written(tmp_path)) as server:
        pid = int(str(release(server.port)["pid"]))
        server.process.kill()
        server.wait()
        until(lambda: not Path(f"/proc/{pid}").exists() or "Z" in Path(f"/proc/{pid}/stat").read_text().split()[2])


def test_a_held_server_answers_on_probe_first_and_on_public_when_told(tmp_path: Path) -> None:
    with listener() as public, listener() as probe:
        sockets = {"public": public, "probe": probe}
        with running(written(tmp_path, workers=2), sockets=sockets, MLSHIP_HOLD="1", MLSHIP_RELEASE="r2-bbbbbb") as server:
            told = release(probe.getsockname()[1])
            assert (told["release"], told["accepting"], told["ready"]) == ("r2-bbbbbb", False, True)
            with socket.create_connection(public.getsockname(), timeout=5) as waiting:
                waiting.sendall(request("GET", "/livez", "Connection: close"))
                server.signal(signal.SIGUSR1)
                assert answers(everything(waiting))[0].status == 200
            until(lambda: release(probe.getsockname()[1])["accepting"] is True)


@pytest.mark.world
def test_the_probe_command_asks_the_server_beside_it(tmp_path: Path) -> None:
    with running(written(tmp_path)) as server:
        environ = {**os.environ, "PYTHONPATH": str(ROOT), "PORT": str(server.port)}
        command = [sys.executable, "-m", "mlship.server", "probe"]
        ready = subprocess.run(command, env=environ, stdin=subprocess.DEVNULL, capture_output=True, check=True)
        assert json.loads(ready.stdout)["body"] == '{"status":"ready"}'
        asked = subprocess.run(
            [*command, "/predict"], env=environ, input=b'{"instances": [[1, null]]}', capture_output=True, check=True
        )
        assert json.loads(asked.stdout)["body"] == '{"predictions":[2]}'
        wrong = subprocess.run([*command, "/predict", "-"], env=environ, input=b"{", capture_output=True, check=False)
        assert (wrong.returncode, json.loads(wrong.stdout)["status"]) == (1, 400)


def test_the_access_log_has_no_payload(tmp_path: Path) -> None:
    with running(written(tmp_path), MLSHIP_ACCESS_LOG="1") as server:
        server.ask("/predict?token=hidden", {"instances": [[12345, None]]}, {"X-Request-Id": "traced"})
        assert server.process.stdout is not None
        line = server.process.stdout.readline()
        told = json.loads(line)
        assert (told["request_id"], told["route"], told["status"], told["rows"]) == ("traced", "/predict", 200, 1)
        assert b"12345" not in line and b"hidden" not in line


@pytest.mark.world
def test_health_answers_while_the_model_is_busy(tmp_path: Path) -> None:
    with running(written(tmp_path, request_timeout_s=5)) as server:
        server.ask("/predict", {"instances": [[-4, None]]})  # from now on the engine knows that this model can be slow
        asking = threading.Thread(target=server.ask, args=("/predict", {"instances": [[-4, None]] * 3}))
        asking.start()
        time.sleep(0.1)
        began = time.monotonic()
        assert server.ask("/livez").status == 200
        assert time.monotonic() - began < 0.3
        asking.join()
