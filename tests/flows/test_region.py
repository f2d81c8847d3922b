"""The region of a cloud: said by the file, by --region where the file is silent or not there, or by the environment."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from fake_project import made_context

from mlship.errors import MlshipError
from mlship.flows.command_line import command_for
from mlship.flows.context import Context, Where
from mlship.flows.fitting import platform_of
from mlship.flows.loading import project_of, region_here, with_region
from mlship.flows.opening import history_or_error, open_project, opened

SILENT = "name: churn\nmodel: model.joblib\ntarget: aws\n"
SAID = SILENT + "targets: {aws: {region: eu-west-1}}\n"


def at(context: Context, **environ: str) -> Context:
    return replace(context, environ=environ)


def test_the_command_line_says_what_the_file_does_not(tmp_path: Path) -> None:
    context = made_context(tmp_path, SILENT)
    assert project_of(context, Where(region="us-east-1")).targets.aws.region == "us-east-1"
    assert project_of(context, Where()).targets.aws.region is None


def test_two_regions_are_refused_at_the_files_place(tmp_path: Path) -> None:
    context = made_context(tmp_path, SAID)
    assert project_of(context, Where(region="eu-west-1")).targets.aws.region == "eu-west-1"
    with pytest.raises(MlshipError) as raised:
        project_of(context, Where(region="us-east-1"))
    assert str(raised.value) == (
        "mlship.yaml:4:17 targets.aws.region  --region is us-east-1, and targets.aws.region is eu-west-1; "
        "leave --region out, or write an environment of its own for that region"
    )


@pytest.mark.parametrize(("target", "region"), [("aws", "Frankfurt"), ("gcp", "eu-west-1"), ("azure", "West Europe")])
def test_what_is_no_region_of_a_cloud_is_refused_before_it_is_asked(tmp_path: Path, target: str, region: str) -> None:
    with pytest.raises(MlshipError, match=f"--region  {region} is not a region of "):
        project_of(made_context(tmp_path, SILENT), Where(target=target, region=region))
    variable = {"aws": "AWS_REGION", "gcp": "CLOUDSDK_RUN_REGION", "azure": "AZURE_DEFAULTS_LOCATION"}[target]
    with pytest.raises(MlshipError, match=f"{variable}  {region} is not a region of "):
        opened(at(made_context(tmp_path), **{variable: region}), Where(name="other", target=target))


def test_a_target_without_regions_takes_none(tmp_path: Path) -> None:
    with pytest.raises(MlshipError, match="the target local has no region"):
        project_of(made_context(tmp_path, SILENT), Where(target="local", region="us-east-1"))


def test_the_environment_counts_last_and_for_deploys_alone(tmp_path: Path) -> None:
    silent = at(made_context(tmp_path, SILENT), AWS_REGION="us-west-2")
    assert project_of(silent, Where()).targets.aws.region is None
    assert with_region(silent, project_of(silent, Where())).targets.aws.region == "us-west-2"
    said = at(made_context(tmp_path, SAID), AWS_REGION="us-west-2")
    assert with_region(said, project_of(said, Where())).targets.aws.region == "eu-west-1"
    assert region_here(at(silent, CLOUDSDK_COMPUTE_REGION="europe-west1"), "gcp") == "europe-west1"


def test_without_a_file_the_region_is_in_every_line_to_paste(tmp_path: Path) -> None:
    context = made_context(tmp_path)
    place = opened(context, Where(name="other", target="fake", environment="prod", region="eu-west-1"))
    assert place.command("rollback") == "mlship rollback other --target fake --env prod --region eu-west-1"
    assert command_for("status", "churn", "aws", "") == "mlship status churn --target aws"
    with pytest.raises(MlshipError) as raised:
        history_or_error(place, None)
    assert raised.value.fix == "mlship list --target fake --region eu-west-1 shows what is there; mlship deploy puts it there"


@pytest.mark.parametrize(
    ("build", "platform"),
    [
        ("", "linux/amd64"),
        ("build: {platforms: [linux/arm64]}\n", "linux/arm64"),
        ("build: {platforms: [linux/amd64]}\n", "linux/amd64"),
    ],
)
def test_a_cloud_takes_the_image_of_its_processors(tmp_path: Path, build: str, platform: str) -> None:
    context = made_context(tmp_path, SAID + build)
    assert platform_of(open_project(context, project_of(context, Where()))) == platform
