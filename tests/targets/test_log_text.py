"""What a failed release said is read by people."""

from __future__ import annotations

import json

from mlship.targets.log_text import readable

TRACE = (
    'Traceback (most recent call last):\n  File "worker.py", line 9, in run\n    load()\n'
    '  File "iris/model.py", line 3, in load\n    open("x")\n    ^^^^^^^^^\nFileNotFoundError: x\n'
)


def test_the_servers_own_lines_are_told_in_words_with_the_end_of_the_trace() -> None:
    event = {"time": "2026-11-21T10:41:19.123Z", "level": "error", "event": "worker_failed", "error": "FileNotFoundError"}
    assert readable([json.dumps({**event, "message": "x", "trace": TRACE})]) == (
        "10:41:19 worker_failed: FileNotFoundError: x",
        '         File "iris/model.py", line 3, in load',
        '         open("x")',
        "         FileNotFoundError: x",
    )


def test_lines_of_the_users_own_code_stay_as_they_are() -> None:
    lines = ("loading model.joblib", "{", '{"time": 3}', '["event"]', "")
    assert readable(lines) == lines
