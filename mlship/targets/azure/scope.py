"""What everything of a project in one environment is called at Azure, what it carries, and where it is. Pure."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping
from dataclasses import dataclass

from mlship.errors import MlshipError

PROJECT, ENV, ROLE, RELEASE, CONTENT = "mlship.project", "mlship.env", "mlship.role", "mlship.release", "mlship.content"
STORAGE = "mlship.storage"  # a tag: in which account the records are, where it is not the one that mlship makes
GROUP = "mlship"  # the resource group of who names none
CONTAINER = "mlship"  # of the records, in the storage account
_LONGEST = 60  # of a managed environment's name; a workspace's has 63 (learn.microsoft.com, "Naming rules and restrictions")
_SHORT = 25  # of the 32 characters of a container app's name; the rest is what tells them apart
_ROLES = uuid.UUID("6c1b1f0a-3d0f-4f3e-9a39-5f6f5b0c8e11")  # the namespace of names of role assignments: any will do


@dataclass(frozen=True)
class Scope:
    """environment: empty when the project has none. Raises MlshipError for a name that Azure cannot tell from another's."""

    project: str
    environment: str = ""

    def __post_init__(self) -> None:
        if "--" in self.project or "--" in self.environment:
            raise MlshipError(
                f"{self.project} {self.environment}".strip() + " has two dashes in a row, which stand between project and"
                " environment in the names of Azure",
                fix="write the name with single dashes",
                code="bad-name",
            )

    @property
    def stem(self) -> str:
        """`mlship-churn--prod`: identities, environments, workspaces. What is too long ends in what tells it apart."""
        whole = f"mlship-{'--'.join(filter(None, (self.project, self.environment)))}"
        if len(whole) <= _LONGEST:
            return whole
        return f"{whole[: _LONGEST - 7].rstrip('-')}-{hashlib.sha256(whole.encode()).hexdigest()[:6]}"

    @property
    def short(self) -> str:
        """A name of at most 32 characters without two dashes in a row, as container apps and ML endpoints have them."""
        seen = "-".join(filter(None, (self.project, self.environment)))[:_SHORT].rstrip("-")
        return f"{seen}-{hashlib.sha256(self.stem.encode()).hexdigest()[:6]}"

    @property
    def repository(self) -> str:
        return "/".join(filter(None, ("mlship", self.project, self.environment)))

    @property
    def records(self) -> str:
        """What the names of the records' blobs begin with."""
        return f"{self.project}/{self.environment or '-'}/"

    def tags(self, role: str, labels: Mapping[str, str], **more: str) -> dict[str, str]:
        """Sorted. What mlship says goes before what the user's labels say."""
        own = {PROJECT: self.project, ROLE: role, **{f"mlship.{name}": text for name, text in more.items() if text}}
        if self.environment:
            own[ENV] = self.environment
        return dict(sorted({**labels, **own}.items()))

    def owns(self, tags: Mapping[str, str] | None) -> bool:
        """Whether what carries these tags is this project's, made by mlship."""
        said = tags or {}
        return said.get(PROJECT) == self.project and said.get(ENV, "") == self.environment


@dataclass(frozen=True)
class Place:
    """Where in Azure. subscription and group as they stand in paths."""

    subscription: str
    group: str

    @property
    def path(self) -> str:
        return f"/subscriptions/{self.subscription}/resourceGroups/{self.group}"

    @property
    def flags(self) -> str:
        """Of a command to paste: whatever `az` would take by itself, it is this place."""
        return f"-g {self.group} --subscription {self.subscription}"

    def resource(self, kind: str, said: str) -> str:
        """The path of one. kind: `Microsoft.App/containerApps`; said: its name in this group, or its whole path anywhere."""
        if said.startswith("/"):
            return said
        return f"{self.path}/providers/{kind}/{said}"

    def unique(self, length: int) -> str:
        """A name that is the same for all projects of this group, and nobody else's: letters and digits."""
        told = f"{self.subscription}/{self.group}".lower()
        return f"mlship{hashlib.sha256(told.encode()).hexdigest()[: length - len('mlship')]}"

    @property
    def storage(self) -> str:
        """The account that mlship makes: at most 24 characters."""
        return self.unique(24)

    @property
    def registry(self) -> str:
        return self.unique(24)


def assignment(scope: str, role: str, principal: str) -> str:
    """The name of a role assignment: the same for the same, so that making it twice makes one."""
    return str(uuid.uuid5(_ROLES, f"{scope}|{role}|{principal}".lower()))


def flags_of(path: str) -> str:
    """`-n churn -g ml --subscription ...`: of a command about what stands at a path."""
    parts = path.split("/")
    return f"-n {name_of(path)} {Place(parts[2], parts[4]).flags}"


def name_of(path: str) -> str:
    """The last part of a path."""
    return path.rstrip("/").rpartition("/")[2]
