"""Secrets at an engine: what is sent there, what is kept, and that no value is in any of it."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from made_certificate import made_certificate

from mlship.errors import MlshipError
from mlship.keeper.__main__ import answer, operations
from mlship.keeper.probe import ask
from mlship.keeper.records import Records, Refused
from mlship.keeper.secrets import Secrets
from mlship.releases.history import History, Underway
from mlship.releases.records import LeaseLost
from mlship.releases.release import Release, Served
from mlship.targets.base import OPERATOR_KEY, Answer, Certificate, Deployment, Request
from mlship.targets.docker.asking import ask_published
from mlship.targets.docker.certificate import certificate_from
from mlship.targets.docker.engine import EngineImage, EngineRefused
from mlship.targets.docker.records import DockerRecords
from mlship.targets.docker.rendering import rendered
from mlship.targets.docker.secrets import SET, SecretStore, kept_sets, set_id, volume_name, writer_body
from mlship.targets.docker.spec import Address, Scope
from mlship.targets.docker.stream import Broken

SCOPE = Scope("shop", "prod")
KEY = "correct horse battery staple"
PYTHON = "/usr/bin/python3"


def release(sequence: int = 1, **versions: str) -> Release:
    return Release(sequence, Served("sha256:" + "0" * 64, (), secrets=versions), 0.0)


def deployment(made: Release, **changes: Any) -> Deployment:
    settings: dict[str, Any] = {"port": 8080, "host": "127.0.0.1"}
    return replace(Deployment("shop", "prod", "docker", "haproxy", made, settings, {}), **changes)


class MemoryEngine:
    """Volumes in memory, folders in their place; a container that writes is the real keeper on them.

    cut: how many connections end before the answer. used: volumes that a container has.
    """

    address = "unix:///memory"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.labels: dict[str, Mapping[str, str]] = {}
        self.bodies: list[Mapping[str, Any]] = []
        self.removed: list[str] = []
        self.used: set[str] = set()
        self.cut = 0

    def volume_labels(self, name: str) -> Mapping[str, str] | None:
        return self.labels.get(name)

    def volumes(self, label: str) -> list[Mapping[str, str]]:
        return [labels for labels in self.labels.values() if label in labels]

    def create_volume(self, body: Mapping[str, Any]) -> None:
        self.labels.setdefault(body["Name"], body["Labels"])
        (self.folder / body["Name"]).mkdir(exist_ok=True)

    def remove_volume(self, name: str) -> None:
        if name in self.used:
            raise EngineRefused("volume is in use", 409)
        self.labels.pop(name, None)

    def create(self, name: str, body: Mapping[str, Any]) -> str:
        self.bodies.append(body)
        return name

    def converse(self, container: str, timeout_s: float) -> Any:
        return Talk(self)

    def remove(self, container: str) -> None:
        self.removed.append(container)

    def keeper(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Beside the state only, as the one in the front is."""
        return answer(dict(request), operations(self.folder / SCOPE.volume))


class Talk:
    def __init__(self, engine: MemoryEngine) -> None:
        self.engine = engine

    def ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        engine = self.engine
        sources = {mount["Target"]: engine.folder / mount["Source"] for mount in engine.bodies[-1]["HostConfig"]["Mounts"]}
        if engine.cut:
            engine.cut -= 1
            raise Broken("the process ended")
        records = Records(sources["/state"])
        keeper = Secrets(sources["/state"], records, sources.get("/secrets", Path("/none")), lambda handle: None)
        return answer(dict(request), {"secrets_write": keeper.write, "certificate_write": keeper.write_certificate})

    def close(self) -> None: ...


class Asked:
    """The command's own keeper."""

    is_open = False

    def __init__(self, engine: MemoryEngine) -> None:
        self.ask = engine.keeper


@pytest.fixture
def engine(tmp_path: Path) -> MemoryEngine:
    return MemoryEngine(tmp_path)


@pytest.fixture
def store(engine: MemoryEngine) -> SecretStore:
    return opened(engine)


def opened(engine: MemoryEngine) -> SecretStore:
    """As another command, which remembers nothing."""
    reach: Any = lambda: engine  # noqa: E731
    asked: Any = Asked(engine)
    image = EngineImage("sha256:front", (), {}, python=PYTHON)
    return SecretStore(reach, SCOPE, DockerRecords(reach, SCOPE, asked), lambda: image)


def files(engine: MemoryEngine, made: Release) -> dict[str, str]:
    folder = engine.folder / volume_name(SCOPE, made.served.secrets)
    return {path.name: path.read_text() for path in folder.iterdir() if not path.name.startswith(".")}


def test_a_set_is_named_by_its_versions_in_any_order() -> None:
    assert set_id({"A": "1", "B": "2"}) == set_id({"B": "2", "A": "1"}) != set_id({"A": "2", "B": "1"})
    assert volume_name(SCOPE, {"A": "1"}) == f"mlship-shop.prod_secrets_{set_id({'A': '1'})}"
    assert volume_name(SCOPE, {}) == ""


def test_the_writing_keeper_may_give_files_away_and_nothing_else() -> None:
    host = writer_body(SCOPE, "front", PYTHON, {"A": "1"})["HostConfig"]
    assert (host["CapDrop"], host["CapAdd"], host["NetworkMode"]) == (["ALL"], ["CHOWN"], "none")
    assert host["LogConfig"] == {"Type": "none", "Config": {}}
    assert [mount["Target"] for mount in host["Mounts"]] == ["/state", "/secrets"]
    assert [mount["Target"] for mount in writer_body(SCOPE, "front", PYTHON, {})["HostConfig"]["Mounts"]] == ["/state"]


def test_before_anything_is_there_every_version_is_the_first(store: SecretStore, engine: MemoryEngine) -> None:
    assert store.versions({"B": "b", "A": KEY}, None) == {"A": "1", "B": "1"}
    assert engine.labels == {}, "a plan makes nothing"


def test_mlships_own_key_is_made_at_the_engine_and_asked_with(store: SecretStore, engine: MemoryEngine) -> None:
    assert store.operator_key() == ""
    values = {"KEYS": KEY, OPERATOR_KEY: "sent"}
    name = store.volume(deployment(release(KEYS="1", MLSHIP_OPERATOR_KEY="1"), secrets=values))
    assert store.operator_key() == (engine.folder / name / OPERATOR_KEY).read_text() != "sent"
    assert store.versions({**values, OPERATOR_KEY: "sent anew"}, None) == {"KEYS": "1", OPERATOR_KEY: "1"}


def test_a_release_without_secrets_needs_nothing(store: SecretStore, engine: MemoryEngine) -> None:
    assert store.volume(deployment(release())) == ""
    assert store.restorable([release()]) == {release().id}
    assert engine.labels == {} and engine.bodies == []


def test_a_set_is_written_once_by_a_keeper_that_goes(store: SecretStore, engine: MemoryEngine) -> None:
    first = release(KEY="1", OTHER="1")
    wanted = deployment(first, secrets={"KEY": KEY, "OTHER": "o", "UNUSED": "u"})
    name = store.volume(wanted)
    assert name == volume_name(SCOPE, first.served.secrets)
    assert engine.labels[name] == {"mlship.project": "shop", "mlship.env": "prod", SET: set_id(first.served.secrets)}
    assert files(engine, first) == {"KEY": KEY, "OTHER": "o"}
    assert store.volume(wanted) == opened(engine).volume(deployment(first)) == name
    assert len(engine.bodies) == len(engine.removed) == 1
    assert store.restorable([first, release(2, KEY="2")]) == {first.id}
    assert KEY not in json.dumps([engine.bodies, engine.labels])


def test_versions_go_on_from_what_is_there_and_from_the_history(store: SecretStore, engine: MemoryEngine) -> None:
    store.volume(deployment(release(KEY="1"), secrets={"KEY": KEY}))
    assert store.versions({"KEY": KEY}, None) == {"KEY": "1"}
    assert store.versions({"KEY": "new"}, None) == {"KEY": "2"}
    history = History("shop", "prod", "docker", 3, "", (release(1, KEY="7"), release(2, KEY="10")))
    assert store.versions({"KEY": "new", "MORE": "m"}, history) == {"KEY": "11", "MORE": "1"}


def test_a_cut_connection_is_said_again(store: SecretStore, engine: MemoryEngine) -> None:
    engine.cut = 1
    store.volume(deployment(release(KEY="1"), secrets={"KEY": KEY}))
    assert files(engine, release(KEY="1")) == {"KEY": KEY}
    assert len(engine.removed) == 2


def test_a_set_that_was_not_finished_does_not_count(store: SecretStore, engine: MemoryEngine) -> None:
    engine.cut = 2
    with pytest.raises(MlshipError, match="the process ended") as raised:
        store.volume(deployment(release(KEY="1"), secrets={"KEY": KEY}))
    assert KEY not in str(raised.value)
    assert len(engine.labels) == 2, "the volume is there"
    assert store.restorable([release(KEY="1")]) == frozenset()


def test_a_release_whose_values_nobody_has_is_refused(store: SecretStore) -> None:
    with pytest.raises(MlshipError, match=r"cannot be started: its secrets \(KEY\) are not at the engine any more") as raised:
        store.volume(deployment(release(KEY="1", OTHER="1"), secrets={"OTHER": "o"}))
    assert raised.value.fix == "mlship deploy, where their values are"


def test_a_volume_of_somebody_else_is_not_written_to(store: SecretStore, engine: MemoryEngine) -> None:
    engine.labels[volume_name(SCOPE, {"KEY": "1"})] = {"mlship.project": "other", "mlship.env": ""}
    with pytest.raises(MlshipError, match=r"is of the project other.*docker volume rm"):
        store.volume(deployment(release(KEY="1"), secrets={"KEY": KEY}))
    assert engine.bodies == []


def test_another_ones_lease_writes_nothing(store: SecretStore, engine: MemoryEngine) -> None:
    store.volume(deployment(release(KEY="1"), secrets={"KEY": KEY}))
    engine.keeper({"op": "acquire", "token": "other", "holder": "somebody", "ttl_s": 60})
    with pytest.raises(LeaseLost):
        opened(engine).retire(History("shop", "prod", "docker"))
    assert len(engine.labels) == 2


def test_a_set_is_kept_for_every_release_of_the_records() -> None:
    underway = Underway(release(3, KEY="3"), "", "deploy", -1, 0.0, 0.0)
    history = History("shop", "prod", "docker", 1, "", (release(1, KEY="1"), release(2)), underway=underway)
    assert kept_sets(history) == {set_id({"KEY": "1"}), set_id({"KEY": "3"})}
    assert kept_sets(None) == set()


def test_what_no_release_needs_goes_and_what_is_used_waits(store: SecretStore, engine: MemoryEngine) -> None:
    sets = [release(number, KEY=str(number)) for number in (1, 2, 3)]
    for made in sets:
        store.volume(deployment(made, secrets={"KEY": f"value {made.sequence}"}))
    names = [volume_name(SCOPE, made.served.secrets) for made in sets]
    engine.used.add(names[0])
    store.retire(None)
    assert all(name in engine.labels for name in names), "without records nothing is known"
    store.retire(History("shop", "prod", "docker", 1, "", (sets[2],)))
    assert [name in engine.labels for name in names] == [True, False, True]
    assert store.restorable(sets) == {sets[2].id}, "one that is still used counts no more"
    assert not store.destroy()
    engine.used.clear()
    assert store.destroy()
    assert list(engine.labels) == [SCOPE.volume]


@pytest.fixture
def certificate(tmp_path: Path) -> Certificate:
    cert, key = made_certificate(tmp_path)
    return certificate_from(cert.read_text(), key.read_text())


def secured(certified: Certificate, **changes: Any) -> Deployment:
    settings = {"tls": {"cert": "a.pem", "key": "secret:K", "certificate": certified.name}}
    return deployment(release(), settings=settings, **changes)


def test_a_certificate_goes_to_the_front_and_is_found_again_by_name(
    store: SecretStore, engine: MemoryEngine, certificate: Certificate
) -> None:
    assert store.tls(secured(certificate, certificate=certificate), None) == {"certificate": certificate.name}
    assert opened(engine).tls(secured(certificate), None) == {"certificate": certificate.name}
    assert opened(engine).chain(certificate.name) == certificate.chain
    assert len(engine.bodies) == 1
    assert store.tls(deployment(release()), {"certificate": "old"}) is None, "plain HTTP was asked for"


def test_a_certificate_that_is_gone_is_told_unless_the_front_has_one(store: SecretStore, certificate: Certificate) -> None:
    assert store.tls(secured(certificate), {"certificate": "now"}) == {"certificate": "now"}
    with pytest.raises(MlshipError, match=r"the certificate of shop\.prod is not at the engine any more"):
        store.tls(secured(certificate), None)


def test_documents_name_the_set_and_the_certificate_and_show_no_value(certificate: Certificate) -> None:
    made = release(KEY="1")
    plain = secured(certificate, certificate=certificate, secrets={"KEY": KEY})
    shown = rendered(replace(plain, release=made, settings={**plain.settings, "limits": {"rate": "100/s", "connections": 50}}))
    name = volume_name(SCOPE, made.served.secrets)
    assert json.loads(shown["apply/secrets.json"])["Name"] == name
    replicas = [body for body in json.loads(shown["apply/containers.json"]).values() if "/run/secrets" in json.dumps(body)]
    assert all("MLSHIP_SECRETS=/run/secrets" in body["Env"] for body in replicas) and len(replicas) == 1
    assert json.loads(shown["apply/front.json"])["tls"] == {"certificate": certificate.name}
    assert json.loads(shown["apply/front.json"])["limits"] == {"rate": 100, "connections": 50}
    compose = yaml.safe_load(shown["eject/compose.yaml"])
    assert "volumes" not in compose, "who leaves depends on nothing that mlship keeps"
    [replica] = [service for service in compose["services"] if service != "front"]
    mounts = [*compose["services"][replica]["volumes"], *compose["services"]["front"]["volumes"][1:]]
    assert [(mount["source"], mount["target"], mount["read_only"]) for mount in mounts] == [
        ("./secrets/KEY", "/run/secrets/KEY", True),
        ("./tls.pem", "/usr/local/etc/haproxy/tls.pem", True),
    ]
    haproxy = shown["eject/haproxy.cfg"].decode()
    for line in (
        "bind :8080 ssl crt /usr/local/etc/haproxy/tls.pem ssl-min-ver TLSv1.2",
        "{ sc0_conn_cur gt 50 }",
        "{ sc0_gpc0_rate ge 100 }",
    ):
        assert line in haproxy
    everything = b"".join(shown.values()).decode()
    assert KEY not in everything
    assert "PRIVATE KEY" not in everything


def test_https_is_rendered_without_reading_a_key(certificate: Certificate) -> None:
    plain = secured(certificate)
    unread = {"tls": {"cert": "a.pem", "key": "secret:K"}}
    read, not_read = rendered(plain), rendered(replace(plain, settings=unread))
    assert json.loads(not_read["apply/front.json"])["tls"] == {"certificate": "0" * 64}
    assert {name for name in read if name.startswith("eject/")} == {name for name in not_read if name.startswith("eject/")}
    assert all(read[name] == not_read[name] for name in read if name.startswith("eject/"))


def test_nothing_is_shown_where_nothing_was_asked_for() -> None:
    shown = rendered(deployment(release()))
    assert "apply/secrets.json" not in shown
    assert b"MLSHIP_SECRETS" not in b"".join(shown.values())
    assert b"ssl" not in shown["eject/haproxy.cfg"]
    assert b"stick-table" not in shown["eject/haproxy.cfg"]


@pytest.fixture(autouse=True)
def no_values_on_standard_output(capsys: pytest.CaptureFixture[str]) -> Iterator[None]:
    yield
    said = capsys.readouterr()
    assert KEY not in said.out + said.err


class Hello(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def front(tmp_path: Path) -> Iterator[tuple[int, str]]:
    """A port that speaks TLS, and the certificate that it shows."""
    cert, key = made_certificate(tmp_path, "front")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    with HTTPServer(("127.0.0.1", 0), Hello) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server.server_port, cert.read_text()
        server.shutdown()
        thread.join()


def test_ones_own_calls_take_the_fronts_certificate_and_no_other(front: tuple[int, str], certificate: Certificate) -> None:
    address, request = Address("127.0.0.1", front[0]), Request("GET", "/readyz")
    assert ask_published(address, request, front[1]).status == 200
    other = ask_published(address, request, certificate.chain)
    assert (other.status, b"CERTIFICATE_VERIFY_FAILED" in other.body) == (0, True)
    assert ask_published(address, request, "") == Answer(
        0, b"the front's certificate is not on its volume: nobody could tell who answers"
    )


def test_the_keeper_asks_over_tls_on_its_own_loopback_only(front: tuple[int, str]) -> None:
    assert ask("127.0.0.1", front[0], "GET", "/readyz", 5, tls=True)["status"] == 200
    with pytest.raises(Refused, match=r"10\.0\.0\.1 is not the front's loopback"):
        ask("10.0.0.1", front[0], "GET", "/readyz", 5, tls=True)
