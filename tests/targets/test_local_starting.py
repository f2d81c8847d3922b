"""Why a copy is not ready, in words."""

from __future__ import annotations

import json

import pytest

from mlship.targets.local.protocol import ServerView
from mlship.targets.local.starting import end_in_words
from mlship.targets.reason import own_reason


@pytest.mark.parametrize(
    ("code", "oom", "words"),
    [
        (3, False, "the server ended by itself (exit 3)"),
        (137, False, "out of memory (exit 137)"),
        (-9, True, "out of memory (exit 137)"),
        (-9, False, "the server was killed by SIGKILL (exit 137)"),
        (-11, False, "the server was killed by SIGSEGV (exit 139)"),
    ],
)
def test_how_a_server_ended_is_said_in_words(code: int, oom: bool, words: str) -> None:
    assert end_in_words(ServerView("r1-000000", "ended", 0, 0, 0.0, 1, "", 1, code=code, out_of_memory=oom)) == words


def test_the_servers_own_reason_is_the_cause() -> None:
    line = json.dumps({"event": "start_failed", "message": "the model did not load within 60 s"})
    assert own_reason(["x", line, "7", "{"]) == "the model did not load within 60 s"
    assert own_reason(["x", "{}"]) == ""
