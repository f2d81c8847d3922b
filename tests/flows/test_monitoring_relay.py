"""The relay's decisions: what it takes, what it sends, and when it does not; its sockets are asked in a story."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

from mlship.templating import templates_folder

SPEC = importlib.util.spec_from_file_location("mlship_relay", templates_folder() / "monitoring" / "relay.py")
assert SPEC and SPEC.loader
relay: Any = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(relay)

ALERT = {
    "status": "firing",
    "labels": {"alertname": "MlshipDrift", "project": "churn", "model": 'm"}, {"x'},
    "annotations": {"summary": "churn drifts"},
    "startsAt": "2026-11-23T01:00:00Z",
    "fingerprint": "0123456789abcdef",
}


class Line(relay.Relay):  # type: ignore[misc]
    """A relay whose far side answers as told: a problem, or None."""

    def __init__(self, folder: Path, *answers: tuple[str | None, bool], **more: Any) -> None:
        (folder / "token").write_text("secret-4711\n")
        said = {"port": 0, "url": "https://a.example/b", "token": "token", "once_in_s": 100, "body": {"why": "{alert}"}, **more}
        self.now, self.waits, self.answers, self.bodies = 1000.0, [], list(answers), []
        super().__init__(relay.Settings(said, folder), lambda: self.now, self.waits.append)

    def _sent_once(self, body: bytes) -> tuple[str | None, bool]:
        self.bodies.append(json.loads(body))
        return self.answers.pop(0) if self.answers else (None, True)


def test_words_stay_inside_the_texts_of_the_body() -> None:
    words = relay.words_of(ALERT, relay.fingerprint_of(ALERT))
    body = {"a": "{alert} of {project}{environment}", "n": 1, "list": ["{model}", None], "{alert}": "{unknown} {since}"}
    assert relay.filled(body, words) == {
        "a": "MlshipDrift of churn",
        "n": 1,
        "list": ['m"}, {"x', None],
        "{alert}": "{unknown} 2026-11-23T01:00:00Z",
    }


def test_the_same_alert_is_sent_once_in_a_time(tmp_path: Path) -> None:
    line = Line(tmp_path)
    other = {**ALERT, "fingerprint": "fedcba9876543210"}
    assert line.pass_on([ALERT, other]) == (2, 0, 0)
    line.now += 99
    assert line.pass_on([ALERT]) == (0, 1, 0)
    line.now += 2
    assert line.pass_on([ALERT]) == (1, 0, 0) and line.bodies == [{"why": "MlshipDrift"}] * 3


def test_what_was_sent_is_known_after_a_restart_where_a_file_keeps_it(tmp_path: Path) -> None:
    assert Line(tmp_path, state="state.json").pass_on([ALERT]) == (1, 0, 0)
    assert Line(tmp_path, state="state.json").pass_on([ALERT]) == (0, 1, 0)
    (tmp_path / "state.json").write_text("[not a state")
    assert Line(tmp_path, state="state.json").pass_on([ALERT]) == (1, 0, 0)


def test_failures_are_tried_again_later_and_later(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = Line(tmp_path, ("status 503", False), ("no answer: TimeoutError", False), (None, True))
    assert line.pass_on([ALERT]) == (1, 0, 0) and line.waits == [1, 2]
    line = Line(tmp_path, *[("status 503", False)] * 3)
    assert line.pass_on([ALERT]) == (0, 0, 1) and line.pass_on([ALERT]) == (1, 0, 0)
    line = Line(tmp_path, ("status 401", True))
    assert line.pass_on([ALERT]) == (0, 0, 1) and line.waits == []
    assert "secret-4711" not in capsys.readouterr().err


@pytest.mark.parametrize("content", [b"", b" \n", b"one\ntwo", "tokén".encode(), b"a" * 20_000, None])
def test_a_file_without_one_token_is_refused_without_its_content(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "token").write_bytes(content)
    with pytest.raises(relay.Wrong) as refused:
        relay.read_token(tmp_path / "token")
    assert "two" not in str(refused.value) and "tok\u00e9n" not in str(refused.value)


@pytest.mark.parametrize(
    "said",
    [None, [], {}, {"alerts": {}}, {"alerts": ["x"]}, {"alerts": [{"labels": []}]}, {"alerts": [{"labels": {"a": 1}}]}],
)
def test_only_notifications_are_taken(said: Any) -> None:
    with pytest.raises(relay.Wrong):
        relay.alerts_of(said)


def test_only_what_fires_is_passed_on() -> None:
    resolved = {**ALERT, "status": "resolved"}
    assert relay.alerts_of({"alerts": [resolved, ALERT]}) == [ALERT]


def test_of_very_many_alerts_some_wait_for_the_next_time(tmp_path: Path) -> None:
    line = Line(tmp_path)
    many = [{**ALERT, "fingerprint": f"{number:016x}"} for number in range(relay.MOST_SENT + 20)]
    assert line.pass_on(many) == (relay.MOST_SENT, 0, 20)
    assert line.pass_on(many) == (20, relay.MOST_SENT, 0)


def test_an_alert_without_a_fingerprint_has_that_of_its_labels() -> None:
    bare = {name: value for name, value in ALERT.items() if name != "fingerprint"}
    assert relay.fingerprint_of(bare) == relay.fingerprint_of({**bare, "annotations": {}, "fingerprint": "../x"}) != "../x"


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"port": "x"},
        {"port": 1, "url": "file:///etc/passwd", "token": "t", "body": {}},
        [],
        {"port": 1, "url": "https://a", "token": "t", "body": {}, "listen": "0.0.0.0"},
    ],
)
def test_settings_that_cannot_be_are_refused(tmp_path: Path, said: Any) -> None:
    with pytest.raises(relay.Wrong, match=r"relay\.json"):
        relay.Settings(said, tmp_path)
