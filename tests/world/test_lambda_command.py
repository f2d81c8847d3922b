"""The unmodified command against an account of AWS: the whole way of a function of Lambda, each step a process of its own."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

pytest.importorskip("moto", reason="no moto: pip install 'moto[server]'")
pytest.importorskip("ministack", reason="no ministack: pip install ministack")

from approving import CAREFUL, promoted_twice_and_given_up_once
from aws_account import ACCOUNT, REGION, Account, emulators
from aws_flaky import flaky
from aws_gateway import gateway
from lambda_account import Functions, LambdaDoor, urls
from story import Story
from test_aws_command import built

from mlship.targets.aws.door import Refused

pytestmark = pytest.mark.world
YAML = f"""\
name: churn
model: model.joblib
target: aws
resources: {{memory: 2GB}}
targets: {{aws: {{service: lambda, region: {REGION}, account: "123456789012"}}}}
environments:
  prod: {{}}
  {CAREFUL}
"""
EVERY = 15  # requests of which three go wrong
Wire = tuple[int, dict[str, str], bytes]


class OnTheWire:
    """What the gateway has no answer for: invocations, and images that were pushed as docker's."""

    def __init__(self, functions: Functions, inner: Callable[..., Wire]) -> None:
        self._door, self._inner = LambdaDoor(functions), inner

    def __call__(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Wire:
        url = urlsplit(path)
        if url.path.endswith("/invocations"):
            name, version = unquote(url.path.split("/")[3]), parse_qs(url.query)["Qualifier"][0]
            told = self._door.call("lambda", "invoke", FunctionName=name, Qualifier=version, Payload=body)
            failed = {"X-Amz-Function-Error": told["FunctionError"]} if "FunctionError" in told else {}
            return 200, {"X-Amz-Executed-Version": version, **failed}, told["Payload"].read()
        if url.path.endswith("/provisioned-concurrency"):  # nobody asks for copies that are kept ready here
            assert method == "GET", path
            return 200, {"Content-Type": "application/json"}, b'{"ProvisionedConcurrencyConfigs": []}'
        if headers.get("x-amz-target", "").endswith(".DescribeImages"):
            try:
                told = self._door.call("ecr", "describe_images", **json.loads(body))
            except Refused as no:
                refused = json.dumps({"__type": no.said, "message": no.what}).encode()
                return 400, {"Content-Type": "application/x-amz-json-1.1"}, refused
            return 200, {"Content-Type": "application/x-amz-json-1.1"}, json.dumps(told).encode()
        return self._inner(method, path, headers, body)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    with emulators(tmp_path_factory.mktemp("aws")) as environ:
        yield environ


@pytest.fixture
def functions(running: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> Functions:
    for name, text in running.items():
        monkeypatch.setenv(name, text)
    account = Account(running)
    account.reset()
    return Functions(account)


@pytest.fixture
def front(functions: Functions, tmp_path: Path) -> Iterator[Mapping[str, str]]:
    with gateway(functions.account) as (found, url), urls(functions, tmp_path / "tls") as reached:
        found.answer = OnTheWire(functions, found.answer)
        yield {"AWS_ENDPOINT_URL": url, "NO_PROXY": "127.0.0.1", **reached}


def machine(folder: Path, account: Account, front: Mapping[str, str]) -> Story:
    """With a home of its own, and credentials; what it has besides stands in its folder."""
    folder.mkdir()
    said = {name: text for name, text in account.environ.items() if not name.startswith(("AWS_ENDPOINT", "ECR"))}
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return Story(folder, Path(sys.executable), {**kept, **said, **front, "MLSHIP_HOME": str(folder / "home")})


@pytest.fixture
def here(tmp_path: Path, functions: Functions, front: Mapping[str, str]) -> Story:
    found = machine(tmp_path / "here", functions.account, front)
    found.write("mlship.yaml", YAML)
    found.write("model.joblib", "not read here")
    return found


def test_the_whole_way(tmp_path: Path, functions: Functions, front: Mapping[str, str], here: Story) -> None:
    account = functions.account
    first, second = built(here, account, 1), built(here, account, 2)
    one = here.mlship("deploy", "--env", "prod", "--image", first, "--yes")
    assert one["verify"]["predictions"] == 1 and one["endpoint"].endswith(".lambda-url.us-east-1.on.aws")
    assert here.mlship("deploy", "--env", "prod", "--image", first, "--yes")["unchanged"] is True
    files = here.mlship("render", "--env", "prod", "--image", first, "--part", "service", "--out", "rendered")["files"]
    assert [Path(file).name for file in files][:1] == ["1-create-function.json"] and "eject/service.json" in files
    two = here.mlship("deploy", "--env", "prod", "--image", second, "--yes")
    assert two["release"]["content"] == second

    with flaky(front["AWS_ENDPOINT_URL"], EVERY) as (rough, did):
        # no checkout, no build, nothing but credentials; and an API that is throttled and breaks
        there = machine(tmp_path / "there", account, {**front, "AWS_ENDPOINT_URL": rough})
        words = ("churn", "--target", "aws", "--region", REGION, "--env", "prod")
        back = there.mlship("rollback", *words, "--yes")
        assert back["release"]["content"] == first
        account.client("s3").delete_object(Bucket=f"mlship-{ACCOUNT}-{REGION}", Key="mlship/churn/prod/history.json")
        again = there.mlship(
            "history", *words, "--recover"
        )  # nobody says that it is a function: what lies beside its image does
        assert (again["live"], list(again["rejected"])) == (one["release"]["id"], [two["release"]["id"]])
        assert [entry["action"] for entry in again["entries"]] == ["deploy", "deploy", "rollback", "recover"]
        assert there.mlship("status", *words)["serving"] == one["release"]["id"]
        assert [line["text"] for line in there.mlship("logs", *words)["lines"]].count("ready") == 2
        (row,) = there.mlship("list", "--target", "aws", "--region", REGION)["services"]
        assert (row["project"], row["environment"], row["live"], row["ready"]) == ("churn", "prod", one["release"]["id"], True)
        there.mlship("destroy", *words, "--yes")
        assert there.mlship("list", "--target", "aws", "--region", REGION)["services"] == []
        assert account.client("lambda").list_functions()["Functions"] == []
        assert set(did) == {"throttled", "broken", "unavailable"}


def test_a_canary_waits_for_a_word_and_is_promoted_or_given_up(functions: Functions, here: Story) -> None:
    promoted_twice_and_given_up_once(here, *(built(here, functions.account, version) for version in (1, 2, 3)))
