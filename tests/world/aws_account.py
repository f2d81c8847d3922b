"""An account of AWS on loopback: moto's server for everything but ECS, which is ministack's, and docker-registry for ECR's bytes.

What neither emulates stands here, and is small: Fargate (a task is a server in this process), the balancer's data plane (a proxy that
follows moto's own rules), and which images ECR has (what the real registry says). Every request to AWS, and every answer that is made
here, is checked against botocore's service model, enums, patterns and bounds included (aws_model.py).
"""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aws_model
import boto3
import ecr_standin
import pytest
from aws_metrics import Led, metric_data
from aws_permissions import simulated
from ecs_in_place import InPlaceEcs
from ecs_moving import MovingEcs
from free_ports import free_port
from registry_images import image_of
from registry_parts import real_registry

from mlship.errors import MlshipError
from mlship.home import Home
from mlship.oci.layout import Layout
from mlship.releases.release import Proof, Release, Served, ServedModel
from mlship.runner import LocalRunner
from mlship.targets.aws.door import BotoDoor, Door, refusal
from mlship.targets.aws.ecs.front import PORT
from mlship.targets.aws.ecs.quotas import ON_DEMAND, SPOT
from mlship.targets.aws.ecs.target import EcsTarget
from mlship.targets.base import OPERATOR_KEY, Deployment, Opening

ACCOUNT, REGION = "123456789012", "us-east-1"
_STARTS_S = 30
_GONE = "EssentialContainerExited"
_FAR_AWAY = 20_000


@contextmanager
def emulators(folder: Path) -> Iterator[Mapping[str, str]]:
    """Both servers and the registry; gives the environment that leads the SDK to them."""
    moto, mini = free_port(), free_port()
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    environ = {**os.environ, "BIND_HOST": "127.0.0.1", "GATEWAY_PORT": str(mini), "MINISTACK_ACCOUNT_ID": ACCOUNT}
    environ["DOCKER_HOST"] = "unix:///nonexistent.sock"  # tasks run here, and not at an engine
    servers = [
        subprocess.Popen([sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(moto)], **quiet),
        subprocess.Popen([sys.executable, "-m", "ministack"], env=environ, cwd=folder, **quiet),
    ]
    try:
        _await(f"http://127.0.0.1:{moto}/moto-api/")
        _await(f"http://127.0.0.1:{mini}/_ministack/health")
        with real_registry(folder / "registry") as registry:
            yield {
                "AWS_ENDPOINT_URL": f"http://127.0.0.1:{moto}",
                "AWS_ENDPOINT_URL_ECS": f"http://127.0.0.1:{mini}",
                "AWS_ACCESS_KEY_ID": "test",
                "AWS_SECRET_ACCESS_KEY": "test",
                "AWS_DEFAULT_REGION": REGION,
                "NO_PROXY": "127.0.0.1",
                "AWS_EC2_METADATA_DISABLED": "true",
                "ECR_DATA_PLANE": f"127.0.0.1:{registry}",
            }
    finally:
        for server in servers:
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
class Copy:
    """A task that runs in this process. address: its own, as the balancer knows it. group: empty where there is none."""

    release: str
    content: str
    address: str
    group: str
    secrets: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Account:
    """The world behind the door: what emulators hold, and what stands here. broken: content -> how; versions: content -> number."""

    environ: Mapping[str, str]
    versions: dict[str, int] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)
    copies: dict[str, Copy] = field(default_factory=dict)
    crashed: set[str] = field(default_factory=set)
    numbers: Iterator[int] = field(default_factory=itertools.count)
    lock: threading.RLock = field(default_factory=threading.RLock)
    clients: dict[str, Any] = field(default_factory=dict)
    outputs: dict[str, Any] = field(default_factory=dict)
    hosts: dict[str, str] = field(default_factory=dict)  # a name that callers know -> the balancer that it leads to
    quotas: dict[str, float] = field(default_factory=lambda: {ON_DEMAND: 6.0, SPOT: 6.0})  # what an account begins with
    led: list[Led] = field(default_factory=list)  # every request that a target answered
    slow: dict[str, float] = field(default_factory=dict)  # content -> seconds that its answers take, as the balancer measures
    is_inside: bool = True  # whether tasks can be reached at their own addresses
    door: BotoDoor = field(default_factory=lambda: BotoDoor(REGION))  # of one test: a client takes a second to make

    def __post_init__(self) -> None:
        self.moving = MovingEcs(self)
        self.in_place = InPlaceEcs(self)

    def client(self, service: str, endpoint: str = "") -> Any:
        name = service + endpoint
        if name not in self.clients:
            self.clients[name] = boto3.client(service, region_name=REGION, endpoint_url=endpoint or None)
        return self.clients[name]

    def made_secrets(self) -> list[str]:
        told = self.client("secretsmanager").list_secrets()["SecretList"]
        return [one["Name"] for one in told if one["Name"].startswith("mlship")]

    def reset(self) -> None:
        for url in (
            self.environ["AWS_ENDPOINT_URL"] + "/moto-api/reset",
            self.environ["AWS_ENDPOINT_URL_ECS"] + "/_ministack/reset",
        ):
            with urllib.request.urlopen(urllib.request.Request(url, method="POST"), timeout=10):
                pass
        ecr_standin.emptied(self.environ["ECR_DATA_PLANE"])

    # -- Fargate -----------------------------------------------------------------------------------------------------------

    def run_tasks(self) -> None:
        """Every task that ECS says runs has a server and is registered with its balancer; every other one has neither."""
        with self.lock:
            running = {task["taskArn"]: (service, task) for service in self._services() for task in self._tasks(service)}
            for arn in set(self.copies) - set(running):
                copy = self.copies.pop(arn)
                if copy.group:
                    self.client("elbv2").deregister_targets(
                        TargetGroupArn=copy.group, Targets=[{"Id": copy.address, "Port": PORT}]
                    )
            for arn, (service, task) in running.items():
                if arn not in self.copies:
                    self._start(arn, service, task)

    def _services(self) -> list[dict[str, Any]]:
        ecs = self.client("ecs")
        found = []
        for cluster in ecs.list_clusters()["clusterArns"]:
            arns = ecs.list_services(cluster=cluster)["serviceArns"]
            found += ecs.describe_services(cluster=cluster, services=arns)["services"] if arns else []
        return found

    def _tasks(self, service: Mapping[str, Any]) -> list[dict[str, Any]]:
        ecs, cluster = self.client("ecs"), service["clusterArn"]
        arns = ecs.list_tasks(cluster=cluster, serviceName=service["serviceName"], desiredStatus="RUNNING")["taskArns"]
        return ecs.describe_tasks(cluster=cluster, tasks=arns)["tasks"] if arns else []

    def _start(self, arn: str, service: Mapping[str, Any], task: Mapping[str, Any]) -> None:
        told = self.client("ecs").describe_task_definition(taskDefinition=task["taskDefinitionArn"], include=["TAGS"])
        content = next(tag["value"] for tag in told["tags"] if tag["key"] == "mlship.content")
        (container,) = told["taskDefinition"]["containerDefinitions"]
        release = next(one["value"] for one in container["environment"] if one["name"] == "MLSHIP_RELEASE")
        self._log(container["logConfiguration"]["options"], arn)
        if self.broken.get(content) == "crash":
            self.crashed.add(arn)
            self.client("ecs").stop_task(cluster=service["clusterArn"], task=arn)
            return
        address = f"172.31.0.{next(self.numbers) % 250 + 1}"
        group = "" if service.get("serviceRegistries") else _group(service)
        copy = Copy(release, content, address, group, self._secrets(container))
        self.copies[arn] = copy
        if group:
            self.client("elbv2").register_targets(TargetGroupArn=copy.group, Targets=[{"Id": copy.address, "Port": PORT}])

    def _secrets(self, container: Mapping[str, Any]) -> dict[str, str]:
        """As Fargate reads them: `ARN`, or `ARN:::VERSION`."""
        read, found = self.client("secretsmanager").get_secret_value, {}
        for one in container.get("secrets") or ():
            arn, _, version = one["valueFrom"].partition(":::")
            found[one["name"]] = read(SecretId=arn, **({"VersionId": version} if version else {}))["SecretString"]
        return found

    def _log(self, options: Mapping[str, str], arn: str) -> None:
        logs, stream = self.client("logs"), f"{options['awslogs-stream-prefix']}/server/{arn.rpartition('/')[2]}"
        place = {"logGroupName": options["awslogs-group"], "logStreamName": stream}
        logs.create_log_stream(**place)
        logs.put_log_events(**place, logEvents=[{"timestamp": int(time.time() * 1000), "message": "ready"}])

    def at(self, host: str) -> Copy | None:
        """The task with this address, from inside its network."""
        return next((copy for copy in self.copies.values() if self.is_inside and copy.address == host), None)

    def answer(self, copy: Copy, path: str) -> tuple[int, bytes]:
        """What the server in a task says."""
        broken, version = self.broken.get(copy.content, ""), self.versions[copy.content]
        if path == "/mlship/release":
            return 200, json.dumps({"release": "r0-000000" if broken == "lies" else copy.release}).encode()
        if path.startswith("/predict") and broken == "errors":
            return 500, b"{}"
        if path.startswith("/predict"):
            return 200, json.dumps({"predictions": [0 if broken == "answers" else version]}).encode()
        return (503 if broken == "unwell" else 200), b"{}"

    # -- the balancer ------------------------------------------------------------------------------------------------------

    def forward(self, host: str, headers: Mapping[str, str], path: str) -> tuple[int, bytes]:
        """As the rules of the listener say, in their order; a task's own address needs none."""
        if (own := self.at(host)) is not None:
            return self._judged(own, headers, path)
        elb = self.client("elbv2")
        for balancer in elb.describe_load_balancers()["LoadBalancers"]:
            if balancer["DNSName"] != self.hosts.get(host, host):
                continue
            for listener in elb.describe_listeners(LoadBalancerArn=balancer["LoadBalancerArn"])["Listeners"]:
                rules = elb.describe_rules(ListenerArn=listener["ListenerArn"])["Rules"]
                for rule in sorted(
                    rules, key=lambda rule: (rule["IsDefault"], int(rule["Priority"]) if not rule["IsDefault"] else 0)
                ):
                    if all(_holds(condition, host, headers, path) for condition in rule["Conditions"]):
                        return self._act(rule["Actions"][0], headers, path)
        return 502, b"no such balancer"

    def _act(self, action: Mapping[str, Any], headers: Mapping[str, str], path: str) -> tuple[int, bytes]:
        if action["Type"] == "fixed-response":
            return int(action["FixedResponseConfig"]["StatusCode"]), b"{}"
        groups = action.get("ForwardConfig", {}).get("TargetGroups") or [
            {"TargetGroupArn": action["TargetGroupArn"], "Weight": 1}
        ]
        line = [group["TargetGroupArn"] for group in groups for _ in range(int(group.get("Weight", 1)))]
        group = line[next(self.numbers) * 37 % len(line)]
        copies = [copy for copy in self.copies.values() if copy.group == group]
        if not copies:
            return 503, b"no target"
        copy = copies[next(self.numbers) % len(copies)]
        status, body = self._judged(copy, headers, path)
        self.led.append(Led(group.rpartition(":")[2], time.time(), status, self.slow.get(copy.content, 0.02)))
        return status, body

    def _judged(self, copy: Copy, headers: Mapping[str, str], path: str) -> tuple[int, bytes]:
        key = copy.secrets.get(OPERATOR_KEY)
        is_judged = key and path not in ("/readyz", "/livez")
        denied = is_judged and headers.get("authorization") != f"Bearer {key}"
        return (401, b"{}") if denied else self.answer(copy, path)


def _group(service: Mapping[str, Any]) -> str:
    (balancer,) = service["loadBalancers"]
    assert balancer["containerPort"] == PORT
    return str(balancer["targetGroupArn"])


def _holds(condition: Mapping[str, Any], host: str, headers: Mapping[str, str], path: str) -> bool:
    field_name = condition["Field"]
    if field_name == "http-header":
        said = condition["HttpHeaderConfig"]
        return headers.get(said["HttpHeaderName"].lower(), "") in said["Values"]
    if field_name == "path-pattern":
        return "/*" in (condition.get("PathPatternConfig") or {}).get("Values", condition.get("Values"))
    assert field_name == "host-header", field_name
    return host in (condition.get("HostHeaderConfig") or {}).get("Values", condition.get("Values"))


@contextmanager
def entered(account: Account, environ: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    """The account as it is when nothing was ever done there, with the environment that leads to it and to its balancer."""
    for name, text in environ.items():
        monkeypatch.setenv(name, text)
    account.reset()
    with balancer(account) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy)
        yield account


@contextmanager
def balancer(account: Account) -> Iterator[str]:
    """A proxy through which every name of a balancer is reached. Gives its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            url = urlsplit(self.path)
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, body = account.forward(url.hostname or "", headers, url.path)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            if (own := account.at(url.hostname or "")) is not None:
                self.send_header("X-Mlship-Release", own.release)
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self) -> None:
            self.do_POST()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


class AccountDoor:
    """The real door, whose requests are checked; tasks start and end before the next call."""

    def __init__(self, account: Account) -> None:
        self._inner = account.door
        self._account = account
        self.region, self.account = REGION, ACCOUNT

    def call(self, service: str, operation: str, /, **said: Any) -> dict[str, Any]:
        aws_model.check_request(service, operation, said)
        if operation == "simulate_principal_policy":
            return simulated(said)
        played = self._played(service, operation, said)
        if played is not None:
            return played
        if operation == "register_scalable_target":
            self._scaled(said)
        if operation == "set_rule_priorities":
            return self._reordered(said["RulePriorities"])
        groups = self._made(said["StackName"], "::TargetGroup") if operation == "delete_stack" else ()
        if operation == "delete_stack" and (repositories := self._made(said["StackName"], "::Repository")):
            ecr_standin.emptied(self._account.environ["ECR_DATA_PLANE"], *repositories)  # EmptyOnDelete
        alarms = self._alarms(said["StackName"]) if operation == "delete_stack" else {}
        answer = self._inner.call(service, operation, **said)
        for name in alarms:
            self._inner.call("cloudwatch", "delete_alarms", AlarmNames=[name])
        if operation == "execute_change_set":
            self._alarmed(said["StackName"])
        for group in groups:
            self._inner.call("elbv2", "delete_target_group", TargetGroupArn=group)
        if operation == "delete_stack":
            for secret in self._account.made_secrets():
                self._account.client("secretsmanager").delete_secret(SecretId=secret, ForceDeleteWithoutRecovery=True)
            self._account.in_place.forget_names()
        if (service, operation) == ("cloudformation", "describe_stacks"):
            self._outputs(answer["Stacks"])
        if (service, operation) == ("ecr", "describe_repositories"):
            for one in answer["repositories"]:
                one["repositoryUri"] = f"{self._account.environ['ECR_DATA_PLANE']}/{one['repositoryName']}"
        if (service, operation) == ("ecs", "describe_tasks"):
            self._ends(answer["tasks"])
            self._account.in_place.tell_tasks(answer["tasks"])
        if (service, operation) == ("ecs", "describe_services"):
            self._account.in_place.tell_services(answer["services"])
            aws_model.check_answer(service, operation, {"services": answer["services"]})
        if (service, operation) in (("ecs", "create_service"), ("ecs", "update_service"), ("ecs", "delete_service")):
            self._account.run_tasks()
        return answer

    def all(self, service: str, operation: str, key: str, /, **said: Any) -> list[Any]:
        aws_model.check_request(service, operation, said)
        answer = self._played(service, operation, said)
        if answer is not None:
            return list(answer.get(key) or [])
        return self._inner.all(service, operation, key, **said)

    def _played(self, service: str, operation: str, said: Mapping[str, Any]) -> dict[str, Any] | None:
        """What no emulator tells as it is."""
        if service == "ecr" and operation in ecr_standin.OPERATIONS:
            answer = ecr_standin.answered(self._account.environ["ECR_DATA_PLANE"], ACCOUNT, operation, said)
        elif operation == "get_metric_data":
            answer = metric_data(self._account.led, said)
        elif operation == "list_service_quotas":
            answer = self._quotas()
        else:
            return self._account.moving.play(operation, said) if service == "ecs" else None
        aws_model.check_answer(service, operation, answer)
        return answer

    def _quotas(self) -> dict[str, Any]:
        """moto knows those of networks alone."""
        return {"Quotas": [{"QuotaName": name, "Value": value} for name, value in self._account.quotas.items()]}

    def _reordered(self, said: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Judged by the new order, as AWS does. moto takes no number that any rule has: so these go far away first."""
        arns = [one["RuleArn"] for one in said]
        listener = arns[0].replace(":listener-rule/", ":listener/").rpartition("/")[0]
        told = self._account.client("elbv2").describe_rules(ListenerArn=listener)["Rules"]
        if {one["Priority"] for one in told if one["RuleArn"] not in arns} & {str(one["Priority"]) for one in said}:
            raise refusal("elbv2 set-rule-priorities", {"Code": "PriorityInUse", "Message": "the priority is in use"})
        away = [{**one, "Priority": one["Priority"] + _FAR_AWAY} for one in said]
        self._inner.call("elbv2", "set_rule_priorities", RulePriorities=away)
        return self._inner.call("elbv2", "set_rule_priorities", RulePriorities=said)

    def _scaled(self, said: Mapping[str, Any]) -> None:
        """Registering brings the tasks within the bounds. moto asks its own ECS for the service, and this one's is ministack's."""
        _, cluster, service = said["ResourceId"].split("/")
        shadow, ecs = self._account.client("ecs", self._account.environ["AWS_ENDPOINT_URL"]), self._account.client("ecs")
        shadow.create_cluster(clusterName=cluster)
        container = {"name": "shadow", "image": "shadow", "memory": 4}
        shadow.register_task_definition(family="shadow", containerDefinitions=[container])
        shadow.create_service(cluster=cluster, serviceName=service, taskDefinition="shadow", desiredCount=0)
        (told,) = ecs.describe_services(cluster=cluster, services=[service])["services"]
        wanted = min(max(told["desiredCount"], said["MinCapacity"]), said["MaxCapacity"])
        if wanted != told["desiredCount"]:
            ecs.update_service(cluster=cluster, service=service, desiredCount=wanted)
            self._account.run_tasks()

    def _outputs(self, stacks: list[dict[str, Any]]) -> None:
        """moto makes all that a change set says, and forgets the outputs: they are told from its template and its resources."""
        for stack in stacks:
            if stack["StackStatus"].endswith("COMPLETE") and not stack.get("Outputs"):
                key = stack["StackId"] + str(stack.get("Tags"))
                if key in self._account.outputs:
                    stack["Outputs"] = self._account.outputs[key]
                    continue
                place = {"StackName": stack["StackId"]}
                made = self._inner.all("cloudformation", "list_stack_resources", "StackResourceSummaries", **place)
                ids = {one["LogicalResourceId"]: one["PhysicalResourceId"] for one in made}
                ids |= {one["ParameterKey"]: one["ParameterValue"] for one in stack["Parameters"]}
                template = self._inner.call("cloudformation", "get_template", **place)["TemplateBody"]
                said = template if isinstance(template, dict) else json.loads(template)
                ids |= self._secrets(stack["StackName"], said["Resources"])
                ids |= self._account.in_place.make_names(said["Resources"], ids)
                outputs = {name: self._told(one["Value"], ids) for name, one in said.get("Outputs", {}).items()}
                stack["Outputs"] = [{"OutputKey": name, "OutputValue": text} for name, text in outputs.items()]
                self._account.outputs[key] = stack["Outputs"]

    def _alarmed(self, stack: str) -> None:
        """moto's CloudFormation makes no alarms."""
        made = self._inner.all("cloudformation", "list_stack_resources", "StackResourceSummaries", StackName=stack)
        ids = {one["LogicalResourceId"]: one["PhysicalResourceId"] for one in made}
        for one in self._alarms(stack).values():
            said = self._plainly(one, ids)
            aws_model.check_request("cloudwatch", "put_metric_alarm", said)
            self._inner.call("cloudwatch", "put_metric_alarm", **said)

    def _plainly(self, document: Any, ids: Mapping[str, str]) -> Any:
        if isinstance(document, list):
            return [self._plainly(one, ids) for one in document]
        if not isinstance(document, dict):
            return document
        if set(document) in ({"Ref"}, {"Fn::GetAtt"}):
            return self._told(document, ids)
        return {key: self._plainly(entry, ids) for key, entry in document.items()}

    def _alarms(self, stack: str) -> dict[str, Any]:
        """What the stack's template says of them, by name."""
        try:
            said = self._inner.call("cloudformation", "get_template", StackName=stack)["TemplateBody"]
        except MlshipError:
            return {}
        template = said if isinstance(said, dict) else json.loads(said)
        found = [one["Properties"] for one in template["Resources"].values() if one["Type"] == "AWS::CloudWatch::Alarm"]
        return {one["AlarmName"]: one for one in found}

    def _secrets(self, stack: str, resources: Mapping[str, Any]) -> dict[str, str]:
        """moto makes none from a template."""
        store, made = self._account.client("secretsmanager"), {}
        for name, one in resources.items():
            if one["Type"] == "AWS::SecretsManager::Secret":
                called, asked = f"{stack}-{name}", one["Properties"]["GenerateSecretString"]
                with suppress(store.exceptions.ResourceExistsException):
                    store.create_secret(Name=called, SecretString=store.get_random_password(**asked)["RandomPassword"])
                made[name] = store.describe_secret(SecretId=called)["ARN"]
        return made

    def _made(self, stack: str, kind: str) -> list[str]:
        """moto deletes all of a stack but its target groups, and knows nothing of an image."""
        made = self._inner.all("cloudformation", "list_stack_resources", "StackResourceSummaries", StackName=stack)
        return [one["PhysicalResourceId"] for one in made if one["ResourceType"].endswith(kind)]

    def _told(self, value: Any, ids: Mapping[str, str]) -> str:
        if isinstance(value, str):
            return value
        ((function, of),) = value.items()
        if function == "Ref":
            return ids[of]
        if function == "Fn::Join" and of[0] == "/":
            return "/".join(self._told(one, ids) for one in of[1])
        if function == "Fn::Join":
            return ",".join(re.findall(r"subnet-\w+", self._told(of[1], ids)))
        if function == "Fn::Sub":
            return (
                str(of)
                .replace("${AWS::Partition}", "aws")
                .replace("${AWS::AccountId}", ACCOUNT)
                .replace("${AWS::Region}", REGION)
            )
        assert function == "Fn::GetAtt", function
        name, attribute = of
        if attribute.endswith("FullName"):
            return ids[name].rpartition(":")[2].removeprefix("loadbalancer/")
        if attribute == "DNSName":
            (found,) = self._inner.call("elbv2", "describe_load_balancers", LoadBalancerArns=[ids[name]])["LoadBalancers"]
            return str(found["DNSName"])
        is_role = attribute == "Arn" and name.endswith("Role")
        return self._inner.call("iam", "get_role", RoleName=ids[name])["Role"]["Arn"] if is_role else ids[name]

    def _ends(self, tasks: list[dict[str, Any]]) -> None:
        """Of a task whose server ended by itself: ministack knows of that only from an engine."""
        for task in tasks:
            if task["taskArn"] in self._account.crashed:
                task.update(stopCode=_GONE, stoppedReason="Essential container in task exited")
                task["containers"][0]["exitCode"] = 1


class AwsService:
    """Implements contract.Harness."""

    def __init__(self, folder: Path, world: Account, /, project: str = "churn", environment: str = "", **settings: Any) -> None:
        self.home, self.account_of = Home(folder / "home"), world
        self.project, self.environment, self.settings = project, environment, {"region": REGION, **settings}

    def open(self, door: Door | None = None) -> EcsTarget:
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
        return EcsTarget(opening, door or AccountDoor(self.account_of), poll_s=0.01)

    def deployment(self, version: int, broken: str = "") -> Deployment:
        image = image_of(Layout(self.home.images), (100,), seed=version * 10 + len(broken))
        self.account_of.versions[image.content] = version
        self.account_of.broken[image.content] = broken
        served = Served(
            image.content, (ServedModel(self.project, f"{version:064x}"),), resources={"cpu": 1000, "memory": 2 * 2**30}
        )
        proof = Proof(({"age": 30},), {"predictions": [version]}, {"rtol": 1e-6, "atol": 1e-9})
        release = Release(0, served, 0.0, proofs={self.project: proof})
        operating = {"labels": {}, "settings": self.settings}
        return Deployment(
            self.project, self.environment, "aws", "ecs", release, self.settings, operating, startup_timeout_s=10.0
        )

    def left(self) -> list[str]:
        """Everything that carries the project's name, whatever service it is of."""
        account, found = self.account_of, []
        found += account.made_secrets()
        stacks = account.client("cloudformation").describe_stacks()["Stacks"]
        found += [stack["StackName"] for stack in stacks if stack["StackStatus"] != "DELETE_COMPLETE"]
        found += [service["serviceName"] for service in account._services()]
        alarms = account.client("cloudwatch").describe_alarms(AlarmNamePrefix="mlship")["MetricAlarms"]
        found += [alarm["AlarmName"] for alarm in alarms]
        found += [one["Name"] for one in account.client("servicediscovery").list_namespaces()["Namespaces"]]
        found += account.client("ecs").list_task_definition_families(status="ACTIVE")["families"]
        found += [balancer["DNSName"] for balancer in account.client("elbv2").describe_load_balancers()["LoadBalancers"]]
        found += [group["TargetGroupName"] for group in account.client("elbv2").describe_target_groups()["TargetGroups"]]
        for bucket in account.client("s3").list_buckets()["Buckets"]:
            objects = account.client("s3").list_objects_v2(Bucket=bucket["Name"]).get("Contents", [])
            found += [one["Key"] for one in objects]
        return found
