"""What is taken back is operated as the records say."""

from __future__ import annotations

from dataclasses import replace

from cloud_deployment import deployment

from mlship.releases.history import History
from mlship.targets.aws.operated import as_before


def test_a_release_comes_back_with_its_own_numbers_and_labels() -> None:
    failing = replace(
        deployment("aws", "ecs", replicas=(4, 9)), labels={"team": "new"}, places={"scale.replicas": "mlship.yaml:7"}
    )
    operating = {"replicas": {"min": 2, "max": 6}, "labels": {"team": "old"}, "settings": {"region": "eu-west-1"}}
    back = as_before(History("churn", "", "aws", live="r1-7f3a9c", operating=operating), failing)
    assert back.places == {}, "nobody has said there how the other one is operated"
    assert (back.replicas, back.labels, back.settings) == ((2, 6), {"team": "old"}, {"region": "eu-west-1"})
    assert as_before(None, failing) == failing == as_before(History("churn", "", "aws"), failing)
