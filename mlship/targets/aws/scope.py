"""What everything of a project in one environment is called at AWS, and what it carries. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from mlship.errors import MlshipError

PROJECT, ENV, ROLE, RELEASE, CONTENT = "mlship.project", "mlship.env", "mlship.role", "mlship.release", "mlship.content"
SLOTS = ("a", "b")
_SHORT = 21  # of the 32 characters of a balancer's or a target group's name; the rest is what tells them apart
_FAMILY = re.compile(r"(?P<stem>.+)_(?P<release>r\d+-[0-9a-f]{6})")


@dataclass(frozen=True)
class Scope:
    """environment: empty when the project has none. Raises MlshipError for a name that AWS cannot tell from another's."""

    project: str
    environment: str = ""
    STEM: ClassVar[str] = "mlship-"
    RECORDS: ClassVar[str] = "mlship/"

    def __post_init__(self) -> None:
        if "--" in self.project or "--" in self.environment:
            raise MlshipError(
                f"{self.project} {self.environment}".strip() + " has two dashes in a row, which stand between project and"
                " environment in the names of AWS",
                fix="write the name with single dashes",
                code="bad-name",
            )

    @property
    def stem(self) -> str:
        """`mlship-churn--prod`: the stack, the cluster; the beginning of every other name."""
        return self.STEM + "--".join(filter(None, (self.project, self.environment)))

    @property
    def log_group(self) -> str:
        return "/" + self._path

    @property
    def repository(self) -> str:
        return self._path

    @property
    def records(self) -> str:
        """What the keys of the records' objects begin with."""
        return f"{self.RECORDS}{self.project}/{self.environment or '-'}/"

    @property
    def _path(self) -> str:
        return "/".join(filter(None, ("mlship", self.project, self.environment)))

    def short(self, end: str) -> str:
        """A name of at most 32 characters, as balancers and target groups have them."""
        seen = self.stem.replace("--", "-")[:_SHORT].rstrip("-")  # a target group takes no two dashes in a row
        return f"{seen}-{hashlib.sha256(self.stem.encode()).hexdigest()[:6]}-{end}"

    def service(self, slot: str) -> str:
        return f"{self.stem}-{slot}"

    def family(self, release: str) -> str:
        """One family of task definitions a release: what can be served again is what there are families of."""
        return f"{self.stem}_{release}"

    def release_of(self, family: str) -> str:
        """The inverse of `family`; empty for another project's."""
        found = _FAMILY.fullmatch(family)
        return found["release"] if found and found["stem"] == self.stem else ""

    def refuse_foreign(self, name: str, tags: Mapping[str, str]) -> None:
        """Raises MlshipError for what has a name of this project's, and was made by somebody else. name: with its kind, for people."""
        if (tags.get(PROJECT), tags.get(ENV, "")) == (self.project, self.environment):
            return
        said = f"{PROJECT}={self.project}" + (f" and {ENV}={self.environment}" if self.environment else "")
        raise MlshipError(
            f"{name} is there already, and not mlship's: it is not tagged {said}",
            fix="deploy under another name; or, if it is this project's, tag it so",
            code="not-ours",
        )

    def tags(self, role: str, labels: Mapping[str, str], **more: str) -> dict[str, str]:
        """Sorted. What mlship says goes before what the user's labels say."""
        own = {PROJECT: self.project, ROLE: role, **{f"mlship.{name}": text for name, text in more.items()}}
        if self.environment:  # some services refuse a tag without text
            own[ENV] = self.environment
        return dict(sorted({**labels, **own}.items()))
