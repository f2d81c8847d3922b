"""The target `aws` as people get it today: its documents, and a refusal of everything that would touch an account."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NoReturn

from mlship.errors import MlshipError
from mlship.oci.registry.push_variant import PushVariant
from mlship.targets.aws.delivery import VARIANT
from mlship.targets.aws.ecs.rendering import render
from mlship.targets.aws.features import FEATURES
from mlship.targets.aws.resources import resources
from mlship.targets.base import Deployment, Feature, Opening, Resource, ServiceRow, Target


class RenderedTarget:
    """The pure half of targets.base.Target. Whatever else is asked of it raises MlshipError."""

    name = "aws"

    @property
    def features(self) -> Mapping[str, Mapping[str, Feature]]:
        return FEATURES

    @property
    def push(self) -> Mapping[str, PushVariant]:
        return {"ecs": VARIANT}

    def render(self, deployment: Deployment) -> dict[str, bytes]:
        return render(deployment)

    def resources(self, deployment: Deployment) -> tuple[Resource, ...]:
        return resources(deployment)

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("_"):
            raise AttributeError(name)
        raise not_yet()


def open_target(opening: Opening) -> Target:
    target: Target = RenderedTarget()  # the rest of the interface is refused by __getattr__
    return target


def services(opening: Opening) -> tuple[ServiceRow, ...]:
    raise not_yet()


def not_yet() -> MlshipError:
    return MlshipError(
        "deploying to aws is not built yet",
        fix="mlship render --target aws writes it for CloudFormation; mlship cost-estimate --target aws prices it",
        code="not-yet",
    )
