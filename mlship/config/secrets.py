"""Where a secret's value stands: `env`, `env:OTHER` or `file:PATH`, and `secret:NAME` where another key names one. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

REFERENCE = "secret:"
WITH_SECRETS = ("local", "docker")  # targets that have a place for them
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}", re.ASCII)


@dataclass(frozen=True)
class Source:
    """kind: `env` with the name of a variable of the command's environment, or `file` with a path as it is written."""

    kind: Literal["env", "file"]
    at: str

    def __str__(self) -> str:
        return f"the variable {self.at}" if self.kind == "env" else f"the file {self.at}"


def source_of(name: str, text: str) -> Source:
    """name: of the secret, which `env` alone means. Raises ValueError: what is wrong; what to write."""
    kind, colon, rest = text.partition(":")
    if kind == "env" and (not colon or _VARIABLE.fullmatch(rest)):
        return Source("env", rest or name)
    if kind == "file" and rest:
        return Source("file", rest)
    raise ValueError(f"this is no place of a secret; write env, env:{name} or file:PATH")


def named_by(reference: str) -> str:
    """`secret:TLS_KEY` -> `TLS_KEY`."""
    return reference.removeprefix(REFERENCE)
