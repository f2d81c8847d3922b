"""What would make a deployment fail and can be known before anything is changed: who we are, what is given, what is not built."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from mlship.errors import Exit, Finding, MlshipError
from mlship.targets.azure.container_apps.given import Given, given
from mlship.targets.azure.container_apps.scaling import impossible as unscalable
from mlship.targets.azure.door import Door
from mlship.targets.azure.resources import findings as impossible
from mlship.targets.azure.scope import Place
from mlship.targets.base import Deployment


def guard(door: Door, deployment: Deployment, environ: Mapping[str, str]) -> None:
    """The wrong subscription must not be deployed into. Raises MlshipError with exit 8."""
    wanted = str(deployment.settings.get("subscription") or "")
    said = environ.get("AZURE_SUBSCRIPTION_ID", "")
    if wanted and said and said.lower() != wanted.lower():
        raise MlshipError(
            f"AZURE_SUBSCRIPTION_ID is {said}, and targets.azure.subscription is {wanted}",
            deployment.places.get("targets.azure.subscription", ""),
            "set AZURE_SUBSCRIPTION_ID to that subscription, or take it away",
            exit=Exit.DENIED,
            code="wrong-subscription",
        )


def findings(door: Door, place: Place, deployment: Deployment, environ: Mapping[str, str]) -> tuple[Finding, ...]:
    """Reads only. Raises MlshipError where nobody can be asked, or for another subscription than the one that is named."""
    guard(door, deployment, environ)
    has = given(deployment)
    return (*impossible(deployment), *unscalable(deployment), *_said(has, deployment))


def _said(has: Given, deployment: Deployment) -> Iterator[Finding]:
    yield from ()
