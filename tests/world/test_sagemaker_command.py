"""The unmodified command against an account of AWS: the way of an endpoint of SageMaker, each step a process of its own."""

from __future__ import annotations

import io
import json
import sys
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

pytest.importorskip("moto", reason="no moto: pip install 'moto[server]'")
pytest.importorskip("ministack", reason="no ministack: pip install ministack")
sys.path.insert(0, str(Path(__file__).parents[1] / "targets"))

import aws_permissions
import ecr_standin
from approving import CAREFUL, promoted_twice_and_given_up_once
from aws_account import Account, emulators
from aws_flaky import flaky
from aws_gateway import gateway
from aws_machine import built, machine
from botocore import xform_name
from sagemaker_account import INSTANCE, SagemakerAccount, SagemakerDoor
from sagemaker_parts import REGION

from mlship.oci.registry.variant import DOCKER_MANIFEST_TYPE
from mlship.targets.aws.door import Refused

pytestmark = pytest.mark.world
YAML = f"""\
name: churn
model: model.joblib
target: aws
targets: {{aws: {{service: sagemaker, instance: {INSTANCE}, region: {REGION}, account: "123456789012"}}}}
environments:
  {CAREFUL}
"""
EVERY = 15  # requests of which three go wrong
Wire = tuple[int, dict[str, str], bytes]
JSON = {"Content-Type": "application/x-amz-json-1.1"}
PLAYED = {"SageMaker": "sagemaker", "AmazonEC2ContainerRegistry_V20150921": "ecr"}


class OnTheWire:
    """SageMaker, images in docker's form, and alarms of a stack; everything else is the gateway's."""

    def __init__(self, account: SagemakerAccount, inner: Callable[..., Wire]) -> None:
        self._door, self._inner = SagemakerDoor(account), inner

    def __call__(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Wire:
        if path.startswith("/endpoints/"):
            return self._invoked(path.split("/")[2], headers, body)
        service, _, operation = headers.get("x-amz-target", "").partition(".")
        if service in PLAYED:
            return self._played(PLAYED[service], xform_name(operation), json.loads(body or b"{}"))
        told = self._inner(method, path, headers, body)
        if b"Action=ExecuteChangeSet" in body:
            self._door.alarms_of(parse_qs(body.decode())["StackName"][0])
        return told

    def _played(self, service: str, operation: str, said: dict[str, Any]) -> Wire:
        try:
            told = self._door.call(service, operation, **said)
        except Refused as no:
            return 400, JSON, json.dumps({"__type": no.said, "message": no.what}).encode()
        plain = {key: entry for key, entry in told.items() if key != "ResponseMetadata"}
        return 200, JSON, json.dumps(plain, default=datetime.timestamp).encode()

    def _invoked(self, endpoint: str, headers: Mapping[str, str], body: bytes) -> Wire:
        said = {"EndpointName": endpoint, "Body": body}
        if "x-amzn-sagemaker-target-variant" in headers:
            said["TargetVariant"] = headers["x-amzn-sagemaker-target-variant"]
        try:
            told = self._door.call("sagemaker-runtime", "invoke_endpoint", **said)
        except Refused as no:
            return 400, JSON | {"x-amzn-errortype": no.said}, json.dumps({"Message": no.what}).encode()
        assert isinstance(told["Body"], io.BytesIO)
        more = {
            "x-Amzn-Invoked-Production-Variant": told["InvokedProductionVariant"],
            "X-Amzn-SageMaker-Custom-Attributes": told["CustomAttributes"],
        }
        return 200, {"Content-Type": "application/json", **more}, told["Body"].read()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    with emulators(tmp_path_factory.mktemp("sagemaker")) as environ:
        yield environ


def test_an_endpoint_is_deployed_changed_rolled_back_from_elsewhere_and_destroyed(
    tmp_path: Path, running: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in running.items():
        monkeypatch.setenv(name, text)
    account = SagemakerAccount(running)
    account.reset()
    with gateway(Account(running)) as (found, url), flaky(url, EVERY) as (rough, did):
        found.answer = OnTheWire(account, found.answer)
        front = {"AWS_ENDPOINT_URL": url, "NO_PROXY": "127.0.0.1"}
        here = machine(tmp_path / "here", account, front)
        here.write("mlship.yaml", YAML)
        here.write("model.joblib", "not read here")
        with monkeypatch.context() as denied:
            denied.setattr(aws_permissions, "DENIED", {"sagemaker:CreateEndpoint"})
            said = here.mlship("deploy", "--yes", exit=8)  # and not that the model cannot be read: nothing is built
            assert "sagemaker:CreateEndpoint" in json.dumps(said)
        first, second = built(here, account, 1), built(here, account, 2)
        one = here.mlship("deploy", "--image", first, "--yes")
        assert one["verify"]["predictions"] == 1
        assert one["endpoint"].endswith("/endpoints/mlship-churn/invocations")
        assert user_of(running["ECR_DATA_PLANE"], "mlship/churn") == "0:0"
        two = here.mlship("deploy", "--image", second, "--yes")
        assert two["release"]["content"] == second and list(account.endpoints) == ["mlship-churn"]
        attached = {f"mlship-churn_{done['release']['id']}" for done in (one, two)}
        assert attached <= set(ecr_standin.tags(running["ECR_DATA_PLANE"], "mlship/churn")), (
            "beside an image of docker's schema 2"
        )

        promoted_twice_and_given_up_once(here, first, second, built(here, account, 3))
        here.mlship("destroy", "--env", "careful", "--yes")

        # no checkout, no build, nothing but credentials; and an API that is throttled and breaks
        there = machine(tmp_path / "there", account, {**front, "AWS_ENDPOINT_URL": rough})
        words = ("churn", "--target", "aws", "--region", REGION)
        back = there.mlship("rollback", *words, "--yes")
        assert back["release"]["content"] == first
        assert there.mlship("status", *words)["serving"] == one["release"]["id"]
        (row,) = there.mlship("list", "--target", "aws", "--region", REGION)["services"]
        assert (row["project"], row["live"], row["ready"]) == ("churn", one["release"]["id"], True)
        there.mlship("destroy", *words, "--yes")
        assert set(did) == {"throttled", "broken", "unavailable"}
        assert account.endpoints == {}
        assert account.client("sagemaker").list_models()["Models"] == []


def user_of(registry: str, repository: str) -> str:
    """Who runs in the image that was pushed: the registry's own word."""
    base = f"http://{registry}/v2/{repository}"
    with urllib.request.urlopen(f"{base}/tags/list", timeout=10) as answer:
        (tag,) = [
            tag for tag in json.load(answer)["tags"] if tag.startswith("sha256-") and "." in tag
        ]  # the form has its name there
    asked = urllib.request.Request(f"{base}/manifests/{tag}", headers={"Accept": DOCKER_MANIFEST_TYPE})
    with urllib.request.urlopen(asked, timeout=10) as answer:
        digest = json.load(answer)["config"]["digest"]
    with urllib.request.urlopen(f"{base}/blobs/{digest}", timeout=10) as answer:
        return str(json.load(answer)["config"]["User"])
