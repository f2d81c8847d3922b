"""moto's server and a docker-registry for ECR's bytes, and a door to them whose requests are checked."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aws_model
import boto3
import ecr_standin
from aws_permissions import simulated
from free_ports import free_port
from registry_parts import real_registry

from mlship.oci.registry.variant import DOCKER_MANIFEST_TYPE
from mlship.targets.aws.door import BotoDoor

ACCOUNT, REGION = "123456789012", "us-east-1"
_STARTS_S = 30


@contextmanager
def moto_and_registry(folder: Path) -> Iterator[Mapping[str, str]]:
    """Gives the environment that leads the SDK to them."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _await(f"http://127.0.0.1:{port}/moto-api/")
        with real_registry(folder / "registry") as registry:
            yield {
                "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
                "AWS_ACCESS_KEY_ID": "test",
                "AWS_SECRET_ACCESS_KEY": "test",
                "AWS_DEFAULT_REGION": REGION,
                "NO_PROXY": "127.0.0.1",
                "AWS_EC2_METADATA_DISABLED": "true",
                "ECR_DATA_PLANE": f"127.0.0.1:{registry}",
            }
    finally:
        server.kill()
        server.wait()


def _await(url: str) -> None:
    deadline = time.monotonic() + _STARTS_S
    while True:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except OSError:
            assert time.monotonic() < deadline, f"{url} does not come up"
            time.sleep(0.1)


@dataclass
class Emulated:
    """What a door needs. clients: of the test's own calls, which are not checked; outputs: of stacks, by their id."""

    environ: Mapping[str, str]
    clients: dict[str, Any] = field(default_factory=dict)
    outputs: dict[str, Any] = field(default_factory=dict)
    door: BotoDoor = field(default_factory=lambda: BotoDoor(REGION))

    def client(self, service: str) -> Any:
        if service not in self.clients:
            self.clients[service] = boto3.client(service, region_name=REGION)
        return self.clients[service]

    def reset(self) -> None:
        url = self.environ["AWS_ENDPOINT_URL"] + "/moto-api/reset"
        with urllib.request.urlopen(urllib.request.Request(url, method="POST"), timeout=10):
            pass
        ecr_standin.emptied(self.environ["ECR_DATA_PLANE"])


class CheckedDoor:
    """The real door to moto. What moto forgets is told here: outputs of change sets, which images ECR has."""

    def __init__(self, world: Emulated) -> None:
        self._inner, self._emulated = world.door, world
        self.region, self.account = REGION, ACCOUNT

    def call(self, service: str, operation: str, /, **said: Any) -> dict[str, Any]:
        aws_model.check_request(service, operation, said)
        if operation == "simulate_principal_policy":
            return simulated(said)
        if service == "ecr" and operation in ecr_standin.OPERATIONS:
            answer = ecr_standin.answered(self._emulated.environ["ECR_DATA_PLANE"], ACCOUNT, operation, said)
            aws_model.check_answer(service, operation, answer)
            kinds = {image["imageManifestMediaType"] for image in answer.get("imageDetails", ())}
            assert kinds <= {DOCKER_MANIFEST_TYPE}, kinds
            return answer
        alarms = self._alarms(said["StackName"]) if operation == "delete_stack" else {}
        if operation == "delete_stack":
            self._emptied(said["StackName"])
        answer = self._inner.call(service, operation, **said)
        for name in alarms:
            self._inner.call("cloudwatch", "delete_alarms", AlarmNames=[name])
        if operation == "execute_change_set":
            self.alarms_of(said["StackName"])
        if (service, operation) == ("cloudformation", "describe_stacks"):
            self._outputs(answer["Stacks"])
        if (service, operation) == ("ecr", "describe_repositories"):
            for one in answer["repositories"]:
                one["repositoryUri"] = f"{self._emulated.environ['ECR_DATA_PLANE']}/{one['repositoryName']}"
        return answer

    def all(self, service: str, operation: str, key: str, /, **said: Any) -> list[Any]:
        if (service, operation) == ("ecr", "list_images"):
            found: list[Any] = self.call(service, operation, **said).get(key, [])
            return found
        aws_model.check_request(service, operation, said)
        return self._inner.all(service, operation, key, **said)

    def alarms_of(self, stack: str) -> None:
        """Made as the stack's template says."""
        for alarm in self._alarms(stack).values():
            self.call("cloudwatch", "put_metric_alarm", **alarm)

    def _alarms(self, stack: str) -> dict[str, Any]:
        """Of a stack: moto's CloudFormation makes none."""
        made = self._template(stack)["Resources"].values()
        said = [one["Properties"] for one in made if one["Type"] == "AWS::CloudWatch::Alarm"]
        return {one["AlarmName"]: one for one in said}

    def _emptied(self, stack: str) -> None:
        """EmptyOnDelete: moto knows nothing of the images."""
        made = self._inner.all("cloudformation", "list_stack_resources", "StackResourceSummaries", StackName=stack)
        repositories = [one["PhysicalResourceId"] for one in made if one["ResourceType"].endswith("::Repository")]
        if repositories:
            ecr_standin.emptied(self._emulated.environ["ECR_DATA_PLANE"], *repositories)

    def _template(self, stack: str) -> dict[str, Any]:
        template = self._inner.call("cloudformation", "get_template", StackName=stack)["TemplateBody"]
        found: dict[str, Any] = template if isinstance(template, dict) else json.loads(template)
        return found

    def _outputs(self, stacks: list[dict[str, Any]]) -> None:
        """moto makes all that a change set says, and forgets the outputs: they are told from its template and its resources."""
        for stack in stacks:
            if stack["StackStatus"].endswith("COMPLETE") and not stack.get("Outputs"):
                key = stack["StackId"] + str(stack.get("Tags"))
                if key not in self._emulated.outputs:
                    self._emulated.outputs[key] = self._outputs_of(stack)
                stack["Outputs"] = self._emulated.outputs[key]

    def _outputs_of(self, stack: Mapping[str, Any]) -> list[dict[str, str]]:
        place = {"StackName": stack["StackId"]}
        made = self._inner.all("cloudformation", "list_stack_resources", "StackResourceSummaries", **place)
        ids = {one["LogicalResourceId"]: one["PhysicalResourceId"] for one in made}
        said = self._template(stack["StackId"])
        outputs = {name: self._told(one["Value"], ids) for name, one in said.get("Outputs", {}).items()}
        return [{"OutputKey": name, "OutputValue": text} for name, text in outputs.items()]

    def _told(self, value: Any, ids: Mapping[str, str]) -> str:
        if isinstance(value, str):
            return value
        ((function, of),) = value.items()
        if function == "Ref":
            return ids[of]
        if function == "Fn::Sub":
            known = {"${AWS::Partition}": "aws", "${AWS::AccountId}": ACCOUNT, "${AWS::Region}": REGION}
            text = str(of)
            for name, value in known.items():
                text = text.replace(name, value)
            return text
        assert function == "Fn::GetAtt", function
        name, attribute = of
        is_role = attribute == "Arn" and name.endswith("Role")
        return str(self._inner.call("iam", "get_role", RoleName=ids[name])["Role"]["Arn"]) if is_role else ids[name]
