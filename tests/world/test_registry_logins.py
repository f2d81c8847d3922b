"""Logged in to a real registry: a password, tokens, a helper program, certificates and proxies."""

from __future__ import annotations

import base64
import json
import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from registry_images import image_of
from registry_parts import BadLine, bad_line, real_registry
from registry_tokens import TokenService

from mlship.errors import Exit, MlshipError
from mlship.oci.image import Image
from mlship.oci.layout import Layout
from mlship.oci.registry.client import Registry
from mlship.oci.registry.credentials import (
    ACR_USER,
    ARTIFACT_REGISTRY_USER,
    ECR_USER,
    Credentials,
    CredentialSource,
    nobody,
)
from mlship.oci.registry.docker_config import docker_credentials
from mlship.oci.registry.pull import pull
from mlship.oci.registry.push import Pushed, push
from mlship.oci.registry.reference import parse_reference
from mlship.runner import LocalRunner
from mlship.units import Secret

pytestmark = pytest.mark.world

CLOUD_USERS = (ECR_USER, ARTIFACT_REGISTRY_USER, ACR_USER)
WORD = "w0rd:with:colons"
HASH = "$2b$05$abcdefghijklmnopqrstuujJ4fHAc8Uk/5XK8XpPm0tev4BLVFw2K"  # bcrypt of WORD


class Place:
    """An image to push, and a home with docker's configuration."""

    def __init__(self, registry: str, folder: Path) -> None:
        self.registry = registry
        self.folder = folder
        self.layout = Layout(folder / "layout")
        self.image: Image = image_of(self.layout, (50_000, 10), seed=1)
        self.environ = {**os.environ, "DOCKER_CONFIG": str(folder)}

    def configure(self, config: Any) -> None:
        (self.folder / "config.json").write_text(json.dumps(config))

    def login(self, user: str, word: str) -> None:
        self.configure({"auths": {self.registry: {"auth": base64.b64encode(f"{user}:{word}".encode()).decode()}}})

    def credentials(self) -> CredentialSource:
        return docker_credentials(self.environ, LocalRunner())

    def push(self, credentials: CredentialSource | None = None, name: str = "team/churn:v1", **options: Any) -> Pushed:
        with Registry(self.registry, self.environ, credentials or self.credentials()) as registry:
            return push(registry, parse_reference(f"{self.registry}/{name}"), self.layout, [self.image], **options)

    def pull(self, credentials: CredentialSource, name: str = "team/churn:v1") -> Image:
        with Registry(self.registry, self.environ, credentials) as registry:
            reference = parse_reference(f"{self.registry}/{name}")
            return pull(registry, reference, Layout(self.folder / "there"), platform="linux/amd64")

    def refused(self, credentials: CredentialSource | None = None, name: str = "team/churn:v1") -> MlshipError:
        with pytest.raises(MlshipError) as refused:
            self.push(credentials, name)
        assert WORD not in f"{refused.value} {refused.value.details} {refused.value.__dict__}"
        return refused.value


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A registry with one user."""
    folder = tmp_path_factory.mktemp("guarded")
    (folder / "htpasswd").write_text(f"eve:{HASH}\n")
    with real_registry(folder, f"auth: {{htpasswd: {{realm: r, path: '{folder}/htpasswd'}}}}\n") as port:
        yield port


@pytest.fixture
def place(guarded: int, tmp_path: Path) -> Place:
    return Place(f"localhost:{guarded}", tmp_path)


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TokenService]:
    service = TokenService(tmp_path_factory.mktemp("tokens"))
    service.users["eve"] = WORD
    service.users.update(dict.fromkeys(CLOUD_USERS, "a-cloud-token"))
    service.tokens["identity-of-eve"] = "eve"
    yield service
    service.close()


@pytest.fixture(scope="module")
def token_port(tokens: TokenService, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with real_registry(tmp_path_factory.mktemp("token-registry"), tokens.settings) as port:
        yield port


@pytest.fixture
def line(token_port: int, tokens: TokenService) -> Iterator[BadLine]:
    tokens.asked.clear()
    with bad_line(token_port) as counted:
        yield counted


# --- a password


def test_the_login_of_docker_is_used(place: Place) -> None:
    place.login("eve", WORD)
    assert place.push().contents == (place.image.content,)
    assert place.pull(place.credentials()) == place.image


def test_credentials_that_a_target_hands_in_are_used(place: Place) -> None:
    assert place.push(lambda registry: Credentials("eve", Secret(WORD))).contents == (place.image.content,)


def test_without_a_login_the_command_for_one_is_named(place: Place) -> None:
    error = place.refused()
    assert (error.exit, error.fix) == (Exit.DENIED, f"docker login {place.registry}")
    assert "and there are none" in error.what


def test_a_wrong_password_is_told_with_user_and_file(place: Place) -> None:
    place.login("eve", "other")
    error = place.refused()
    assert (error.exit, error.fix) == (Exit.DENIED, f"docker login {place.registry}")
    assert f"does not accept the credentials of eve ({place.folder}/config.json)" in error.what


def test_a_helper_program_is_asked(place: Place) -> None:
    program = place.folder / "docker-credential-test"
    asked = place.folder / "asked"
    told = json.dumps({"ServerURL": place.registry, "Username": "eve", "Secret": WORD})
    program.write_text(f"#!/bin/sh\n[ \"$1\" = get ] || exit 9\ncat > '{asked}'\necho '{told}'\n")
    program.chmod(0o755)
    place.environ["PATH"] = f"{place.folder}:{place.environ['PATH']}"
    place.configure({"credHelpers": {place.registry: "test"}})
    assert place.push().contents == (place.image.content,)
    assert asked.read_text() == place.registry


# --- tokens


def test_one_token_serves_a_whole_push(line: BadLine, tokens: TokenService, tmp_path: Path) -> None:
    place = Place(line.registry, tmp_path)
    place.login("eve", WORD)
    place.push(name="token/churn:v1")
    assert [(method, user) for method, user, _ in tokens.asked] == [("GET", "eve")]
    assert "repository:token/churn:pull,push" in tokens.asked[0][2]
    assert line.count("HEAD", status=401) <= 4  # those that were under way before the registry had asked for a token


def test_a_mount_asks_for_both_repositories_in_one_token(line: BadLine, tokens: TokenService, tmp_path: Path) -> None:
    place = Place(line.registry, tmp_path)
    place.login("eve", WORD)
    place.push(name="mount/base:v1")
    tokens.asked.clear()
    pushed = place.push(name="mount/churn:v1", mount_from=lambda digest: ["mount/base"])
    assert (pushed.moved, len(pushed.mounted)) == (0, 3)
    assert [scopes[:2] for _, _, scopes in tokens.asked] == [("repository:mount/churn:pull,push", "repository:mount/base:pull")]


def test_an_identity_token_is_enough(line: BadLine, tokens: TokenService, tmp_path: Path) -> None:
    place = Place(line.registry, tmp_path)
    place.configure({"auths": {line.registry: {"identitytoken": "identity-of-eve"}}})
    place.push(name="identity/churn:v1")
    assert {(method, user) for method, user, _ in tokens.asked} == {("POST", "eve")}


@pytest.mark.parametrize("user", CLOUD_USERS)
def test_a_clouds_token_goes_with_its_own_user(line: BadLine, tokens: TokenService, tmp_path: Path, user: str) -> None:
    place = Place(line.registry, tmp_path)
    place.push(lambda registry: Credentials(user, Secret("a-cloud-token")), name=f"cloud/churn:{user}")
    assert {user for _, user, _ in tokens.asked} == {user}


def test_nobody_may_pull_what_is_public_and_not_push(line: BadLine, tokens: TokenService, tmp_path: Path) -> None:
    place = Place(line.registry, tmp_path)
    place.push(lambda registry: Credentials("eve", Secret(WORD)))
    assert place.pull(nobody) == place.image
    error = place.refused(nobody, name="team/churn:v2")
    assert (error.exit, error.fix) == (Exit.DENIED, f"docker login {line.registry}")


def test_a_password_that_the_token_service_refuses_is_told(line: BadLine, tmp_path: Path) -> None:
    place = Place(line.registry, tmp_path)
    place.login("eve", "other")
    error = place.refused()
    assert error.exit is Exit.DENIED
    assert "does not accept the credentials of eve" in error.what


def test_tokens_that_end_during_a_push_are_renewed(line: BadLine, tokens: TokenService, tmp_path: Path) -> None:
    place = Place(line.registry, tmp_path)
    place.login("eve", WORD)
    place.image = image_of(place.layout, (600_000,) * 4, seed=3)
    tokens.lifetime_s = 2
    line.delay_s = 0.3
    try:
        place.push(name="short/churn:v1")
    finally:
        tokens.lifetime_s = 300
    assert len(tokens.asked) >= 2
    assert place.pull(place.credentials(), name="short/churn:v1") == place.image


# --- certificates and proxies


def openssl(folder: Path, *argv: str) -> None:
    subprocess.run(["openssl", *argv], cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, Path]]:
    """A registry that speaks TLS only, and its authority's file. Its certificate is for localhost and registry.invalid."""
    folder = tmp_path_factory.mktemp("secure")
    openssl(folder, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out", "cert.pem", "-days", "2",
            "-subj", "/CN=r", "-addext", "subjectAltName=DNS:localhost,DNS:registry.invalid")  # fmt: skip
    tls = f"tls: {{certificate: '{folder}/cert.pem', key: '{folder}/key.pem'}}"
    with real_registry(folder, http=tls) as port:
        yield port, folder / "cert.pem"


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"])
def test_a_private_authority_is_trusted_when_it_is_named(secure: tuple[int, Path], tmp_path: Path, name: str) -> None:
    port, certificate = secure
    place = Place(f"localhost:{port}", tmp_path)
    place.environ = {key: value for key, value in os.environ.items() if key not in ("SSL_CERT_FILE", "SSL_CERT_DIR")}
    place.environ[name] = str(certificate)
    assert place.push(nobody).contents == (place.image.content,)


def test_a_certificate_that_nobody_vouches_for_is_not_trusted(secure: tuple[int, Path], tmp_path: Path) -> None:
    place = Place(f"localhost:{secure[0]}", tmp_path)
    place.environ = {}
    error = place.refused(nobody)
    assert (error.exit, error.code) == (Exit.DENIED, "registry-untrusted")
    assert "SSL_CERT_FILE" in error.fix


class Tunnel:
    """An HTTPS proxy: CONNECT to any name leads to one port. connected: the names."""

    def __init__(self, port: int) -> None:
        self.connected: list[str] = []
        self._port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += client.recv(65536)
        self.connected.append(head.split()[1].decode())
        server = socket.create_connection(("127.0.0.1", self._port))
        client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        threading.Thread(target=_pump, args=(server, client), daemon=True).start()
        _pump(client, server)


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while piece := source.recv(65536):
            sink.sendall(piece)
    for end in (source, sink):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


def test_a_registry_behind_a_proxy_is_reached_through_it(secure: tuple[int, Path], tmp_path: Path) -> None:
    port, certificate = secure
    tunnel = Tunnel(port)
    place = Place("registry.invalid", tmp_path)
    place.environ = {"HTTPS_PROXY": tunnel.url, "SSL_CERT_FILE": str(certificate)}
    try:
        assert place.push(nobody).contents == (place.image.content,)
        assert place.pull(nobody) == place.image
    finally:
        tunnel.close()
    assert set(tunnel.connected) == {"registry.invalid:443"}
