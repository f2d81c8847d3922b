"""What the front does with its callers: HTTPS with a certificate that is renewed under load, and limits for the greedy."""

from __future__ import annotations

import http.client
import json
import os
import socket
import socketserver
import ssl
import threading
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from engine_proxy import ENGINE
from free_ports import free_port
from kept import Kept
from made_certificate import made_certificate

from mlship.targets.base import Certificate, Request
from mlship.targets.docker.certificate import certificate_from, is_pinned, pinned

pytestmark = [pytest.mark.world, pytest.mark.engine]

ROW = b'{"instances": [{"age": 30}]}'


@pytest.fixture
def kept(engine: Any, front_home: Path) -> Iterator[Kept]:
    made = Kept(engine, front_home, f"callers-{os.getpid()}", free_port())
    yield made
    made.clean()


def certificate(folder: Path, name: str) -> Certificate:
    cert, key = made_certificate(folder, name)
    return certificate_from(cert.read_text(), key.read_text())


class Caller(threading.Thread):
    """Keeps one connection and asks; trusts both certificates. A connection that the other side closed cleanly is made anew."""

    def __init__(self, port: int, chains: tuple[str, ...]) -> None:
        super().__init__(daemon=True)
        self.port = port
        self.context = pinned(chains[0])
        self.context.load_verify_locations(cadata="".join(chains))
        self.seen: Counter[str] = Counter()
        self.failed: list[str] = []
        self.going = True

    def run(self) -> None:
        connection = self.connection()
        while self.going:
            try:
                if connection.sock is None:
                    connection.connect()
                assert isinstance(connection.sock, ssl.SSLSocket)
                self.seen[ssl.DER_cert_to_PEM_cert(connection.sock.getpeercert(True) or b"")] += 1
                connection.request("POST", "/predict", ROW, {"Content-Type": "application/json"})
                answer = connection.getresponse()
                answer.read()
                if answer.status != 200:
                    self.failed.append(str(answer.status))
            except (OSError, http.client.HTTPException) as error:
                self.failed.append(repr(error))
                connection = self.connection()

    def connection(self) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=10, context=self.context)


def test_a_certificate_is_renewed_without_a_new_release_and_without_a_lost_request(kept: Kept, tmp_path: Path) -> None:
    old, new = certificate(tmp_path, "old"), certificate(tmp_path, "new")
    kept.certificate = old
    first = kept.deploy(71, replicas=2).history
    assert kept.observe().endpoint == f"https://127.0.0.1:{kept.port}"
    callers = [Caller(kept.port, (old.chain, new.chain)) for _ in range(4)]
    for caller in callers:
        caller.start()
    time.sleep(1)
    kept.certificate = new
    second = kept.deploy(71, replicas=2).history
    time.sleep(2)
    for caller in callers:
        caller.going = False
        caller.join(15)
    assert [caller.failed for caller in callers] == [[]] * 4
    assert {chain for caller in callers for chain in caller.seen} == {old.chain, new.chain}
    assert second.live == first.live
    assert second.generation == first.generation + 1
    kinds = sorted(path.name for path in (kept.state / "front" / "tls").iterdir())
    assert kinds == [f"{new.name}.crt", f"{new.name}.pem"]
    pem = kept.state / "front" / "tls" / f"{new.name}.pem"
    assert (pem.stat().st_mode & 0o777, pem.stat().st_uid) == (0o400, 65532)


def test_the_front_speaks_no_old_tls_and_no_plain_http(kept: Kept, tmp_path: Path) -> None:
    kept.certificate = certificate(tmp_path, "a")
    kept.deploy(71, replicas=1)
    context = pinned(kept.certificate.chain)
    with socket.create_connection(("127.0.0.1", kept.port), 5) as raw, context.wrap_socket(raw) as secure:
        assert secure.version() in ("TLSv1.2", "TLSv1.3")
        assert is_pinned(kept.certificate.chain, secure.getpeercert(True))
    context = pinned(kept.certificate.chain)
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # that it is old is what the test is about
        context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    with socket.create_connection(("127.0.0.1", kept.port), 5) as raw, pytest.raises(ssl.SSLError):
        context.wrap_socket(raw)
    plain = http.client.HTTPConnection("127.0.0.1", kept.port, timeout=5)
    with pytest.raises((OSError, http.client.HTTPException)):
        plain.request("GET", "/livez")
        plain.getresponse()


def test_another_machine_pins_the_same_certificate_and_rolls_back_without_the_file(kept: Kept, tmp_path: Path) -> None:
    kept.certificate = certificate(tmp_path, "a")
    first = kept.deploy(71, replicas=1).history.live
    kept.deploy(72, replicas=1)
    said = kept.mlship("rollback", "--yes", "--json", home=tmp_path / "other")
    assert said.returncode == 0, said.stderr
    assert json.loads(said.stdout)["release"]["id"] == first
    assert json.loads(said.stdout)["endpoint"] == f"https://127.0.0.1:{kept.port}"
    assert kept.open().ask(Request("GET", "/mlship/release")).status == 200


def asking(address: str, port: int, seconds: float, pause_s: float) -> str:
    return f"""
import collections, http.client, json, time
seen, retry, body, until = collections.Counter(), set(), set(), time.monotonic() + {seconds}
while time.monotonic() < until:
    connection = http.client.HTTPConnection({address!r}, {port}, timeout=10)
    try:
        connection.request("POST", "/predict", {ROW!r}, {{"Content-Type": "application/json"}})
        answer = connection.getresponse()
        said = answer.read().decode()
        seen[answer.status] += 1
        if answer.status == 429:
            retry.add(answer.headers["Retry-After"]); body.add(said)
    except OSError as error:
        seen[repr(error)] += 1
    connection.close()
    time.sleep({pause_s})
print(json.dumps([seen, sorted(map(str, retry)), sorted(body)]))
"""


def test_a_greedy_caller_is_told_to_wait_and_a_polite_one_notices_nothing(kept: Kept) -> None:
    """Two addresses of the project's network: the engine hands on callers of a port on loopback under one address."""
    live = kept.deploy(71, replicas=2, settings={"limits": {"rate": "20/s"}}).history.live
    front = kept.front.attrs["NetworkSettings"]["Networks"][f"mlship-{kept.project}"]["IPAddress"]
    greedy, polite = kept.replicas(live)
    told: dict[str, Any] = {}

    def ask(name: str, replica: Any, pause_s: float) -> None:
        python = replica.attrs["Config"]["Entrypoint"][0]
        told[name] = json.loads(replica.exec_run([python, "-c", asking(front, 8080, 4.0, pause_s)]).output)

    threads = [threading.Thread(target=ask, args=args) for args in (("greedy", greedy, 0.0), ("polite", polite, 0.1))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert set(told["polite"][0]) == {"200"}
    seen, retry, body = told["greedy"]
    assert set(seen) == {"200", "429"} and seen["429"] > seen["200"]
    assert retry == ["1"]
    assert {json.loads(text)["error"]["code"] for text in body} == {"too_many_requests"}


def test_an_engine_that_is_elsewhere_asks_its_front_over_tls_for_us(
    kept: Kept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reached over TCP, its published port is not this machine's: the keeper in the front asks."""
    kept.certificate = certificate(tmp_path, "a")
    with forwarded(ENGINE) as port:
        monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{port}")
        live = kept.with_values(KEY="from afar").deploy(71, replicas=1).history.live
        observed = kept.observe()
    assert (observed.serving, observed.endpoint[:8]) == (live, "https://")


@contextmanager
def forwarded(path: str) -> Iterator[int]:
    """A loopback port that leads to a socket."""

    class Forward(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with socket.socket(socket.AF_UNIX) as engine:
                engine.connect(path)
                back = threading.Thread(target=poured, args=(engine, self.request), daemon=True)
                back.start()
                poured(self.request, engine)
                back.join()

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Forward) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield int(server.server_address[1])
        server.shutdown()


def poured(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while part := source.recv(65536):
            sink.sendall(part)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
