"""Configurations in which a release served before: what a restore goes back to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlship.targets.aws.door import Door
from mlship.targets.aws.sagemaker import seen
from mlship.targets.aws.sagemaker.names import PAIR, Names
from mlship.targets.aws.sagemaker.releasing import WHOLE, Alone


def kept(door: Door, names: Names, release: str, slot: str) -> Alone | None:
    """The newest one of the release alone: in this slot as it is, from another one with the other name of the variant."""
    known = [name for name, of in seen.configs(door, names).items() if of == release]
    same = next((name for name in known if names.kind_of(name) == slot), None)
    if same is not None:
        return Alone(same, {"EndpointConfigName": same})
    source = next((name for name in known if names.kind_of(name) != PAIR), next(iter(known), None))
    if source is None:
        return None
    told = seen.describe_config(door, source)
    one = next(one for one in told["ProductionVariants"] if names.release_of(one["ModelName"]) == release)
    variant = {**configured(one), "VariantName": slot, "InitialVariantWeight": WHOLE}
    key = {"KmsKeyId": told["KmsKeyId"]} if told.get("KmsKeyId") else {}
    name = names.config(release, slot, [[{**variant, "InitialInstanceCount": 0}], key])
    tags = door.all("sagemaker", "list_tags", "Tags", ResourceArn=told["EndpointConfigArn"])
    return Alone(name, {"EndpointConfigName": name, "ProductionVariants": [variant], **key, "Tags": tags})


def configured(told: Mapping[str, Any]) -> dict[str, Any]:
    """A variant as it was written, without what SageMaker adds when it tells."""
    written = ("VariantName", "ModelName", "InitialInstanceCount", "InstanceType", "InitialVariantWeight")
    more = ("ContainerStartupHealthCheckTimeoutInSeconds", "RoutingConfig")
    return {name: told[name] for name in (*written, *more) if name in told}
