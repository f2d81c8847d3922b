"""Names of a function's parts, and what a version says of its release. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from mlship.targets.aws.scope import Scope

LIVE, STAGED = "live", "staged"  # aliases: whom callers reach, and what is asked before any of them does
LATEST = "$LATEST"
NAME_LENGTH = 64  # of a function (developer guide, CreateFunction, FunctionName; read 2026-11)
_SAID = re.compile(r"(?P<release>r\d+-[0-9a-f]{6}) (?P<content>sha256:[0-9a-f]{64})")


@dataclass(frozen=True)
class Said:
    """Of which release a version is, and what is in it."""

    release: str
    content: str


def function_name(scope: Scope) -> str:
    return scope.stem


def description(release: str, content: str) -> str:
    """Of a version: all that a machine without records has to know of it."""
    return f"{release} {content}"


def said(text: str) -> Said | None:
    """The inverse of `description`; None for versions that somebody else has published."""
    found = _SAID.fullmatch(text or "")
    return Said(found["release"], found["content"]) if found else None


def version_of_stream(stream: str) -> str:
    """`2026/11/23/[7]0f3a...` is of version 7; empty where the name does not say it."""
    return stream.partition("[")[2].partition("]")[0]
