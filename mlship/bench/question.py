"""Requests that the build knows the answers of: rows of the model's sample. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Question:
    """rows: asked together in one request. answers: the body that is right, `{"predictions": [...]}`."""

    rows: tuple[Any, ...]
    answers: Mapping[str, Any]


@dataclass(frozen=True)
class Address:
    """Where the load goes. path: of the URL in front of /predict, mostly empty."""

    host: str
    port: int
    is_tls: bool = False
    path: str = ""


def questions(rows: Sequence[Any], answers: Mapping[str, Any], together: int) -> tuple[Question, ...]:
    """The sample in requests of `together` rows each; all in one where its answers are not one a row, or where together is 0."""
    known = {name: answer for name, answer in answers.items() if isinstance(answer, list | tuple)}
    if together == 0 or len(known) < len(answers) or any(len(answer) != len(rows) for answer in known.values()):
        return (Question(tuple(rows), answers),)
    steps = range(0, len(rows), together)
    return tuple(
        Question(tuple(rows[at : at + together]), {name: list(answer[at : at + together]) for name, answer in known.items()})
        for at in steps
    )


def raw(question: Question, address: Address, path: str, key: str = "") -> bytes:
    """The request as it is sent. path: `/predict`. key: the caller's, where callers are judged."""
    body = json.dumps({"instances": list(question.rows)}, ensure_ascii=False).encode()
    host = f"[{address.host}]" if ":" in address.host else address.host
    head = [
        f"POST {address.path}{path} HTTP/1.1",
        f"Host: {host}:{address.port}",
        "Content-Type: application/json",
        "Accept: application/json",
        f"Content-Length: {len(body)}",
        *([f"Authorization: Bearer {key}"] if key else []),
    ]
    return "\r\n".join([*head, "", ""]).encode() + body
