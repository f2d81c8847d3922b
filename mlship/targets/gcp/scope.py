"""What everything of a project in one environment is called at Google Cloud, and what it carries. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from mlship.errors import Finding, MlshipError
from mlship.targets.base import Deployment

# Labels have no dots there (docs.cloud.google.com/resource-manager/docs/labels-overview: keys and values of lower case letters,
# digits, `_` and `-`, at most 63; from memory, verify); annotations have.
PROJECT, ENV, ROLE, RELEASE, CONTENT = "mlship-project", "mlship-env", "mlship-role", "mlship-release", "mlship.content"
# A tag and its service together have at most 46 characters (what Cloud Run's own refusal says, read 2026-11): 14 for `r12345-7f3a9c`.
_LONGEST = 32
_LABEL_KEY, _LABEL_TEXT = re.compile(r"[a-z][a-z0-9_-]{0,62}"), re.compile(r"[a-z0-9_-]{0,63}")
_RELEASE = re.compile(r"(?P<stem>.+)-(?P<release>r\d+-[0-9a-f]{6})(-(?P<attempt>\d+))?")


@dataclass(frozen=True)
class Scope:
    """environment: empty when the project has none. Raises MlshipError for a name that cannot be told from another's."""

    project: str
    environment: str = ""

    def __post_init__(self) -> None:
        if "--" in self.project or "--" in self.environment:
            raise MlshipError(
                f"{self.project} {self.environment}".strip() + " has two dashes in a row, which stand between project and"
                " environment in the names of Google Cloud",
                fix="write the name with single dashes",
                code="bad-name",
            )

    @property
    def stem(self) -> str:
        """`mlship-churn--prod`: the service, the endpoint, the repository; the beginning of every other name."""
        whole = f"mlship-{'--'.join(filter(None, (self.project, self.environment)))}"
        if len(whole) <= _LONGEST:
            return whole
        return f"{whole[: _LONGEST - 7].rstrip('-')}-{hashlib.sha256(whole.encode()).hexdigest()[:6]}"

    @property
    def records(self) -> str:
        """What the names of the records' objects begin with."""
        return f"mlship/{self.project}/{self.environment or '-'}/"

    def named(self, release: str, attempt: int = 1) -> str:
        """`mlship-churn-r1-7f3a9c`: one thing a release. attempt: a name that failed once is not taken again."""
        return f"{self.stem}-{release}" + (f"-{attempt}" if attempt > 1 else "")

    def release_of(self, name: str) -> str:
        """The inverse of `named`; empty for another project's."""
        found = _RELEASE.fullmatch(name)
        return found["release"] if found and found["stem"] == self.stem else ""

    def attempt_of(self, name: str) -> int:
        found = _RELEASE.fullmatch(name)
        return int(found["attempt"] or 1) if found and found["stem"] == self.stem else 0

    def labels(self, role: str, labels: Mapping[str, str], **more: str) -> dict[str, str]:
        """Sorted. What mlship says goes before what the user's labels say."""
        own = {PROJECT: self.project, ROLE: role, **{f"mlship-{name}": text for name, text in more.items()}}
        if self.environment:
            own[ENV] = self.environment
        return dict(sorted({**labels, **own}.items()))

    def is_ours(self, labels: Mapping[str, str]) -> bool:
        """Only what carries our labels is ever changed or removed."""
        return labels.get(PROJECT) == self.project and labels.get(ENV, "") == self.environment


def impossible_labels(deployment: Deployment) -> Iterator[Finding]:
    """Labels that Google Cloud does not take: none is changed or left out silently."""
    for name, text in sorted(deployment.labels.items()):
        if not _LABEL_KEY.fullmatch(name) or not _LABEL_TEXT.fullmatch(str(text)):
            yield Finding(
                f"Google Cloud takes no label {name}: {text}",
                deployment.places.get(f"labels.{name}", deployment.places.get("labels", "")),
                "use lower case letters, digits, _ and -",
                code="bad-label",
            )
