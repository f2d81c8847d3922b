"""What of a function is decided without AWS: its bodies, what it cannot be, and how its events and logs are named."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from cloud_deployment import deployment

from mlship.errors import Exit
from mlship.targets.aws.door import Refused
from mlship.targets.aws.given import given
from mlship.targets.aws.lambdas import asking, naming, preflight, releasing
from mlship.targets.aws.lambdas.copies import Copies
from mlship.targets.aws.lambdas.ejecting import version_id
from mlship.targets.aws.lambdas.foundation import foundation, reserved
from mlship.targets.aws.lambdas.measuring import measures, queries
from mlship.targets.aws.lambdas.rendering import render
from mlship.targets.aws.lambdas.seen import Alias, Seen, Version
from mlship.targets.aws.resources import resources
from mlship.targets.aws.scope import Scope
from mlship.targets.base import Deployment, Request, Strategy
from mlship.targets.waiting import Waiting


def made(**changes: Any) -> Deployment:
    return deployment("aws", "lambda", **changes)


def serving(found: Deployment, **said: Any) -> Deployment:
    served = replace(found.release.served, serving=said)
    return replace(found, release=replace(found.release, served=served))


def refusals(found: Deployment) -> list[str]:
    return [finding.what for finding in preflight.in_documents(found, given(found))]


def test_a_function_has_the_memory_that_was_asked_for_and_nothing_that_was_not() -> None:
    body = releasing.create_function(made(gib=2), given(made()))
    assert (body["MemorySize"], body["Architectures"], body["Timeout"]) == (2048, ["x86_64"], 64)
    assert "VpcConfig" not in body and "KMSKeyArn" not in body
    scope = Scope("churn")
    assert releasing.url_config(scope, public=False)["AuthType"] == "AWS_IAM"
    assert releasing.permissions(scope, public=False) == []


def test_a_release_s_variables_name_it_and_hold_references_in_place_of_secrets() -> None:
    found = serving(made(), auth={"api_keys": "KEYS"})
    arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:churn/keys-AbCdEf"
    served = replace(found.release.served, secrets={"KEYS": f"{arn}:::v-1"}, env={"LOG": "info", "PORT": "1"})
    found = replace(found, release=replace(found.release, served=served), references={"KEYS": "secretsmanager:churn/keys"})
    variables = releasing.variables(found)
    assert variables["MLSHIP_AWS_SECRET_KEYS"] == f"{arn} v-1" and variables["LOG"] == "info" and "PORT" not in variables
    assert variables["MLSHIP_RELEASE"] == found.release.id
    unpinned = replace(found, release=replace(found.release, served=replace(served, secrets={})))
    assert releasing.variables(unpinned)["MLSHIP_AWS_SECRET_KEYS"] == "churn/keys"
    assert str(variables["MLSHIP_AWS_SECRET_MLSHIP_OPERATOR_KEY"]) == "${OperatorKey}"


def test_copies_are_capped_only_where_somebody_says_so() -> None:
    assert reserved(made()) is None
    assert reserved(made(replicas=(1, 1), places=["scale.replicas"])) == 1
    assert reserved(made(replicas=(1, 40))) == 40


def test_a_minimum_is_kept_ready_paid_for_and_said() -> None:
    found = made(replicas=(2, 40), gib=2)
    (said,) = refusals(found)
    assert said.startswith("scale.replicas from 2: so many copies are kept ready, and paid for by the second")
    (kept,) = [one for one in resources(found) if one.name == "Lambda copies kept ready x86"]
    assert (kept.quantity, kept.billed, kept.price and kept.price.item) == (
        2 * 2 * 3600,
        "always",
        "provisioned_concurrency_x86",
    )
    documents = {name: json.loads(text) for name, text in render(found).items() if name.endswith("json")}
    sent = documents["apply/service/7-put-provisioned-concurrency-config.json"]
    version = documents["eject/template.json"]["Resources"][version_id(found.release.id)]["Properties"]
    assert version["ProvisionedConcurrencyConfig"] == {
        "ProvisionedConcurrentExecutions": sent["ProvisionedConcurrentExecutions"]
    }
    assert (
        not [one for one in resources(made(replicas=(0, 40))) if "ready" in one.name] and refusals(made(replicas=(0, 40))) == []
    )


class Unseen:
    """May keep copies ready, and not look how many are."""

    region, account = "us-east-1", "123456789012"

    def call(self, service: str, operation: str, /, **said: Any) -> dict[str, Any]:
        return {}

    def all(self, service: str, operation: str, key: str, /, **said: Any) -> list[Any]:
        raise Refused("AccessDenied", f"not allowed to {operation}", "", Exit.DENIED, "denied")


def test_who_may_not_see_whether_copies_are_ready_is_told_so_and_waits_for_nothing() -> None:
    found, pauses = made(replicas=(2, 40)), list[float]()
    copies = Copies(Unseen(), Scope(found.project, found.environment), Waiting(lambda: sum(pauses), pauses.append))
    copies.leave_but(())
    with pytest.raises(Refused, match="list_provisioned_concurrency_configs"):
        copies.beside("3", found)
    assert pauses == []


class Kept:
    """A function whose copies Lambda counts: all that are kept ready have to be among those that are reserved."""

    region, account = "us-east-1", "123456789012"

    def __init__(self, cap: int | None, **ready: int) -> None:
        self.cap, self.ready = cap, {name.removeprefix("v"): count for name, count in ready.items()}

    def call(self, service: str, operation: str, /, **said: Any) -> dict[str, Any]:
        if operation == "get_function_concurrency":
            return {} if self.cap is None else {"ReservedConcurrentExecutions": self.cap}
        if operation == "delete_function_concurrency":
            self.cap = None
        elif operation == "put_function_concurrency":
            self.cap = said["ReservedConcurrentExecutions"]
        elif operation == "put_provisioned_concurrency_config":
            self.ready[said["Qualifier"]] = said["ProvisionedConcurrentExecutions"]
        if self.cap is not None and sum(self.ready.values()) > self.cap:
            raise Refused("InvalidParameterValueException", "more than reserved", "", Exit.USAGE, "refused")
        return {}

    def all(self, service: str, operation: str, key: str, /, **said: Any) -> list[Any]:
        return [{"FunctionArn": f"a:{one}", "RequestedProvisionedConcurrentExecutions": n} for one, n in self.ready.items()]


@pytest.mark.parametrize(
    ("now", "before", "taken", "then"),
    [
        (Kept(20, v1=2), {"replicas": (2, 8)}, {"replicas": (2, 20)}, (8, {"1": 2})),
        (Kept(2), {"replicas": (4, 8)}, {"replicas": (1, 2)}, (8, {"1": 4})),
        (Kept(20), {}, {"replicas": (2, 20)}, (None, {})),
        (Kept(5), {}, {"replicas": (2, 20)}, (5, {})),
        (Kept(None), {}, {}, (None, {})),
    ],
    ids=["raised", "lowered after its callers had moved", "only it asked for one", "somebody's own", "none"],
)
def test_what_is_taken_back_leaves_the_copies_and_the_cap_of_before(now: Kept, before: Any, taken: Any, then: Any) -> None:
    copies = Copies(now, Scope("churn"), Waiting(lambda: 0.0, lambda seconds: None))
    copies.back("1", made(**before), made(**taken))
    assert (now.cap, now.ready) == then


def test_an_account_that_is_given_its_parts_gets_none_made() -> None:
    said = {"roles": {"task": "churn"}, "repository": "churn", "bucket": "acme"}
    template = foundation(made(**said), given(made(**said)))
    assert list(template["Resources"]) == ["LogGroup"]
    assert {"Repository": {"Value": "churn"}, "Bucket": {"Value": "acme"}}.items() <= template["Outputs"].items()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"subnets": ("subnet-1",)}, "targets.aws.security_groups is missing: a function in a network has subnets and"),
        ({"security_groups": ("sg-1",)}, "targets.aws.subnets is missing"),
        ({"cluster": "ml"}, "targets.aws.cluster has no effect: a function of Lambda has no such thing"),
        ({"roles": {"execution": "x"}}, "targets.aws.roles.execution has no effect"),
        ({"region": "eu-south-2"}, "a function in eu-south-2 has no URL, by which callers and mlship reach it"),
    ],
)
def test_parts_that_a_function_has_not_are_named(changes: Mapping[str, Any], said: str) -> None:
    (found,) = refusals(made(**changes))
    assert found.startswith(said)


def test_what_lambda_cannot_do_is_said_before_anything_is_made() -> None:
    assert refusals(made()) == []
    assert refusals(replace(made(), request_timeout_s=1000.0))[0].endswith("a function has 900 s for an answer")
    assert refusals(replace(made(), startup_timeout_s=890.0)) == []
    assert refusals(replace(made(), startup_timeout_s=900.0))[0].endswith("a function has 900 s for its start and an answer")
    assert refusals(serving(made(), workers=1, batch_rows=8)) == []
    unused = refusals(serving(made(), workers=4, batch_delay_s=0.01))
    assert [what.partition(" has no effect")[0] for what in unused] == ["serve.workers", "serve.batching.max_delay"]
    scheduled = replace(made(), operating={"scale": {"schedule": [{"cron": "0 7 * * *", "min": 2}]}})
    assert refusals(scheduled)[0].startswith("scale.schedule: the number of copies that a function keeps ready is")
    assert [finding.what for finding in preflight.of_image(made(), 11 * 2**30)] == [
        "the image has 12 GB, and Lambda takes 11 GB at most"
    ]
    assert refusals(replace(made(), operating={"public": True})) == [
        "public: true without serve.auth: everybody could call the function"
    ]
    rolling = refusals(replace(made(), strategy=Strategy("rolling")))
    assert rolling == ["rollout.strategy rolling: versions of a function stand side by side"]
    long = refusals(replace(made(), project="c" * 50, environment="production"))
    assert long[0].startswith("the function would be called mlship-ccc") and long[0].endswith("64 characters at most")
    large = serving(made(), max_body=20_000_000)
    assert "Lambda hands a function events of 6,291,456 at most" in refusals(large)[0]
    served = replace(made().release.served, env={"AWS_REGION": "x", "NOTES": "n" * 5000})
    crowded = refusals(replace(made(), release=replace(made().release, served=served)))
    assert crowded[0] == "env.AWS_REGION: Lambda keeps this name for itself"
    assert crowded[1].startswith("the variables of the function have 5,")


def test_a_version_says_of_which_release_it_is() -> None:
    content = "sha256:" + "a" * 64
    assert naming.said(naming.description("r12-7f3a9c", content)) == naming.Said("r12-7f3a9c", content)
    assert naming.said("published by hand") is None
    assert naming.version_of_stream("2026/11/23/[7]0f3a5c1d") == "7" and naming.version_of_stream("other") == ""


def test_an_alias_tells_each_version_s_share() -> None:
    assert Alias("1", {"2": 0.25}).shares == {"1": 0.75, "2": 0.25}
    assert Alias("1", {"2": 0.0}).shares == {"1": 1.0}


def test_an_event_for_a_version_is_what_its_url_would_send() -> None:
    event = asking.event(Request("POST", "/predict?x=1", b"{}", key="k"))
    assert (event["rawPath"], event["rawQueryString"], event["isBase64Encoded"], event["body"]) == (
        "/predict",
        "x=1",
        True,
        "e30=",
    )
    assert event["headers"]["authorization"] == "Bearer k" and event["requestContext"]["http"]["method"] == "POST"
    answer = asking.answer(json.dumps({"statusCode": 422, "headers": {"X-A": "b"}, "body": "{}"}).encode())
    assert (answer.status, answer.headers, answer.body) == (422, {"x-a": "b"}, b"{}")
    assert asking.answer(b'"text"').status == 0
    assert asking.failure(b'{"errorType": "Runtime.ExitError", "errorMessage": "exit 1"}') == "Runtime.ExitError: exit 1"


class CloudWatch:
    """Counts 7 for every question, in one minute."""

    region, account = "us-east-1", "123456789012"

    def call(self, service: str, operation: str, /, **said: Any) -> dict[str, Any]:
        raise AssertionError(operation)

    def all(self, service: str, operation: str, key: str, /, **said: Any) -> list[Any]:
        when = datetime.fromtimestamp(NOW - 60, UTC)
        return [{"Id": query["Id"], "Timestamps": [when], "Values": [7.0]} for query in said["MetricDataQueries"]]


NOW = 1_800_000_000.0


def test_what_a_version_answered_is_added_to_what_its_server_says_of_failures() -> None:
    of = naming.Said("r2-7f3a9c", "sha256:" + "a" * 64)
    present = Seen({}, "arn", {"2": Version("2", of, NOW - 600)}, Alias("2"))
    (found,) = measures(CloudWatch(), "mlship-churn", present, NOW).values()
    assert (found.requests, found.errors, found.seconds) == (7.0, 14.0, 0.007)
    assert found.buckets[0.1] == found.buckets[math.inf] == 7.0
    assert measures(CloudWatch(), "mlship-churn", Seen({}), NOW) == {}
    asked = {query["Id"]: query["MetricStat"] for query in queries("mlship-churn", "2")}
    assert asked["v2_within_4"]["Stat"] == "TC(:25)" and asked["v2_refused"]["Metric"]["Namespace"] == "mlship"
