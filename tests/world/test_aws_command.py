"""The unmodified command against an account of AWS: the whole way of a service on ECS, each step a process of its own."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("moto", reason="no moto: pip install 'moto[server]'")
pytest.importorskip("ministack", reason="no ministack: pip install ministack")

import aws_permissions
import ecr_standin
from aws_account import ACCOUNT, REGION, Account, emulators
from aws_gateway import Gateway
from aws_machine import YAML, built, fronted, machine
from story import Story

from mlship.oci.referrers import fallback_tag
from mlship.oci.registry.artifact import fetch_artifact
from mlship.oci.registry.client import Registry
from mlship.oci.registry.credentials import nobody
from mlship.oci.registry.pull import read_document
from mlship.oci.registry.reference import Reference
from mlship.releases.records import history_from_json
from mlship.releases.release_record import ARTIFACT_TYPE, ReleaseRecord, record_from_json, record_of

pytestmark = pytest.mark.world
BUCKET, REPOSITORY, TAG = f"mlship-{ACCOUNT}-{REGION}", "mlship/churn/prod", "mlship-churn--prod_"


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
    with fronted(account) as found:
        yield found


@pytest.fixture
def here(tmp_path: Path, account: Account, front: tuple[Gateway, Mapping[str, str]]) -> Story:
    found = machine(tmp_path / "here", account, front[1])
    found.write("mlship.yaml", YAML)
    found.write("model.joblib", "not read here")
    return found


def beside(registry: str, release: str) -> ReleaseRecord:
    """The record that a list of the image's referrers leads to, as any other tool would find it: docker-registry has no such list of its
    own, so that is the fallback tag's.
    """
    with Registry(registry, os.environ, nobody) as asked:
        place = Reference(registry, REPOSITORY)
        manifest = json.loads(read_document(asked, replace(place, tag=TAG + release)).content)
        index = json.loads(read_document(asked, replace(place, tag=fallback_tag(manifest["subject"]["digest"]))).content)
        (entry,) = [one for one in index["manifests"] if one["annotations"]["mlship.release"] == release]
        assert (entry["artifactType"], entry["annotations"]["mlship.env"]) == (ARTIFACT_TYPE, "prod")
        return record_from_json(fetch_artifact(asked, place.at(entry["digest"]), ARTIFACT_TYPE), release)


def of_history(account: Account, release: str) -> ReleaseRecord:
    kept = account.client("s3").get_object(Bucket=BUCKET, Key="mlship/churn/prod/history.json")["Body"].read()
    history = history_from_json(kept, "S3")
    return record_of(history, history.find(release))


def test_the_whole_way(tmp_path: Path, account: Account, front: tuple[Gateway, Mapping[str, str]], here: Story) -> None:
    first, second = built(here, account, 1), built(here, account, 2)
    one = here.mlship("deploy", "--env", "prod", "--image", first, "--yes")
    assert one["verify"]["predictions"] == 1 and one["endpoint"].startswith("http://")
    assert here.mlship("deploy", "--env", "prod", "--image", first, "--yes")["unchanged"] is True
    two = here.mlship("deploy", "--env", "prod", "--image", second, "--yes")
    assert two["release"]["content"] == second and {copy.content for copy in account.copies.values()} == {second}
    releases = [one["release"]["id"], two["release"]["id"]]
    registry = account.environ["ECR_DATA_PLANE"]
    assert here.mlship("history", "--env", "prod")["artifacts"] == {of: f"{REPOSITORY}:{TAG}{of}" for of in releases}
    for of in releases:
        assert beside(registry, of) == of_history(account, of), "what lies beside the image is what the history says"
    ecr_standin.take_away(registry, REPOSITORY, TAG + releases[1])  # as a kill right after the commit leaves it
    assert here.mlship("deploy", "--env", "prod", "--image", second, "--yes")["unchanged"] is True
    assert beside(registry, releases[1]) == of_history(account, releases[1])

    here.write("mlship.yaml", YAML.replace("aws: {region", "aws: {service: lambda, region"))
    said = here.refused("plan", "--env", "prod", "--image", first)
    assert "churn runs on aws service ecs, and lambda is wanted: that is a replacement" in said

    there = machine(tmp_path / "there", account, front[1])  # no checkout, no build, nothing but credentials
    words = ("churn", "--target", "aws", "--region", REGION, "--env", "prod")
    for name in ("history.json", "lease.json"):
        account.client("s3").delete_object(Bucket=BUCKET, Key=f"mlship/churn/prod/{name}")
    here.write("mlship.yaml", YAML)
    for command in (("deploy", "--env", "prod", "--image", first, "--yes"), ("status", "--env", "prod")):
        said = here.refused(*command)
        assert "the history of churn prod is gone" in said and f"--env prod --region {REGION} --recover makes it" in said
    (row,) = there.mlship("list", "--target", "aws", "--region", REGION, exit=2)["services"]
    assert (row["live"], row["ready"], row["exit"]) == ("", False, 2) and "the history of churn prod is gone" in row["wrong"]
    assert row["fix"].startswith(f"mlship history churn --target aws --env prod --region {REGION} --recover makes it again")
    again = there.mlship("history", *words, "--recover")
    assert (again["live"], again["undo"]) == (releases[1], releases[0]) and again["entries"][-1]["why"].startswith("recovered")
    assert "is there: generation 3" in there.refused("history", *words, "--recover")

    back = there.mlship("rollback", *words, "--yes")
    assert back["release"]["content"] == first and {copy.content for copy in account.copies.values()} == {first}
    assert there.mlship("status", *words)["serving"] == one["release"]["id"]
    assert [entry["action"] for entry in there.mlship("history", *words)["entries"]] == [
        *("deploy", "deploy", "recover", "rollback"),
    ]
    assert beside(registry, releases[1]) == of_history(account, releases[1]), "it is rejected now"
    (row,) = there.mlship("list", "--target", "aws", "--region", REGION)["services"]
    assert (row["project"], row["environment"], row["live"], row["ready"]) == ("churn", "prod", one["release"]["id"], True)
    assert there.mlship("destroy", *words, "--yes")["stays"] == [f"bucket {BUCKET}"]
    assert there.mlship("list", "--target", "aws", "--region", REGION)["services"] == [] and not account.copies


def test_the_wrong_account_is_refused_before_anything_is_changed(
    account: Account, front: tuple[Gateway, Mapping[str, str]], here: Story
) -> None:
    said = here.refused("deploy", "--env", "elsewhere", "--image", built(here, account, 1), "--yes", exit=8)
    assert "these credentials are of the account 123456789012, and targets.aws.account is 999999999999" in said
    assert not [asked for asked in front[0].asked if "create" in asked or "put" in asked]


def test_what_iam_denies_is_said_before_anything_is_changed(
    account: Account, front: tuple[Gateway, Mapping[str, str]], here: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aws_permissions, "DENIED", {"ecs:UpdateService"})
    said = here.refused("plan", "--image", built(here, account, 1), exit=8)
    assert "may not: ecs:UpdateService" in said
    assert not [asked for asked in front[0].asked if "create" in asked or "put" in asked]
