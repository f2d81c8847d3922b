"""What a project was given, and what it read, is not taken away with it."""

from __future__ import annotations

from mlship.releases.history import History
from mlship.targets.staying import staying

SETTINGS = {"region": "us-east-1", "cluster": "ml", "subnets": ["subnet-1", "subnet-2"], "roles": {"task": "t"}, "bucket": None}


def test_what_is_given_and_the_secrets_are_named() -> None:
    operating = {"settings": SETTINGS, "references": {"A": "secretsmanager:churn/a", "B": "secretsmanager:churn/a"}}
    history = History("churn", "", "aws", operating=operating)
    assert staying("aws", history) == (
        *("cluster ml", "roles t", "subnets subnet-1", "subnets subnet-2"),
        "secret secretsmanager:churn/a",
    )


def test_an_open_account_has_given_nothing() -> None:
    assert staying("aws", History("churn", "", "aws", operating={"settings": {"region": "us-east-1"}})) == ()
    assert staying("docker", None) == ()
