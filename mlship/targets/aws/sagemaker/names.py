"""What a project's endpoint, its configurations and models are called. Pure.

Three dashes stand between a project and what is of it: no name of a project or an environment has them. A configuration and a model are
immutable, and end with a digest of what they say.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import Any

from mlship.targets.aws.scope import Scope

SLOTS = ("a", "b")  # variants of the endpoint; a release is in one of them, and may be in the other one later
_LONGEST = 33  # of the 63 characters of a name; the rest is for release, kind and digest
_OF_RELEASE = re.compile(r"(?P<release>r\d+-[0-9a-f]{6})-(?P<rest>(?:(?P<kind>[a-z]+)-)?[0-9a-f]{6})")
ALONE, PAIR, CHECK = "", "pair", "check"


@dataclass(frozen=True)
class Names:
    """endpoint: what callers invoke. check: an endpoint beside it, where a release is asked that no caller reaches."""

    scope: Scope

    @property
    def base(self) -> str:
        stem = self.scope.stem
        if len(stem) <= _LONGEST:
            return stem
        return f"{stem[: _LONGEST - 7].rstrip('-')}-{hashlib.sha256(stem.encode()).hexdigest()[:6]}"

    @property
    def endpoint(self) -> str:
        return self.base

    @property
    def check(self) -> str:
        return f"{self.base}---check"

    @property
    def log_groups(self) -> tuple[str, str]:
        """Of the endpoint and of the one beside it: SageMaker writes there and nowhere else.

        (docs.aws.amazon.com/sagemaker/latest/dg/logging-cloudwatch.html, from memory, verify.)
        """
        return f"/aws/sagemaker/Endpoints/{self.endpoint}", f"/aws/sagemaker/Endpoints/{self.check}"

    @property
    def prefix(self) -> str:
        """What the names of all configurations and models of the project begin with."""
        return f"{self.base}---r"

    def alarm(self, slot: str, which: str) -> str:
        return f"{self.base}---{slot}-{which}"

    def model(self, release: str, said: Any) -> str:
        return f"{self.base}---{release}-{digest(said)}"

    def config(self, release: str, kind: str, said: Any) -> str:
        """kind: a slot, where the release is alone in it; `pair`: beside the one before; `check`."""
        return f"{self.base}---{release}-{kind}-{digest(said)}"

    def release_of(self, name: str) -> str:
        """Of a model or a configuration; empty for another project's."""
        return self._read(name)[0]

    def kind_of(self, name: str) -> str:
        """Of a configuration."""
        return self._read(name)[1]

    def _read(self, name: str) -> tuple[str, str]:
        start = f"{self.base}---"
        found = _OF_RELEASE.fullmatch(name[len(start) :]) if name.startswith(start) else None
        return (found["release"], found["kind"] or "") if found else ("", "")


def digest(said: Any) -> str:
    """Six digits: of what one release is made of there are a few in its life."""
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:6]
