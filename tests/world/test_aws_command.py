"""The unmodified command against an account of AWS: the whole way of a service on ECS, each step a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

pytest.importorskip("moto", reason="no moto: pip install 'moto[server]'")
pytest.importorskip("ministack", reason="no ministack: pip install ministack")

from aws_account import ACCOUNT, REGION, Account, balancer, emulators
from aws_gateway import Gateway, gateway
from registry_images import image_of
from story import Story

from mlship.home import Home
from mlship.image.record import BuildRecord, BuildRecords, RecordedModel
from mlship.oci.layout import Layout

pytestmark = pytest.mark.world
YAML = f"""\
name: churn
model: model.joblib
target: aws
resources: {{cpu: 1, memory: 2GB}}
targets: {{aws: {{region: {REGION}, account: "123456789012"}}}}
environments:
  prod: {{}}
  elsewhere: {{targets: {{aws: {{account: "999999999999"}}}}}}
  changed: {{rollout: {{strategy: canary, steps: [50%, 100%]}}}}
"""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    with emulators(tmp_path_factory.mktemp("aws")) as environ:
        yield environ


@pytest.fixture
def account(running: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    for name, text in running.items():
        monkeypatch.setenv(name, text)
    found = Account(running)
    found.reset()
    yield found


@pytest.fixture
def front(account: Account) -> Iterator[tuple[Gateway, Mapping[str, str]]]:
    with gateway(account) as (found, url), balancer(account) as proxy:
        yield found, {"AWS_ENDPOINT_URL": url, "HTTP_PROXY": proxy, "NO_PROXY": "127.0.0.1"}


def machine(folder: Path, account: Account, front: Mapping[str, str]) -> Story:
    """With a home of its own, and credentials; what it has besides stands in its folder."""
    folder.mkdir()
    said = {name: text for name, text in account.environ.items() if not name.startswith(("AWS_ENDPOINT", "ECR"))}
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return Story(folder, Path(sys.executable), {**kept, **said, **front, "MLSHIP_HOME": str(folder / "home")})


def built(there: Story, account: Account, version: int) -> str:
    """The content id of an image of churn, as a build would have left it."""
    home = Home(there.folder / "home")
    image = image_of(Layout(home.images), (100,), seed=version)
    account.versions[image.content], account.broken[image.content] = version, ""
    model = RecordedModel(
        *("churn", "sklearn", "Pipeline", "model.joblib", 13, f"{version:064x}"),
        sample=({"age": 30},),
        answers={"predictions": [version]},
        tolerance={"rtol": 1e-6, "atol": 1e-9},
    )
    record = BuildRecord(f"inputs-{version}", image.content, "churn", "linux/amd64", 0.0, "0.1.0", (model,))
    BuildRecords(home.images).write(record)
    return image.content


@pytest.fixture
def here(tmp_path: Path, account: Account, front: tuple[Gateway, Mapping[str, str]]) -> Story:
    found = machine(tmp_path / "here", account, front[1])
    found.write("mlship.yaml", YAML)
    found.write("model.joblib", "not read here")
    return found


def test_the_whole_way(tmp_path: Path, account: Account, front: tuple[Gateway, Mapping[str, str]], here: Story) -> None:
    first, second = built(here, account, 1), built(here, account, 2)
    one = here.mlship("deploy", "--env", "prod", "--image", first, "--yes")
    assert one["verify"]["predictions"] == 1 and one["endpoint"].startswith("http://")
    assert here.mlship("deploy", "--env", "prod", "--image", first, "--yes")["unchanged"] is True
    two = here.mlship("deploy", "--env", "prod", "--image", second, "--yes")
    assert two["release"]["content"] == second and {copy.content for copy in account.copies.values()} == {second}

    there = machine(tmp_path / "there", account, front[1])  # no checkout, no build, nothing but credentials
    words = ("churn", "--target", "aws", "--region", REGION, "--env", "prod")
    back = there.mlship("rollback", *words, "--yes")
    assert back["release"]["content"] == first and {copy.content for copy in account.copies.values()} == {first}
    assert there.mlship("status", *words)["serving"] == one["release"]["id"]
    assert [entry["action"] for entry in there.mlship("history", *words)["entries"]] == ["deploy", "deploy", "rollback"]
    (row,) = there.mlship("list", "--target", "aws", "--region", REGION)["services"]
    assert (row["project"], row["environment"], row["live"], row["ready"]) == ("churn", "prod", one["release"]["id"], True)
    assert there.mlship("destroy", *words, "--yes")["stays"] == [f"bucket mlship-{ACCOUNT}-{REGION}"]
    assert there.mlship("list", "--target", "aws", "--region", REGION)["services"] == [] and not account.copies


def test_the_wrong_account_is_refused_before_anything_is_changed(
    account: Account, front: tuple[Gateway, Mapping[str, str]], here: Story
) -> None:
    said = here.refused("deploy", "--env", "elsewhere", "--image", built(here, account, 1), "--yes", exit=8)
    assert "these credentials are of the account 123456789012, and targets.aws.account is 999999999999" in said
    assert not [asked for asked in front[0].asked if "create" in asked or "put" in asked]


def test_a_canary_that_is_killed_goes_on_when_the_command_runs_again(
    account: Account, front: tuple[Gateway, Mapping[str, str]], here: Story
) -> None:
    first, second = built(here, account, 1), built(here, account, 2)
    here.mlship("deploy", "--env", "changed", "--image", first, "--yes")
    words = ["deploy", "--env", "changed", "--image", second, "--yes"]
    running = subprocess.Popen([*here.command, *words], cwd=here.folder, env=dict(here.environ), stderr=subprocess.DEVNULL)
    front[0].heard = lambda asked: running.kill() if asked == "elasticloadbalancing modify_rule" else None
    assert running.wait() == -signal.SIGKILL
    front[0].heard = lambda asked: None
    shares = here.mlship("status", "--env", "changed")
    give_lease_back(account, "changed")
    done = here.mlship(*words)
    assert done["release"]["content"] == second and shares["serving"]
    assert {copy.content for copy in account.copies.values()} == {second}


def give_lease_back(account: Account, environment: str) -> None:
    """As if its time were over."""
    place = {"Bucket": f"mlship-{ACCOUNT}-{REGION}", "Key": f"mlship/churn/{environment}/lease.json"}
    lease = json.loads(account.client("s3").get_object(**place)["Body"].read())
    account.client("s3").put_object(**place, Body=json.dumps({**lease, "expires": 0.0}).encode())
