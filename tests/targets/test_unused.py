"""Keys of a cloud's section that the chosen service has no use for are said, and never ignored silently."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import get_args, get_type_hints

import pytest
from cloud_deployment import deployment

from mlship.config.load import load_project
from mlship.config.schema import Targets
from mlship.targets.base import Strategy
from mlship.targets.priced import priced
from mlship.targets.unused import _OF_OTHERS, unused_keys


def said(target: str, section: str) -> list[str]:
    text = f"name: churn\nmodel: model.joblib\ntarget: {target}\ntargets: {{{target}: {{{section}}}}}\n"
    project = load_project(Path("mlship.yaml"), text=text)
    service = getattr(project.targets, target).service
    found = unused_keys({key: project.at(key) for key in project.positions}, target, service)
    return [f"{finding.severity} {finding}" for finding in found]


def test_a_key_of_another_service_is_warned_of_at_its_place() -> None:
    assert said("aws", "service: lambda, instance: ml.m5.large") == [
        "warning mlship.yaml:4:34 targets.aws.instance  targets.aws.instance has no effect: "
        "it is of sagemaker and vm, and the service is lambda; leave it out, or use service sagemaker"
    ]
    assert said("gcp", "region: europe-west1, billing: instance") == []


@pytest.mark.parametrize("key", ["entra: {client_id: a, tenant: b}", "subnet: /subscriptions/a"])
def test_a_key_that_would_have_kept_callers_out_is_an_error(key: str) -> None:
    (found,) = said("azure", f"service: azureml, {key}")
    assert found.startswith("error mlship.yaml:4:") and f"targets.azure.{key.partition(':')[0]} has no effect" in found


def test_all_keys_and_services_of_the_table_are_the_schemas() -> None:
    sections = get_type_hints(Targets)
    for (target, service), keys in _OF_OTHERS.items():
        hints = get_type_hints(sections[target])
        assert service in get_args(hints["service"]) and set(keys) <= set(hints)
        assert all(other in get_args(hints["service"]) for text in keys.values() for other in text.split(" and "))


@pytest.mark.parametrize(("target", "service"), [("azure", "container-apps"), ("gcp", "vertex")])
def test_a_way_of_taking_over_that_a_service_does_not_have_is_refused(target: str, service: str) -> None:
    for name, instead in (("recreate", "blue-green"), ("rolling", "canary")):
        wrong = replace(deployment(target, service, instance="n2-standard-2"), strategy=Strategy(name))
        found = [finding for finding in priced(target).findings(wrong) if "rollout.strategy" in finding.what]
        assert [finding.fix for finding in found] == [f"write rollout.strategy: {instead}"]
