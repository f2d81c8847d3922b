"""A container's own check: 0 only where the server is ready, of the right release, and has answered the sample once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mlship.server.health_check import health
from mlship.server.manifest import Manifest, Model, Serving, to_json

WELL = {"/mlship/release": (200, {"release": "r1-aaaaaa"}), "/readyz": (200, {}), "/predict": (200, {"predictions": [1]})}


class Server:
    """What is asked, and what is answered to it."""

    def __init__(self, **changes: tuple[int, dict[str, Any]]) -> None:
        self.answers = {**WELL, **{f"/{name.replace('_', '/')}": answer for name, answer in changes.items()}}
        self.asked: list[tuple[str, str]] = []
        self.waits: list[float] = []

    def ask(self, port: int, path: str, body: bytes | None = None, timeout_s: float = 0.0, key: str = "") -> dict[str, Any]:
        self.asked.append((path, key if body else ""))
        self.waits.append(timeout_s)
        status, said = self.answers[path]
        return {"status": status, "headers": {}, "body": json.dumps(said)}


def checked(folder: Path, server: Server, protocols: tuple[str, ...] = ("native",), answers_s: float = 2.0) -> int:
    model = Model("demo", "python", "none", "model", "ab" * 32, sample=({"age": 30},))
    serving = Serving(protocols=protocols, request_timeout_s=answers_s)
    (folder / "manifest.json").write_bytes(to_json(Manifest("demo", (model,), serving, mlship="0.1.0")))
    environ = {"MLSHIP_RELEASE": "r1-aaaaaa", "MLSHIP_MANIFEST": str(folder / "manifest.json"), "MLSHIP_OPERATOR_KEY": "k"}
    return health(environ, folder, server.ask)


def test_the_sample_is_asked_once_with_the_containers_own_key(tmp_path: Path) -> None:
    server = Server()
    assert [checked(tmp_path, server), checked(tmp_path, server)] == [0, 0]
    each = [("/mlship/release", ""), ("/readyz", "")]
    assert server.asked == [*each, ("/predict", "k"), *each]


@pytest.mark.parametrize(("answers_s", "waits"), [(2.0, 4.0), (30.0, 30.0)])
def test_a_slow_model_has_as_long_for_its_sample_as_for_a_caller(tmp_path: Path, answers_s: float, waits: float) -> None:
    server = Server()
    assert checked(tmp_path, server, answers_s=answers_s) == 0
    assert server.waits == [4.0, 4.0, waits]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"mlship_release": (200, {"release": "r0-bbbbbb"})}, "GET /mlship/release answers 200 r0-bbbbbb, and not r1-aaaaaa"),
        ({"mlship_release": (404, {})}, "GET /mlship/release answers 404 , and not r1-aaaaaa"),
        ({"readyz": (503, {})}, "GET /readyz answers 503"),
        ({"predict": (500, {})}, "POST /predict with the sample answers 500"),
    ],
)
def test_what_is_not_well_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], changes: dict[str, Any], said: str
) -> None:
    assert checked(tmp_path, Server(**changes)) == 1
    assert capsys.readouterr().out == said + "\n"
    assert [file.name for file in tmp_path.iterdir()] == ["manifest.json"], "the next check asks for the sample, too"


def test_a_server_that_does_not_speak_our_protocol_is_asked_no_sample(tmp_path: Path) -> None:
    server = Server(predict=(404, {}))
    assert checked(tmp_path, server, ("sagemaker",)) == 0
    assert [path for path, _ in server.asked] == ["/mlship/release", "/readyz"]


def test_nobody_who_listens_is_not_well(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def refused(*_: Any, **__: Any) -> dict[str, Any]:
        raise ConnectionRefusedError(111, "Connection refused")

    assert health({"MLSHIP_RELEASE": "r1-aaaaaa"}, tmp_path, refused) == 1
    assert capsys.readouterr().out.startswith("ConnectionRefusedError")
