"""Lambda in an account on loopback: moto's server keeps functions, versions, aliases and URLs; what it lacks stands here.

That is: a change takes a while (State, LastUpdateStatus) and refuses another one until it is done; RevisionId guards changes; a version
is published once; one that an alias leads to stays; copies answer events; a URL is reached through TLS, by signed requests alone; and
CloudWatch tells what the copies counted. Requests and the answers that are made here are checked against botocore's service model.
"""

from __future__ import annotations

import io
import json
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aws_model
from aws_account import ACCOUNT, REGION, Account, AccountDoor, AwsService
from inspecting_proxy import Asked, Told, inspecting_proxy

from mlship.runner import LocalRunner
from mlship.targets.aws.door import refusal
from mlship.targets.aws.lambdas.asking import event
from mlship.targets.aws.lambdas.target import LambdaTarget
from mlship.targets.base import Deployment, Opening, Request

POLLS = 2  # looks that a change takes
LATEST = "$LATEST"
MANIFESTS = "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json"


def no(operation: str, code: str, message: str) -> Exception:
    return refusal(f"lambda {operation}", {"Code": code, "Message": message})


@dataclass
class Functions:
    """What moto does not keep. pending: place -> looks until a change is done; counted: version -> (requests, errors)."""

    account: Account
    pending: Counter[tuple[str, str]] = field(default_factory=Counter)
    revisions: dict[tuple[str, str], str] = field(default_factory=dict)
    logging: dict[str, Any] = field(default_factory=dict)
    published: dict[str, tuple[str, str]] = field(default_factory=dict)  # function -> the revision that became a version
    started: set[tuple[str, str]] = field(default_factory=set)
    asked: Counter[tuple[str, str]] = field(default_factory=Counter)
    signatures: list[str] = field(default_factory=list)
    unreserved: int = 1000
    ready: dict[tuple[str, str], list[int]] = field(
        default_factory=dict
    )  # version -> copies asked for, looks until they are up
    cold: set[str] = field(default_factory=set)  # contents of images whose copies cannot be kept ready
    calls_between_looks: int = 0  # of callers, between two looks of CloudWatch
    failing: set[str] = field(default_factory=set)  # versions whose every answer is a failure
    refused_callers: list[str] = field(default_factory=list)
    turn: int = 0
    change_sets: dict[str, dict[str, Any]] = field(default_factory=dict)

    def touch(self, name: str, of: str = LATEST) -> str:
        self.revisions[name, of] = str(uuid.uuid4())
        return self.revisions[name, of]

    def revision(self, name: str, of: str = LATEST) -> str:
        return self.revisions.get((name, of)) or self.touch(name, of)

    # -- the copies --------------------------------------------------------------------------------------------------------

    def answered(self, name: str, version: str, said: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """(error, payload) of an event for this version."""
        told = self.account.client("lambda").get_function_configuration(FunctionName=name, Qualifier=version)
        variables = told["Environment"]["Variables"]
        content, release = variables["MLSHIP_CONTENT"], variables["MLSHIP_RELEASE"]
        broken, number = self.account.broken.get(content, ""), self.account.versions[content]
        self._start(name, version, told)
        self.asked[version, "all"] += 1
        if broken == "crash":
            self.asked[version, "failed"] += 1
            message = "RequestId: 1 Error: Runtime exited with error: exit status 1"
            return "Unhandled", {"errorType": "Runtime.ExitError", "errorMessage": message}
        path, body = said["rawPath"], {}
        if path.startswith("/predict") and not self._may(variables, said["headers"]):
            self.refused_callers.append(path)
            return "", {"statusCode": 401, "headers": {}, "body": "{}", "isBase64Encoded": False}
        if path == "/mlship/release":
            body = {"release": "r0-000000" if broken == "lies" else release}
        elif path.startswith("/predict"):
            body = {"predictions": [0 if broken == "answers" else number]}
        headers = {"content-type": "application/json", "x-mlship-release": release}
        return "", {"statusCode": 200, "headers": headers, "body": json.dumps(body), "isBase64Encoded": False}

    def _may(self, variables: Mapping[str, str], headers: Mapping[str, str]) -> bool:
        """Where the function has a reference to mlship's key, whoever asks has to send that."""
        place = variables.get("MLSHIP_AWS_SECRET_MLSHIP_OPERATOR_KEY")
        if not place:
            return True
        key = self.account.client("secretsmanager").get_secret_value(SecretId=place)["SecretString"]
        return key in (headers.get("x-api-key"), headers.get("authorization", "").removeprefix("Bearer "))

    def call(self, name: str) -> None:
        """Callers come by, and each reaches the version that the alias gives them."""
        for _ in range(self.calls_between_looks):
            version = self.routed(name)
            self.asked[version, "all"] += 1
            self.asked[version, "failed"] += version in self.failing

    def _start(self, name: str, version: str, told: Mapping[str, Any]) -> None:
        if (name, version) in self.started:
            return
        self.started.add((name, version))
        logs, group = self.account.client("logs"), f"/{name.replace('--', '/').replace('-', '/', 1)}"
        stream = f"{datetime.now(UTC):%Y/%m/%d}/[{version}]{uuid.uuid4().hex}"
        logs.create_log_stream(logGroupName=group, logStreamName=stream)
        line = {"timestamp": int(time.time() * 1000), "message": "ready"}
        logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=[line])

    def routed(self, name: str) -> str:
        """The version that the next caller of the alias reaches."""
        alias = self.account.client("lambda").get_alias(FunctionName=name, Name="live")
        self.turn += 1
        point = self.turn * 37 % 100 / 100
        for version, weight in ((alias.get("RoutingConfig") or {}).get("AdditionalVersionWeights") or {}).items():
            if point < weight:
                return str(version)
            point -= weight
        return str(alias["FunctionVersion"])

    # -- the URL -----------------------------------------------------------------------------------------------------------

    def through_url(self, asked: Asked) -> Told:
        """Everything that comes to a host that is none of a function's is a failure of the test."""
        assert asked.host.endswith(f".lambda-url.{REGION}.on.aws"), asked.host
        name, auth = self._of_url(asked.host)
        if not name:
            return Told(403, {}, b'{"Message":"Forbidden"}')
        if auth == "AWS_IAM" and not self._is_signed(asked):
            return Told(403, {}, b'{"Message":"Forbidden"}')
        said = event(Request(asked.method, asked.target, asked.body))
        error, payload = self.answered(name, self.routed(name), {**said, "headers": asked.headers})
        if error:
            return Told(502, {}, b"Internal Server Error")
        return Told(payload["statusCode"], payload["headers"], payload["body"].encode())

    def _of_url(self, host: str) -> tuple[str, str]:
        client = self.account.client("lambda")
        for function in client.list_functions()["Functions"]:
            name = function["FunctionName"]
            with suppress(client.exceptions.ResourceNotFoundException):
                told = client.get_function_url_config(FunctionName=name, Qualifier="live")
                if told["FunctionUrl"].removeprefix("https://").rstrip("/") == host:
                    return name, told["AuthType"]
        return "", ""

    def _is_signed(self, asked: Asked) -> bool:
        """Computed again, as the service does it."""
        from botocore.auth import SigV4Auth
        from botocore.awsrequest import AWSRequest
        from botocore.credentials import Credentials

        given = asked.headers.get("authorization", "")
        if not given.startswith("AWS4-HMAC-SHA256 "):
            return False
        said = dict(part.strip().split("=", 1) for part in given.removeprefix("AWS4-HMAC-SHA256 ").split(","))
        names = said["SignedHeaders"].split(";")
        headers = {name: asked.headers[name] for name in names}
        request = AWSRequest(asked.method, f"https://{asked.host}{asked.target}", headers=headers, data=asked.body)
        request.context["timestamp"] = asked.headers["x-amz-date"]
        judge = SigV4Auth(Credentials("test", "test"), "lambda", REGION)
        wanted = judge.signature(judge.string_to_sign(request, judge.canonical_request(request)), request)
        self.signatures.append(said["Signature"])
        return bool(wanted == said["Signature"])


class LambdaDoor(AccountDoor):
    """The account's door, with what moto's Lambda lacks."""

    def __init__(self, functions: Functions) -> None:
        super().__init__(functions.account)
        self._functions = functions

    def signed(self, service: str, method: str, url: str, headers: Mapping[str, str], body: bytes) -> dict[str, str]:
        return self._account.door.signed(service, method, url, headers, body)

    def call(self, service: str, operation: str, /, **said: Any) -> dict[str, Any]:
        if service == "cloudformation" and operation in ("create_change_set", "execute_change_set"):
            return self._changed(operation, said)
        if service != "lambda":
            return super().call(service, operation, **said)
        aws_model.check_request(service, operation, said)
        own = getattr(self, f"_{operation}", None)
        answer: dict[str, Any] = own(said) if own else self._inner.call(service, operation, **said)
        return answer

    def _changed(self, operation: str, said: dict[str, Any]) -> dict[str, Any]:
        """moto can change no log group: of a stack that is there, it takes what is new, and the tags."""
        name, asked = said["StackName"], self._functions.change_sets
        if operation == "create_change_set":
            asked[name] = said
        elif asked[name]["ChangeSetType"] == "UPDATE":
            wanted = {key: asked[name][key] for key in ("StackName", "Parameters", "Tags", "Capabilities")}
            former = self._inner.call("cloudformation", "get_template", StackName=name)["TemplateBody"]
            template = json.loads(asked[name]["TemplateBody"])
            template["Resources"] |= former["Resources"]
            return self._inner.call("cloudformation", "update_stack", **wanted, TemplateBody=json.dumps(template))
        return super().call("cloudformation", operation, **said)

    def _outputs(self, stacks: list[dict[str, Any]]) -> None:
        """After an update moto tells those that it can, and a secret is none of these."""
        for stack in stacks:
            stack.pop("Outputs", None)
        super()._outputs(stacks)

    def all(self, service: str, operation: str, key: str, /, **said: Any) -> list[Any]:
        if (service, operation) == ("cloudwatch", "get_metric_data"):
            aws_model.check_request(service, operation, said)
            self._functions.call(said["MetricDataQueries"][0]["MetricStat"]["Metric"]["Dimensions"][0]["Value"])
            return [self._metric(query) for query in said["MetricDataQueries"]]
        if (service, operation) == ("lambda", "list_provisioned_concurrency_configs"):
            aws_model.check_request(service, operation, said)
            return self._kept_ready(said["FunctionName"])
        found = super().all(service, operation, key, **said)
        if (service, operation) == ("lambda", "list_aliases"):
            for alias in found:
                alias["RevisionId"] = self._functions.revision(said["FunctionName"], f"alias {alias['Name']}")
        return found

    # -- changes that take a while -----------------------------------------------------------------------------------------

    def _guarded(self, operation: str, said: dict[str, Any], of: str = LATEST) -> dict[str, Any]:
        """What moto is asked: without the revision, which is compared here."""
        name = said["FunctionName"]
        if self._functions.pending[name, of] > 0:
            raise no(operation, "ResourceConflictException", "An update is in progress for resource")
        if said.get("RevisionId", self._functions.revision(name, of)) != self._functions.revision(name, of):
            raise no(operation, "PreconditionFailedException", "The Revision Id provided does not match the latest Revision Id")
        self._functions.touch(name, of)
        return {key: value for key, value in said.items() if key != "RevisionId"}

    def _create_function(self, said: dict[str, Any]) -> dict[str, Any]:
        answer = self._inner.call("lambda", "create_function", **said)
        self._keep(said)
        return answer

    def _update_function_configuration(self, said: dict[str, Any]) -> dict[str, Any]:
        answer = self._inner.call(
            "lambda", "update_function_configuration", **self._guarded("update-function-configuration", said)
        )
        self._keep(said)
        return answer

    def _update_function_code(self, said: dict[str, Any]) -> dict[str, Any]:
        answer = self._inner.call("lambda", "update_function_code", **self._guarded("update-function-code", said))
        self._keep(said)
        return answer

    def _keep(self, said: Mapping[str, Any]) -> None:
        name, functions = said["FunctionName"], self._functions
        functions.logging[name] = said.get("LoggingConfig") or functions.logging[name]
        functions.touch(name)
        functions.pending[name, LATEST] = POLLS

    def _get_function_configuration(self, said: dict[str, Any]) -> dict[str, Any]:
        told = self._inner.call("lambda", "get_function_configuration", **said)
        return self._as_lambda_tells(told, said["FunctionName"], said.get("Qualifier", LATEST))

    def _get_function(self, said: dict[str, Any]) -> dict[str, Any]:
        told = self._inner.call("lambda", "get_function", **said)
        name = said["FunctionName"]
        return {**told, "Configuration": self._as_lambda_tells(told["Configuration"], name, said.get("Qualifier", LATEST))}

    def _as_lambda_tells(self, told: dict[str, Any], name: str, of: str) -> dict[str, Any]:
        functions = self._functions
        told |= {
            "RevisionId": functions.revision(name, of),
            "LoggingConfig": functions.logging.get(name, {"LogFormat": "Text"}),
        }
        if functions.pending[name, of] > 0:
            functions.pending[name, of] -= 1
            told |= {"LastUpdateStatus": "InProgress"} if of == LATEST else {"State": "Pending", "StateReasonCode": "Creating"}
        return told

    def _publish_version(self, said: dict[str, Any]) -> dict[str, Any]:
        name, functions = said["FunctionName"], self._functions
        before, version = functions.published.get(name, ("", ""))
        if before == functions.revision(name):
            return self._get_function_configuration({"FunctionName": name, "Qualifier": version})
        kept = functions.revision(name)
        told = self._inner.call("lambda", "publish_version", **self._guarded("publish-version", said))
        functions.revisions[name, LATEST] = kept
        functions.published[name] = kept, told["Version"]
        functions.pending[name, told["Version"]] = POLLS
        return told

    def _update_alias(self, said: dict[str, Any]) -> dict[str, Any]:
        asked = self._guarded("update-alias", said, f"alias {said['Name']}")
        return self._inner.call("lambda", "update_alias", **asked)

    def _delete_function(self, said: dict[str, Any]) -> dict[str, Any]:
        version, name = said.get("Qualifier", ""), said["FunctionName"]
        for alias in self._inner.all("lambda", "list_aliases", "Aliases", FunctionName=name) if version else ():
            led = {alias["FunctionVersion"], *((alias.get("RoutingConfig") or {}).get("AdditionalVersionWeights") or {})}
            if version in led:
                raise no("delete-function", "ResourceConflictException", f"alias {alias['Name']} references this version")
        gone = [one for one in self._functions.ready if one[0] == name and version in ("", one[1])]
        for one in gone:
            del self._functions.ready[one]
        return self._inner.call("lambda", "delete_function", **said)

    # -- copies that are kept ready ----------------------------------------------------------------------------------------

    def _put_provisioned_concurrency_config(self, said: dict[str, Any]) -> dict[str, Any]:
        name, version, count = said["FunctionName"], said["Qualifier"], said["ProvisionedConcurrentExecutions"]
        told = self._inner.call("lambda", "get_function_concurrency", FunctionName=name)
        others = sum(
            kept[0] for (function, number), kept in self._functions.ready.items() if (function, number) != (name, version)
        )
        if count + others > told.get("ReservedConcurrentExecutions", self._functions.unreserved):
            raise no(
                "put-provisioned-concurrency-config", "InvalidParameterValueException", "should not be greater than reserved"
            )
        assert version.isdigit() and not self._functions.pending[name, version], "a version that is up"
        self._functions.ready[name, version] = [count, POLLS]
        answer = {"RequestedProvisionedConcurrentExecutions": count, "Status": "IN_PROGRESS"}
        aws_model.check_answer("lambda", "put_provisioned_concurrency_config", answer)
        return answer

    def _delete_provisioned_concurrency_config(self, said: dict[str, Any]) -> dict[str, Any]:
        del self._functions.ready[said["FunctionName"], said["Qualifier"]]
        return {}

    def _put_function_concurrency(self, said: dict[str, Any]) -> dict[str, Any]:
        kept = sum(count for (name, _), (count, _) in self._functions.ready.items() if name == said["FunctionName"])
        if kept > said["ReservedConcurrentExecutions"]:
            raise no("put-function-concurrency", "InvalidParameterValueException", "below what is provisioned")
        return self._inner.call("lambda", "put_function_concurrency", **said)

    def _kept_ready(self, name: str) -> list[dict[str, Any]]:
        return [
            self._one_kept_ready(name, version, kept) for (of, version), kept in self._functions.ready.items() if of == name
        ]

    def _one_kept_ready(self, name: str, version: str, kept: list[int]) -> dict[str, Any]:
        kept[1] -= kept[1] > 0
        told = self._inner.call("lambda", "get_function_configuration", FunctionName=name, Qualifier=version)
        failed = told["Environment"]["Variables"]["MLSHIP_CONTENT"] in self._functions.cold
        status = "IN_PROGRESS" if kept[1] else "FAILED" if failed else "READY"
        answer = {
            "FunctionArn": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}:{version}",
            "RequestedProvisionedConcurrentExecutions": kept[0],
            "Status": status,
            **({"StatusReason": "FUNCTION_ERROR_INIT_FAILURE"} if status == "FAILED" else {}),
        }
        aws_model.check_answer("lambda", "list_provisioned_concurrency_configs", {"ProvisionedConcurrencyConfigs": [answer]})
        return answer

    def _get_account_settings(self, said: dict[str, Any]) -> dict[str, Any]:
        answer = {"AccountLimit": {"ConcurrentExecutions": 1000, "UnreservedConcurrentExecutions": self._functions.unreserved}}
        aws_model.check_answer("lambda", "get_account_settings", answer)
        return answer

    def _invoke(self, said: dict[str, Any]) -> dict[str, Any]:
        version = said["Qualifier"]
        if self._functions.pending[said["FunctionName"], version] > 0:
            raise no("invoke", "ResourceConflictException", "The function is currently in the following state: Pending")
        error, payload = self._functions.answered(said["FunctionName"], version, json.loads(said["Payload"]))
        answer = {"StatusCode": 200, "ExecutedVersion": version, "Payload": io.BytesIO(json.dumps(payload).encode())}
        answer |= {"FunctionError": error} if error else {}
        aws_model.check_answer("lambda", "invoke", answer)
        return answer

    def _metric(self, query: Mapping[str, Any]) -> dict[str, Any]:
        """Of all that the copies of a version were asked, in one minute."""
        stat = query["MetricStat"]
        version = next(one["Value"] for one in stat["Metric"]["Dimensions"] if one["Name"] == "ExecutedVersion")
        which = {"Errors": "failed", "Failures": "refused"}.get(stat["Metric"]["MetricName"], "all")
        count = float(self._functions.asked[version, which])
        values = [count * 12.0] if stat["Stat"] == "Sum" and stat["Metric"]["MetricName"] == "Duration" else [count]
        answer = {"Id": query["Id"], "StatusCode": "Complete", "Timestamps": [datetime.now(UTC)], "Values": values}
        aws_model.check_answer("cloudwatch", "get_metric_data", {"MetricDataResults": [answer]})
        return answer


class LambdaService(AwsService):
    """Implements contract.Harness."""

    def __init__(self, folder: Path, functions: Functions, /, **settings: Any) -> None:
        super().__init__(folder, functions.account, **{"service": "lambda", **settings})
        self.functions = functions

    def open(self, door: Any = None) -> Any:
        opening = Opening(
            project=self.project,
            environment=self.environment,
            home=self.home,
            runner=LocalRunner(),
            clock=time.time,
            who="anna@test",
            environ=dict(self.account_of.environ),
            settings=self.settings,
        )
        return LambdaTarget(opening, door or LambdaDoor(self.functions), poll_s=0.01)

    def deployment(self, version: int, broken: str = "") -> Deployment:
        return replace(super().deployment(version, broken), service="lambda")

    def left(self) -> list[str]:
        account, found = self.account_of, []
        stacks = account.client("cloudformation").describe_stacks()["Stacks"]
        found += [stack["StackName"] for stack in stacks if stack["StackStatus"] != "DELETE_COMPLETE"]
        found += [function["FunctionName"] for function in account.client("lambda").list_functions()["Functions"]]
        for bucket in account.client("s3").list_buckets()["Buckets"]:
            objects = account.client("s3").list_objects_v2(Bucket=bucket["Name"]).get("Contents", [])
            found += [one["Key"] for one in objects]
        return found


@contextmanager
def urls(functions: Functions, folder: Path) -> Iterator[dict[str, str]]:
    """The environment in which every URL of a function is reached; AWS' own API is reached directly."""
    with inspecting_proxy(functions.through_url, folder) as environ:
        yield {name: environ[name] for name in ("HTTPS_PROXY", "SSL_CERT_FILE")}
