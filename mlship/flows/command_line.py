"""Command lines that can be pasted. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any, Protocol

# target -> key of its settings that says whose account it is, and the variable that says it where there is no mlship.yaml.
ACCOUNTS = {"gcp": ("project", "GOOGLE_CLOUD_PROJECT"), "azure": ("subscription", "AZURE_SUBSCRIPTION_ID")}
# How addresses end that have one route, for calls with a cloud's login: SageMaker's and Azure Machine Learning's.
MANAGED = ("/invocations", "/score")


class Placed(Protocol):
    """What says of which service it is. region, account: of a cloud, where mlship.yaml or a call says them."""

    @property
    def project(self) -> str: ...

    @property
    def environment(self) -> str: ...

    @property
    def target(self) -> str: ...

    @property
    def region(self) -> str: ...

    @property
    def account(self) -> str: ...


def account_of(target: str, settings: Mapping[str, Any]) -> str:
    """settings: of the target. Empty where they do not say it."""
    return str(settings.get(ACCOUNTS[target][0]) or "") if target in ACCOUNTS else ""


def command_at(verb: str, place: Placed) -> str:
    return command_for(verb, place.project, place.target, place.environment, place.region, place.account)


def command_for(verb: str, project: str, target: str, environment: str, region: str = "", account: str = "") -> str:
    """One that works from any folder: `mlship rollback churn --target docker --env prod`."""
    words = ["mlship", *verb.split(), project, "--target", target]
    words += ["--env", environment] if environment else []
    command = shlex.join(words + (["--region", region] if region else []))
    return f"{ACCOUNTS[target][1]}={shlex.quote(account)} {command}" if account and target in ACCOUNTS else command


def deploy_command(target: str, environment: str) -> str:
    """`deploy` needs the project's folder, so it names none."""
    return shlex.join(["mlship", "deploy", "--target", target, *(["--env", environment] if environment else [])])


def list_command(target: str, region: str = "") -> str:
    """Of every project there; a cloud is asked by name."""
    return shlex.join(["mlship", "list", "--target", target, *(["--region", region] if region else [])])
