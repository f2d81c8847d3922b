"""What every target tells about its services, and how one that is not built is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from cloud_deployment import deployment

from mlship.errors import Exit, MlshipError
from mlship.home import Home
from mlship.runner import LocalRunner
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
    if target in PRICED_ONLY:
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


def test_an_unknown_target_names_the_known_ones() -> None:
    with pytest.raises(MlshipError, match="there is no target oracle; use one of: local, docker"):
        open_target("oracle", OPENING)
