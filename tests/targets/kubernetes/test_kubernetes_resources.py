"""Which nodes a deployment to a cluster is billed for."""

from __future__ import annotations

import pytest
from cloud_deployment import deployment, lines

from mlship.errors import MlshipError
from mlship.targets.kubernetes.resources import findings, resources


@pytest.mark.parametrize("service", ["deployment", "kserve"])
def test_replicas_share_nodes(service: str) -> None:
    found = resources(deployment("kubernetes", service, cpu=0.5, gib=1.5, cloud="aws", instance="m7g.large"))
    assert lines(found) == [
        "node 1 hour scaled aws us-east-1 m7g.large",
        "node 1 hour spot aws us-east-1 m7g.large",
        "egress 1 GB egress aws us-east-1 egress_internet out",
    ]
    assert [one.settings for one in found[:2]] == [{"per_replica": {"cpu": 0.5, "memory_gib": 1.5}}] * 2


def test_a_replica_with_gpus_takes_them_of_its_node() -> None:
    first, *_, egress = resources(
        deployment("kubernetes", "kserve", gpu=2, cloud="gcp", region="us-east1", instance="g2-standard-24")
    )
    assert first.settings["per_replica"] == {"cpu": 1, "memory_gib": 2, "gpu": 2}
    assert lines([egress]) == ["egress 1 GB egress gcp us-east1 egress_internet out_default"]


def test_nodes_that_nobody_names_have_no_price() -> None:
    bare = deployment("kubernetes", "deployment", region=None, places=["targets.kubernetes"])
    assert [str(found) for found in findings(bare)] == [
        "mlship.yaml:7:3 targets.kubernetes  kubernetes service deployment has no price without cloud;"
        " say --cloud aws, or targets.kubernetes.cloud",
        "mlship.yaml:7:3 targets.kubernetes  kubernetes service deployment has no price without region;"
        " say --region us-east-1, or targets.kubernetes.region",
        "mlship.yaml:7:3 targets.kubernetes  kubernetes service deployment has no price without instance;"
        " say --instance m7g.large, or targets.kubernetes.instance",
    ]
    assert all(one.price is not None and not one.price.instance for one in resources(bare))


def test_spot_nodes_and_scaling_to_zero_are_possible() -> None:
    said = deployment("kubernetes", "kserve", cloud="aws", instance="m7g.large", profile="spot", replicas=(0, 3))
    assert findings(said) == ()


@pytest.mark.parametrize(("cloud", "instance"), [("aws", "m7g.large"), ("gcp", "e2-standard-4"), ("azure", "Standard_D2s_v5")])
def test_nodes_without_gpus_hold_no_replica_that_has_some(cloud: str, instance: str) -> None:
    (found,) = findings(deployment("kubernetes", "deployment", cloud=cloud, instance=instance, gpu=1))
    assert found.what == f"{instance} has no GPU" and found.code == "no-gpu"


def test_an_unknown_service_is_refused() -> None:
    for ask in (resources, findings):
        with pytest.raises(MlshipError, match="kubernetes has no service knative; use one of: deployment, kserve"):
            ask(deployment("kubernetes", "knative"))
