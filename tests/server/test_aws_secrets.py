"""Secrets of AWS as the server of a function reads them: signed as AWS' own SDK would, nothing in the message of a refusal."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime

import pytest

from mlship.server.events.aws_secrets import NotGiven, signed, take_aws_secrets

ROLE = {
    "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
    "AWS_SESSION_TOKEN": "token",
    "AWS_REGION": "eu-west-1",
}
ARN = "arn:aws:secretsmanager:us-east-1:123456789012:secret:churn/keys-AbCdEf"


class Store:
    def __init__(self, status: int, **told: str) -> None:
        self.answer = status, json.dumps(told).encode()
        self.asked: list[tuple[str, Mapping[str, str], bytes]] = []

    def __call__(self, address: str, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
        self.asked.append((address, headers, body))
        return self.answer


def test_a_reference_becomes_the_value_and_is_gone() -> None:
    store, environ = Store(200, SecretString="s3cret"), {**ROLE, "MLSHIP_AWS_SECRET_CHURN_KEYS": f"{ARN} v-1"}
    take_aws_secrets(environ, store)
    assert environ == {**ROLE, "CHURN_KEYS": "s3cret"}
    ((address, headers, body),) = store.asked
    assert address == "https://secretsmanager.us-east-1.amazonaws.com"
    assert json.loads(body) == {"SecretId": ARN, "VersionId": "v-1"}
    assert headers["x-amz-target"] == "secretsmanager.GetSecretValue"


def test_a_name_is_looked_for_where_the_function_is() -> None:
    for region, end in (("eu-west-1", "com"), ("cn-north-1", "com.cn"), ("us-gov-west-1", "com"), ("eusc-de-east-1", "eu")):
        store = Store(200, SecretString="s3cret")
        take_aws_secrets({**ROLE, "AWS_REGION": region, "MLSHIP_AWS_SECRET_KEYS": "churn/keys"}, store)
        assert store.asked[0][0] == f"https://secretsmanager.{region}.amazonaws.{end}"


def test_what_cannot_be_read_stops_the_start() -> None:
    store = Store(400, __type="com.amazonaws#AccessDeniedException", Message="not you")
    with pytest.raises(NotGiven, match=r"the secret of KEYS cannot be read.*AccessDeniedException"):
        take_aws_secrets({**ROLE, "MLSHIP_AWS_SECRET_KEYS": ARN}, store)


def test_the_signature_is_the_documented_one() -> None:
    """Computed by the SDK itself for the same request (botocore 1.44.5, SigV4Auth) and written down here."""
    now = datetime(2026, 11, 23, 4, 5, 6, tzinfo=UTC)
    headers = signed(ROLE, "secretsmanager.us-east-1.amazonaws.com", "us-east-1", {"x-amz-target": "a.B"}, b"{}", now)
    assert headers["authorization"] == (
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261123/us-east-1/secretsmanager/aws4_request, "
        "SignedHeaders=host;x-amz-date;x-amz-security-token;x-amz-target, "
        "Signature=b6a6def84d488ad211cb4a2b5523367f8de98956797ff6f987ad1f7d18d8a899"
    )
