"""The door to a real engine: over bad lines, over TLS, over ssh."""

from __future__ import annotations

import getpass
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from engine_proxy import ENGINE, EngineProxy, engine_proxy
from sshd import SSHD, Sshd

from mlship.errors import Exit, MlshipError
from mlship.targets.docker.engine import Engine, EngineRefused, connect

pytestmark = [pytest.mark.world, pytest.mark.engine]

IMAGE = "mlship/front-door:1"
LABEL = "mlship-door"
LOOP = "import time\nprint('ready', flush=True)\nwhile True: time.sleep(0.1)"
ECHO = (
    "import sys\nfor size in iter(sys.stdin.buffer.readline, b''):\n"
    "  sys.stdout.buffer.write(size + sys.stdin.buffer.read(int(size))); sys.stdout.flush()"
)
"""A message of the keeper's form is answered with itself: a line with the length, then as many bytes."""


@pytest.fixture(scope="module")
def image() -> Iterator[str]:
    """This machine's own Python in an image of one layer: what is tested is the way to it."""
    python = Path("/usr/bin/python3").resolve()
    library = Path(f"/usr/lib/{python.name}")
    libraries = re.findall(r"(/\S+\.so\S*)", subprocess.run(["ldd", python], capture_output=True, text=True, check=True).stdout)
    places = [python, *map(Path, libraries), library]
    skipped = [f"--exclude={name}" for name in ("test", "__pycache__", "idlelib", "tkinter", "ensurepip", "config-*", "*.a")]
    packed = subprocess.Popen(
        ["tar", "-ch", *skipped, *[str(place) for place in places]], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    subprocess.run(
        ["docker", "import", "--change", f'ENTRYPOINT ["{python}"]', "-", IMAGE],
        stdin=packed.stdout,
        check=True,
        capture_output=True,
    )
    assert packed.wait() == 0
    yield IMAGE
    subprocess.run(["docker", "rmi", IMAGE], check=False, capture_output=True)


@pytest.fixture
def name() -> Iterator[str]:
    name = f"door-{os.getpid()}-{time.monotonic_ns()}"
    yield name
    subprocess.run(["docker", "rm", "-f", name, f"{name}-2"], check=False, capture_output=True)
    subprocess.run(["docker", "network", "rm", name], check=False, capture_output=True)


def body(script: str = LOOP, **labels: str) -> dict[str, Any]:
    return {
        "Image": IMAGE,
        "Cmd": ["-S", "-c", script],
        "Labels": {LABEL: "1", **labels},
        "OpenStdin": True,
        "HostConfig": {"NetworkMode": "none", "Memory": 64 * 2**20},
    }


def a_day_at(engine: Engine, name: str) -> None:
    """Everything that a deploy asks of an engine, and each of it twice where it may be repeated."""
    made = engine.create(name, body())
    assert engine.create(name, body()) == made
    engine.start(made)
    engine.start(made)
    assert [entry.name for entry in engine.containers([LABEL]) if entry.name == name] == [name]
    assert wait_for(lambda: [text for _, text in engine.logs(made, 10)]) == ["ready"]
    seen = engine.container(made)
    assert seen is not None
    usage = engine.usage(made)
    assert usage is not None and 2**20 < usage.memory < 64 * 2**20 and usage.cpu_s > 0
    with closing(engine.execute(made, [seen.python, "-S", "-c", ECHO], {"A": "b"}, 20, user="0:0")) as talk:
        assert [talk.ask({"n": number}) for number in range(5)] == [{"n": number} for number in range(5)]
    engine.stop(made, 0)
    engine.stop(made, 0)
    seen = engine.container(made)
    assert seen is not None and (seen.state, seen.exit_code, seen.is_running) == ("exited", 137, False)
    assert engine.usage(made) is None
    engine.remove(made)
    engine.remove(made)
    assert engine.container(made) is None
    network = {"Name": name, "Driver": "bridge", "Internal": True, "Labels": {LABEL: name}}
    engine.create_network(network)
    engine.create_network(network)
    seen_network = engine.network(name)
    assert seen_network is not None and seen_network.internal
    engine.remove_network(name)
    engine.remove_network(name)
    assert engine.network(name) is None


def wait_for(ask: Any) -> Any:
    deadline = time.monotonic() + 10
    while not (told := ask()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return told


def test_a_day_at_a_local_engine(image: str, name: str) -> None:
    engine = connect(os.environ)
    assert (engine.is_local, engine.host) == (True, "127.0.0.1")
    a_day_at(engine, name)


def test_every_message_may_come_a_quarter_of_a_second_late(image: str, name: str, tmp_path: Path) -> None:
    with engine_proxy(tmp_path / "e.sock", delay_s=0.25) as host:
        a_day_at(connect({"DOCKER_HOST": host}), name)


@pytest.mark.parametrize("offset", range(5))
def test_every_fifth_connection_may_be_cut(image: str, name: str, tmp_path: Path, offset: int) -> None:
    """offset: which of the calls are hit."""
    proxy = EngineProxy(tmp_path / "e.sock", cut_every=5)
    proxy.connections = offset
    try:
        a_day_at(connect({"DOCKER_HOST": proxy.host}), name)
    finally:
        proxy.close()
    assert proxy.cuts >= 6


def test_an_image_arrives_over_a_line_that_is_cut(image: str, tmp_path: Path) -> None:
    saved = tmp_path / "image.tar"
    subprocess.run(["docker", "save", "-o", saved, image], check=True)
    tries = []

    def archive() -> Iterator[bytes]:
        tries.append(1)
        with saved.open("rb") as file:
            yield from iter(lambda: file.read(2**20), b"")

    proxy = EngineProxy(tmp_path / "e.sock", cut_every=3)
    proxy.connections, proxy.cuts = 1, 1  # the third one is cut, when the engine has the image and did not answer yet
    try:
        engine = connect({"DOCKER_HOST": proxy.host})
        engine.load(archive)
    finally:
        proxy.close()
    assert len(tries) == 2
    assert proxy.cuts == 2


def test_logs_that_are_followed_go_on_where_the_line_was_cut(image: str, name: str, tmp_path: Path) -> None:
    engine = connect(os.environ)
    counting = "import time\nfor n in range(60): print(n, flush=True); time.sleep(0.03)"
    made = engine.create(name, body(counting))
    proxy = EngineProxy(tmp_path / "e.sock")
    try:
        followed = connect({"DOCKER_HOST": proxy.host})
        engine.start(made)
        heard = []
        for _, text in followed.logs(made, 100, follow=True):
            heard.append(int(text))
            if len(heard) in (10, 30):
                proxy.cut()
    finally:
        proxy.close()
    assert heard == list(range(60))


def test_a_container_of_somebody_else_is_not_taken_for_ours(image: str, name: str) -> None:
    engine = connect(os.environ)
    engine.create(name, body(spec="theirs"))
    with pytest.raises(EngineRefused) as refused:
        engine.create(name, body(spec="ours"))
    assert refused.value.status == 409


def test_an_engine_that_is_gone_is_said_at_once(tmp_path: Path) -> None:
    proxy = EngineProxy(tmp_path / "e.sock")
    engine = connect({"DOCKER_HOST": proxy.host})
    proxy.close()
    began = time.monotonic()
    with pytest.raises(MlshipError, match="no Docker engine answers") as lost:
        engine.facts()
    assert lost.value.exit is Exit.UNREACHABLE
    assert time.monotonic() - began < 5


def test_a_container_tells_its_addresses_and_how_it_ended(image: str, name: str) -> None:
    engine = connect(os.environ)
    network = name
    engine.create_network({"Name": network, "Driver": "bridge", "Internal": True, "Labels": {LABEL: "1"}})
    seen = engine.network(network)
    assert seen is not None
    subnet = seen.subnet
    engine.remove_network(network)
    engine.create_network(
        {
            "Name": network,
            "Driver": "bridge",
            "Internal": True,
            "Labels": {LABEL: "1"},
            "IPAM": {"Config": [{"Subnet": subnet}]},
        }
    )
    address = f"{subnet.rpartition('.')[0]}.77"
    wanted = body("raise SystemExit(3)")
    wanted["HostConfig"]["NetworkMode"] = "bridge"
    wanted["HostConfig"]["RestartPolicy"] = {"Name": "unless-stopped"}
    try:
        made = engine.create(name, wanted)
        engine.connect(network, made, address)
        engine.connect(network, made, address)
        assert engine.container(made).addresses == {network: address}
        engine.start(made)
        again = wait_for(lambda: (now := engine.container(made)) and now.restarts > 1 and now)
        assert (again.exit_code, again.addresses[network]) == (3, address)
        engine.stop(made)
        assert engine.container(made).addresses == {network: address}
    finally:
        engine.remove(name)
        engine.remove_network(network)


# --- TLS


def openssl(folder: Path, *argv: str) -> None:
    subprocess.run(["openssl", *argv], cwd=folder, check=True, capture_output=True)


def authority(folder: Path, name: str = "ca") -> None:
    openssl(folder, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}-key.pem", "-out", f"{name}.pem",
            "-days", "2", "-subj", f"/CN={name}")  # fmt: skip


def certificate(folder: Path, name: str, extension: str, by: str = "ca") -> None:
    (folder / f"{name}.ext").write_text(extension)
    openssl(
        folder,
        "req",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-keyout",
        f"{name}-key.pem",
        "-out",
        f"{name}.csr",
        "-subj",
        f"/CN={name}",
    )
    openssl(folder, "x509", "-req", "-in", f"{name}.csr", "-CA", f"{by}.pem", "-CAkey", f"{by}-key.pem", "-CAcreateserial",
            "-out", f"{name}.pem", "-days", "2", "-extfile", f"{name}.ext")  # fmt: skip


class TlsFront:
    """A port with TLS before the engine's socket; it lets in whom the authority signed."""

    def __init__(self, folder: Path) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(folder / "server.pem", folder / "server-key.pem")
        self._context.load_verify_locations(folder / "ca.pem")
        self._context.verify_mode = ssl.CERT_REQUIRED
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                raw, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(raw,), daemon=True).start()

    def _serve(self, raw: socket.socket) -> None:
        """Both directions in one thread: a TLS connection must not be read and written at once."""
        with (
            suppress(OSError),
            self._context.wrap_socket(raw, server_side=True) as client,
            socket.socket(socket.AF_UNIX) as server,
        ):
            server.connect(ENGINE)
            client.settimeout(0.01)
            server.settimeout(0.01)
            while True:
                for source, sink in ((client, server), (server, client)):
                    with suppress(TimeoutError):
                        piece = source.recv(2**16)
                        if not piece:
                            return
                        sink.settimeout(20)
                        sink.sendall(piece)
                        sink.settimeout(0.01)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tls")
    authority(folder)
    certificate(folder, "server", "subjectAltName=IP:127.0.0.1")
    certificate(folder, "client", "extendedKeyUsage=clientAuth")
    authority(folder, "other")
    certificate(folder, "stranger", "extendedKeyUsage=clientAuth", by="other")
    return folder


@pytest.fixture
def tls_front(certificates: Path) -> Iterator[TlsFront]:
    front = TlsFront(certificates)
    yield front
    front.close()


def tls_environ(certificates: Path, folder: Path, port: int, client: str = "client", ca: str = "ca") -> dict[str, str]:
    for source, target in ((f"{ca}.pem", "ca.pem"), (f"{client}.pem", "cert.pem"), (f"{client}-key.pem", "key.pem")):
        shutil.copy(certificates / source, folder / target)
    return {"DOCKER_HOST": f"tcp://127.0.0.1:{port}", "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(folder)}


def test_a_day_at_an_engine_behind_tls(image: str, name: str, certificates: Path, tls_front: TlsFront, tmp_path: Path) -> None:
    engine = connect(tls_environ(certificates, tmp_path, tls_front.port))
    assert (engine.is_local, engine.host) == (False, "127.0.0.1")
    a_day_at(engine, name)


def test_an_engine_that_our_authority_did_not_sign_is_not_trusted(
    certificates: Path, tls_front: TlsFront, tmp_path: Path
) -> None:
    with pytest.raises(MlshipError, match="is not trusted") as refused:
        connect(tls_environ(certificates, tmp_path, tls_front.port, ca="other"))
    assert (refused.value.exit, refused.value.where) == (Exit.DENIED, "DOCKER_CERT_PATH")


def test_a_client_that_the_engine_does_not_know_is_told_which_files_count(
    certificates: Path, tls_front: TlsFront, tmp_path: Path
) -> None:
    with pytest.raises(MlshipError, match="refuses the TLS connection") as refused:
        connect(tls_environ(certificates, tmp_path, tls_front.port, client="stranger"))
    assert refused.value.exit is Exit.DENIED
    assert "cert.pem and key.pem" in refused.value.fix


def test_a_missing_certificate_is_named(certificates: Path, tls_front: TlsFront, tmp_path: Path) -> None:
    environ = tls_environ(certificates, tmp_path, tls_front.port)
    (tmp_path / "key.pem").unlink()
    with pytest.raises(MlshipError, match=re.escape(f"there is no key.pem in {tmp_path}")) as refused:
        connect(environ)
    assert refused.value.exit is Exit.DENIED


# --- ssh


@pytest.fixture
def sshd(tmp_path: Path) -> Iterator[Sshd]:
    if not SSHD.exists():
        pytest.skip("no sshd: apt-get install openssh-server openssh-client")
    server = Sshd(tmp_path)
    yield server
    server.close()


def test_a_day_at_an_engine_over_ssh(image: str, name: str, sshd: Sshd) -> None:
    engine = connect(sshd.environ())
    assert (engine.is_local, engine.host) == (False, "127.0.0.1")
    a_day_at(engine, name)


def test_connections_over_ssh_are_used_again_and_end_with_their_command(sshd: Sshd) -> None:
    asking = (
        "import os\nfrom mlship.targets.docker.engine import connect\nengine = connect(os.environ)\n"
        "for _ in range(10): engine.facts()\n"
    )
    subprocess.run([sys.executable, "-c", asking], env=sshd.environ(), check=True, timeout=60)
    logins = (sshd.folder / "sshd.log").read_text().count("Accepted publickey")
    assert logins == 1
    assert wait_for(lambda: not ssh_processes(sshd.port))


def ssh_processes(port: int) -> list[str]:
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    return [line for line in listed.splitlines() if "dial-stdio" in line and str(port) in line]


def refused(environ: Mapping[str, str]) -> MlshipError:
    with pytest.raises(MlshipError) as error:
        connect(environ)
    return error.value


def test_a_host_key_that_nobody_confirmed_is_said(sshd: Sshd) -> None:
    sshd.know("")
    error = refused(sshd.environ())
    assert (error.exit, error.code) == (Exit.DENIED, "unknown-host-key")
    assert error.where == f"{sshd.folder}/known_hosts"
    assert (
        error.fix == f"ssh -p {sshd.port} {getpass.getuser()}@127.0.0.1, compare the fingerprint that it shows, and answer yes"
    )


def test_a_key_that_is_not_let_in_is_said(sshd: Sshd) -> None:
    sshd.use("foreign")
    error = refused(sshd.environ())
    assert (error.exit, error.code, error.where) == (Exit.DENIED, "ssh-denied", sshd.host)
    assert "ssh-copy-id" in error.fix
    assert any("Permission denied" in line for line in error.details)


def test_another_host_key_than_before_is_not_let_pass(sshd: Sshd) -> None:
    sshd.know(f"[127.0.0.1]:{sshd.port} {(sshd.folder / 'foreign.pub').read_text()}")
    assert refused(sshd.environ()).code == "ssh-denied"


def test_a_machine_without_docker_is_said(sshd: Sshd) -> None:
    sshd.without_docker()
    error = refused(sshd.environ())
    assert error.exit is Exit.UNREACHABLE
    assert "there is no docker command on 127.0.0.1" in error.what


def test_a_machine_that_does_not_answer_is_said(sshd: Sshd) -> None:
    sshd.close()
    error = refused(sshd.environ())
    assert error.exit is Exit.UNREACHABLE
    assert f"127.0.0.1:{sshd.port} does not answer (Connection refused)" in error.what


def test_a_machine_without_ssh_is_said(tmp_path: Path) -> None:
    error = refused({"DOCKER_HOST": "ssh://somebody@host.invalid", "PATH": str(tmp_path)})
    assert error.exit is Exit.UNREACHABLE
    assert "the program ssh is not installed" in error.what
    assert "openssh-client" in error.fix
