"""What every target tells about its services, and how one that is not built is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from cloud_deployment import deployment

from mlship.cost.billing import tiers_of
from mlship.errors import Exit, MlshipError
from mlship.flows.prices import shipped_book
from mlship.home import Home
from mlship.runner import LocalRunner
from mlship.targets.aws.sagemaker.types import PRICED
from mlship.targets.azure.sizes import EXAMPLE
from mlship.targets.base import Opening
from mlship.targets.features import support
from mlship.targets.priced import MODULES, priced
from mlship.targets.table import PRICED_ONLY, SERVICES, open_target, services

# Every key and word on which plan, rollout and estimate rely.
WORDS = (
    *("env", "labels", "secrets", "public", "slo", "slo.p99", "cost", "cost.budget.monthly"),
    *("resources.cpu", "resources.memory", "resources.gpu", "scale.replicas", "scale.metric", "scale.schedule"),
    *("scale_to_zero", "autoscaling", "rollout", "rollout.keep", "recreate", "rolling", "blue-green", "canary"),
    *("spot", "reserved"),
)
OPENING = Opening("churn", "", Home(Path("/nonexistent")), LocalRunner(), lambda: 0.0, "test", {})
# One deployment for each thing that some setting brings in.
EVERYTHING = (
    *(deployment("aws", "ecs", arch=arch, subnets=subnets) for arch in ("x86_64", "arm64") for subnets in ((), ("subnet-1",))),
    deployment("aws", "ecs", ephemeral_gb=100, image_gb=1),
    *(deployment("aws", "lambda", arch=arch) for arch in ("x86_64", "arm64")),
    *(deployment("aws", "sagemaker", instance=name) for name in sorted(PRICED)),
    *(deployment("gcp", "cloud-run", billing=billing) for billing in ("request", "instance")),
    deployment("gcp", "cloud-run", places=["scale.replicas"]),
    deployment("gcp", "cloud-run", gpu=1),
    deployment("gcp", "vertex", instance="n1-standard-4"),
    deployment("azure", "container-apps"),
    deployment("azure", "azureml", instance="Standard_D2s_v5"),
    deployment("azure", "vm", instance="Standard_D2s_v5", region="eastus"),
    deployment("kubernetes", "deployment", cloud="gcp", region="us-central1", instance="e2-standard-2"),
)
SERVICES_OF = [(target, service) for target in MODULES for service in priced(target).FEATURES]


@pytest.mark.parametrize(("target", "service"), SERVICES_OF)
def test_every_service_speaks_of_every_word(target: str, service: str) -> None:
    features = priced(target).FEATURES[service]
    assert [word for word in WORDS if support(word, features) is None] == []
    assert [word for word, feature in features.items() if feature.support != "native" and not feature.reason] == []
    absent = {"spot", "reserved", "canary", "scale_to_zero", "resources.gpu"}
    assert [word for word in absent if (f := features.get(word)) and f.support == "absent" and not f.instead] == []


@pytest.mark.parametrize(("target", "service"), SERVICES_OF)
def test_every_service_says_what_is_not_in_its_price(target: str, service: str) -> None:
    excluded = priced(target).EXCLUDED[service]
    assert excluded and len(set(excluded)) == len(excluded)
    if target not in ("local", "docker"):
        assert {"taxes", "your discounts (price_overrides)"} <= set(excluded)


def test_the_first_service_is_the_default() -> None:
    assert {target: next(iter(priced(target).FEATURES)) for target in MODULES} == {
        target: service for target, service in SERVICES.items() if target != "fake"
    }


@pytest.mark.parametrize("target", ["local", "docker"])
def test_what_is_your_own_is_billed_by_nobody(target: str) -> None:
    cloud = deployment("aws", "ecs")
    assert {one.billed for one in priced(target).resources(cloud)} == {"free"}
    assert priced(target).findings(cloud) == ()


def test_a_target_that_nobody_knows_has_no_price() -> None:
    with pytest.raises(MlshipError, match="there is no target oracle; use one of: local, docker, aws, gcp, azure, kubernetes"):
        priced("oracle")


@pytest.mark.parametrize("target", PRICED_ONLY)
def test_a_target_with_prices_only_is_not_deployed_to(target: str) -> None:
    for ask in (open_target, services):
        with pytest.raises(MlshipError) as raised:
            ask(target, OPENING)
        assert str(raised.value) == f"deploying to {target} is not built yet; mlship cost-estimate --target {target} prices it"
        assert (raised.value.code, raised.value.exit) == ("not-yet", Exit.USAGE)


@pytest.mark.parametrize(
    ("target", "built"),
    [("aws", "ecs, sagemaker, lambda"), ("gcp", "cloud-run, vertex"), ("azure", "container-apps, azureml")],
)
def test_a_service_with_prices_only_is_not_deployed_to(target: str, built: str) -> None:
    with pytest.raises(MlshipError) as raised:
        open_target(target, replace(OPENING, settings={"service": "vm"}))
    assert str(raised.value) == f"deploying to {target} service vm is not built; write targets.{target}.service: one of {built}"
    assert (raised.value.code, raised.value.exit) == ("not-yet", Exit.USAGE)


def test_aws_is_rendered_without_credentials() -> None:
    opened = open_target("aws", replace(OPENING, settings={"service": "ecs"}))
    assert "eject/template.json" in opened.render(deployment("aws", "ecs"))


def test_an_unknown_target_names_the_known_ones() -> None:
    with pytest.raises(MlshipError, match="there is no target oracle; use one of: local, docker"):
        open_target("oracle", OPENING)


def test_every_item_is_named_as_the_price_book_names_it() -> None:
    """What the book has no row for is here by name: a misspelt one would only ever be unknown."""
    book = shipped_book()
    prices = [
        one.price for said in EVERYTHING for one in priced(said.target).resources(said) if one.price and one.price.service
    ]
    items = {(key.cloud, key.service, key.item) for key in prices}
    known = {(key.cloud, key.service, key.item) for key in prices if tiers_of(key, book)}
    assert items - known == {
        *(("aws", "fargate", item) for item in ("spot_vcpu_arm64", "spot_memory_x86", "spot_memory_arm64")),
        ("aws", "lambda", "duration_arm64"),
        ("gcp", "cloud_run", "vcpu_request_based_idle"),
        ("gcp", "cloud_run", "memory_request_based_idle"),
        ("gcp", "cloud_run", "gpu_l4"),
        ("gcp", "vertex_ai", "online_prediction_spot n1-standard-4"),
        ("gcp", "cloud_logging", "ingestion"),
        ("azure", "log_analytics", "ingestion"),
    }
    offers = {(offer.machine.cloud, offer.machine.name) for offer in book.every_offer()}
    assert ("azure", EXAMPLE) in offers, "what our own words suggest has a price"
    assert len(known) > 30
