"""Where a secret's value stands: `env`, `env:OTHER` or `file:PATH`, or its name in the secret store of a cloud. Pure.

`secret:NAME` is how another key names one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

REFERENCE = "secret:"
WITH_SECRETS = ("local", "docker")  # targets that are handed the values, which are read here

# Targets whose platform reads the value by itself: what a name in its store looks like, and what people are told to write.
# Alphabets and lengths: CreateSecret (service model secretsmanager of botocore 1.44.5), Secret.name (discovery document
# secretmanager v1), and the names of vaults and secrets in Key Vault's REST reference; all read 2026-11.
STORES = {
    "aws": (
        re.compile(r"secretsmanager:(arn:[A-Za-z0-9-]+:secretsmanager:[\w:/+=.@-]+|[\w/+=.@-]{1,512})", re.ASCII),
        "secretsmanager:NAME",
    ),
    "gcp": (
        re.compile(r"(projects/[a-z0-9.:-]{1,63}/secrets/)?[A-Za-z0-9_-]{1,255}"),
        "NAME, as Secret Manager has it, or projects/PROJECT/secrets/NAME",
    ),
    "azure": (re.compile(r"[A-Za-z][A-Za-z0-9-]{1,22}[A-Za-z0-9]/[A-Za-z0-9-]{1,127}"), "VAULT/NAME, as Key Vault has them"),
}
PLACES = {"aws": '"secretsmanager:NAME"', "gcp": "NAME", "azure": "VAULT/NAME"}  # examples in YAML; elsewhere it is env
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


def check_stored(target: str, text: str) -> None:
    """target: one of STORES. Raises ValueError: what is wrong; what to write."""
    grammar, example = STORES[target]
    if not grammar.fullmatch(text):
        raise ValueError(f"this is no name of a secret at {target}; write {example}")


def named_by(reference: str) -> str:
    """`secret:TLS_KEY` -> `TLS_KEY`."""
    return reference.removeprefix(REFERENCE)
