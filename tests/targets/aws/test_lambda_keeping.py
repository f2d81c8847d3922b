"""What a live version reads outlasts the deploy of a release that does not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from aws_door import FakeDoor
from cloud_deployment import deployment

from mlship.targets.aws.given import Given
from mlship.targets.aws.lambdas.foundation import Kept, foundation
from mlship.targets.aws.lambdas.keeping import kept
from mlship.targets.aws.scope import Scope

SCOPE = Scope("churn")
ARN = "arn:aws:secretsmanager:us-east-1:123456789012:secret:churn/keys-AbCdEf"
MADE = deployment("aws", "lambda")


def account() -> FakeDoor:
    def configuration(**said: Any) -> Any:
        variables = {"MLSHIP_AWS_SECRET_KEYS": f"{ARN} v-1", "MLSHIP_AWS_SECRET_MLSHIP_OPERATOR_KEY": "arn:own", "LOG": "info"}
        return {"FunctionArn": "arn:f", "Environment": {"Variables": variables if said.get("Qualifier") == "1" else {}}}

    outputs = [{"OutputKey": name, "OutputValue": "x"} for name in ("LogGroup", "Repository", "FunctionRole", "OperatorKey")]
    return FakeDoor(
        {
            "cloudformation describe_stacks": {"Stacks": [{"StackStatus": "CREATE_COMPLETE", "Outputs": outputs}]},
            "lambda get_function_configuration": configuration,
            "lambda list_aliases": {"Aliases": [{"Name": "live", "FunctionVersion": "1"}]},
            "lambda list_versions_by_function": {"Versions": []},
            "lambda get_function_url_config": "ResourceNotFoundException",
        }
    )


def test_secrets_and_the_own_key_of_the_live_version_stay() -> None:
    found = kept(account(), SCOPE, MADE)
    assert found == Kept(frozenset({ARN}), has_key=True)
    template = foundation(MADE, Given(), found)
    (statement,) = [
        one
        for one in template["Resources"]["FunctionRole"]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"]
        if one["Action"] == ["secretsmanager:GetSecretValue"]
    ]
    assert statement["Resource"] == [ARN, {"Ref": "OperatorKey"}]
    assert "OperatorKey" in template["Resources"] and "OperatorKey" in template["Outputs"]


def test_what_the_next_release_names_itself_is_not_named_twice() -> None:
    named = replace(MADE, references={"KEYS": "secretsmanager:churn/keys"})
    assert kept(account(), SCOPE, named).secrets == frozenset()
    assert kept(FakeDoor({"cloudformation describe_stacks": "ValidationError"}), SCOPE, MADE) == Kept()
