import base64
import json
import logging
from pathlib import Path

import pytest

from mlship.errors import MlshipError
from mlship.oci.registry.credentials import Credentials
from mlship.oci.registry.docker_config import config_path, docker_credentials
from mlship.runner import Command, Result
from mlship.units import Secret

WORD = "tr0ub4dor&3:with:colons"


def packed(user: str, word: str = WORD) -> str:
    return base64.b64encode(f"{user}:{word}".encode()).decode()


class Helpers:
    """Stands where programs are started; answers as the credential helpers do."""

    def __init__(self, answers: dict[tuple[str, str], object] | None = None, missing: bool = False) -> None:
        self.answers = answers or {}
        self.missing = missing
        self.asked: list[tuple[str, str]] = []

    def run(self, command: Command) -> Result:
        program, verb = command.argv
        assert command.stdin is not None
        if verb == "list":
            return Result(0, json.dumps({key: "somebody" for of, key in self.answers if of == program}).encode(), b"")
        assert verb == "get"
        key = (program, command.stdin.decode())
        self.asked.append(key)
        if self.missing:
            raise MlshipError(f"the program {program} is not installed", code="missing-program")
        if key not in self.answers:
            return Result(1, b"credentials not found in native keychain\n", b"")
        answer = self.answers[key]
        return Result(0, answer if isinstance(answer, bytes) else json.dumps(answer).encode(), b"")


def source(folder: Path, config: object, helpers: Helpers | None = None):
    (folder / "config.json").write_text(json.dumps(config))
    return docker_credentials({"DOCKER_CONFIG": str(folder)}, helpers or Helpers())


def test_the_file_lies_where_docker_keeps_it() -> None:
    assert config_path({"DOCKER_CONFIG": "/etc/docker-ci", "HOME": "/home/a"}) == Path("/etc/docker-ci/config.json")
    assert config_path({"HOME": "/home/a"}) == Path("/home/a/.docker/config.json")


def test_without_a_file_one_is_nobody(tmp_path: Path) -> None:
    assert docker_credentials({"HOME": str(tmp_path)}, Helpers())("r.example.com") is None


@pytest.mark.parametrize(
    "key", ["r.example.com", "https://r.example.com", "https://r.example.com/v1/", "http://R.Example.com/v2/"]
)
def test_a_login_is_found_however_its_key_is_written(tmp_path: Path, key: str) -> None:
    found = source(tmp_path, {"auths": {key: {"auth": packed("eve")}}})("r.example.com")
    assert found == Credentials("eve", Secret(WORD), str(tmp_path / "config.json"))


def test_the_login_of_another_port_is_not_taken(tmp_path: Path) -> None:
    asked = source(tmp_path, {"auths": {"localhost:5000": {"auth": packed("eve")}}})
    assert asked("localhost:5000") is not None
    assert asked("localhost:5001") is None
    assert asked("localhost") is None


def test_docker_hub_is_found_under_its_old_address(tmp_path: Path) -> None:
    found = source(tmp_path, {"auths": {"https://login.docker.io/v1/": {"auth": packed("eve")}}})("docker.io")
    assert found is not None and found.user == "eve"


def test_an_identity_token_goes_before_the_password(tmp_path: Path) -> None:
    found = source(tmp_path, {"auths": {"r.io": {"auth": packed("eve"), "identitytoken": "abc"}}})("r.io")
    assert found is not None and found.is_identity_token and found.password.reveal() == "abc"


def test_an_empty_entry_is_no_login(tmp_path: Path) -> None:
    assert source(tmp_path, {"auths": {"r.io": {}}})("r.io") is None


@pytest.mark.parametrize("auth", ["%%%", "bm9jb2xvbg==", 70700, base64.b64encode(b"\xff\xfe:x").decode()])
def test_a_damaged_entry_is_named_and_not_shown(tmp_path: Path, auth: object) -> None:
    with pytest.raises(MlshipError, match=r"auths.r.io.auth is not base64") as refused:
        source(tmp_path, {"auths": {"r.io": {"auth": auth}}})("r.io")
    assert refused.value.fix == "docker login r.io"
    assert str(auth) not in f"{refused.value} {refused.value.details}"


@pytest.mark.parametrize("text", ["{", "[]", '{"auths": []}', '{"credHelpers": 3, "credsStore": 4}'])
def test_a_file_that_is_none_is_refused_or_empty(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text)
    asked = docker_credentials({"DOCKER_CONFIG": str(tmp_path)}, Helpers())
    if text != "{":
        assert asked("r.io") is None
        return
    with pytest.raises(MlshipError, match="docker's credentials cannot be read: it is not JSON") as refused:
        asked("r.io")
    assert refused.value.where == str(tmp_path / "config.json")


def test_the_helper_of_a_registry_goes_before_the_store_and_the_file(tmp_path: Path) -> None:
    helpers = Helpers(
        {
            ("docker-credential-ecr-login", "1.dkr.ecr.eu-west-1.amazonaws.com"): {"Username": "AWS", "Secret": "t1"},
            ("docker-credential-desktop", "r.example.com"): {"Username": "eve", "Secret": "t2"},
            ("docker-credential-desktop", "https://login.docker.io/v1/"): {"Username": "<token>", "Secret": "t3"},
        }
    )
    config = {
        "credsStore": "desktop",
        "credHelpers": {"1.dkr.ecr.eu-west-1.amazonaws.com": "ecr-login"},
        "auths": {"r.example.com": {}, "s.example.com": {"auth": packed("adam")}},
    }
    asked = source(tmp_path, config, helpers)
    assert asked("1.dkr.ecr.eu-west-1.amazonaws.com") == Credentials("AWS", Secret("t1"), "docker-credential-ecr-login")
    assert asked("r.example.com") == Credentials("eve", Secret("t2"), "docker-credential-desktop")
    hub = asked("docker.io")
    assert hub is not None and hub.is_identity_token
    quay = asked("s.example.com")
    assert quay is not None and quay.user == "adam"
    assert helpers.asked[-1] == ("docker-credential-desktop", "s.example.com")


def test_a_helper_that_is_gone_leaves_one_nobody(tmp_path: Path) -> None:
    assert source(tmp_path, {"credsStore": "desktop"}, Helpers(missing=True))("r.io") is None


def test_a_helper_that_answers_nonsense_is_named_without_what_it_said(tmp_path: Path) -> None:
    helpers = Helpers({("docker-credential-x", "r.io"): b'"s3cret'})
    with pytest.raises(MlshipError, match="docker-credential-x did not answer with credentials") as refused:
        source(tmp_path, {"credsStore": "x"}, helpers)("r.io")
    assert "s3cret" not in f"{refused.value!r} {refused.value} {refused.value.details}"


def test_a_helper_is_a_name_and_no_path(tmp_path: Path) -> None:
    with pytest.raises(MlshipError, match="is not the name of a credential helper"):
        source(tmp_path, {"credsStore": "../../tmp/evil"})("r.io")


def test_credentials_print_no_secret(caplog: pytest.LogCaptureFixture) -> None:
    known = Credentials("eve", Secret(WORD), "file")
    with caplog.at_level(logging.DEBUG):
        logging.getLogger("x").info("%s %r", known, known)
    assert WORD not in f"{known} {known!r} {[known]} {caplog.text}"
    with pytest.raises(TypeError):
        json.dumps(known.__dict__)
