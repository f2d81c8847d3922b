"""What is rendered for Cloud Run: the bodies that are sent, and the same for gcloud, field by field."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

sys.path.insert(0, str(Path(__file__).parents[1]))

from cloud_deployment import deployment
from cloud_run_cases import CASES, COMPANY

from mlship.errors import MlshipError
from mlship.targets.base import Strategy
from mlship.targets.gcp.cloud_run import bodies
from mlship.targets.gcp.cloud_run.checks import _subnet, in_documents, quotas
from mlship.targets.gcp.cloud_run.rendering import render
from mlship.targets.gcp.cloud_run.seen import Seen
from mlship.targets.gcp.cloud_run.steps import _untaken
from mlship.targets.gcp.door import refusal
from mlship.targets.gcp.scope import Scope, impossible_labels

RUN = "run.googleapis.com"


@pytest.mark.parametrize("case", CASES)
def test_both_folders_describe_the_same_end_state(case: str) -> None:
    rendered = render(CASES[case])
    created = json.loads(rendered["apply/service/1-create-service.json"])
    ejected = yaml.safe_load(rendered["eject/service.yaml"])
    assert ejected["metadata"]["name"] == created["serviceId"]
    assert as_run_v2(ejected) == without_nothing(created["service"])


@pytest.mark.parametrize("case", CASES)
def test_a_later_release_ends_as_the_first_one_begins(case: str) -> None:
    rendered = render(CASES[case])
    created = json.loads(rendered["apply/service/1-create-service.json"])["service"]
    staged = json.loads(rendered["apply/service/2-stage.json"])
    shifted = json.loads(rendered["apply/service/3-shift.json"])
    assert {**staged["service"], **shifted["service"]} == {
        **created,
        "name": shifted["service"]["name"],
        "etag": "${Etag}",
    }
    assert set(staged["updateMask"].split(",")) == {"template", "traffic", *({"launchStage"} & set(created))}
    assert [one["percent"] for one in staged["service"]["traffic"]] == [100, 0]
    assert set(shifted["updateMask"].split(",")) == {"traffic", *bodies.OPERATED}


def test_a_revision_is_what_the_release_says() -> None:
    made = bodies.template(CASES["a company's"])
    (container,) = made["containers"]
    assert made["revision"].startswith("mlship-churn-r1-") and made["serviceAccount"] == COMPANY["service_account"]
    assert container["resources"] == {"limits": {"cpu": "1", "memory": "2048Mi"}, "cpuIdle": True}
    said = {one["name"]: one.get("value", one.get("valueSource")) for one in container["env"]}
    assert said["CHURN_KEYS"] == {"secretKeyRef": {"secret": "churn-keys", "version": "3"}}
    assert said["MLSHIP_OPERATOR_KEY"] == {"secretKeyRef": {"secret": "mlship-churn-operator", "version": "1"}}
    assert said["ODD"] == "${Image}\n- no" and said["MLSHIP_DRAIN_TIMEOUT_S"] == "8" and "PORT" not in said


def test_sizes_and_gpus_bring_what_they_need() -> None:
    gpu = bodies.template(CASES["a GPU"])
    assert gpu["containers"][0]["resources"]["limits"] == {"cpu": "20", "memory": "81920Mi", "nvidia.com/gpu": "1"}
    assert gpu["nodeSelector"] == {"accelerator": "nvidia-rtx-pro-6000"} and not gpu["containers"][0]["resources"]["cpuIdle"]
    assert bodies.service(CASES["a GPU"])["launchStage"] == "BETA", "Google calls it a preview"
    assert "launchStage" not in bodies.service(deployment("gcp", "cloud-run", gpu=1, billing="instance"))
    small = bodies.template(CASES["less than a processor"])
    assert small["containers"][0]["resources"]["limits"] == {"cpu": "250m", "memory": "512Mi"}
    assert small["maxInstanceRequestConcurrency"] == 1 and small["executionEnvironment"] == "EXECUTION_ENVIRONMENT_GEN1"


def test_an_instance_takes_as_many_requests_as_a_replica_should_carry() -> None:
    plain = CASES["as it comes"]
    assert bodies.concurrency(plain) == 80
    said = replace(plain, operating={"scale": {"metric": "concurrency", "per_replica": 7.5}})
    assert bodies.concurrency(said) == 8
    assert bodies.concurrency(replace(plain, operating={"concurrency": 37})) == 37, "as bench measured"
    assert bodies.concurrency(replace(said, operating={**said.operating, "concurrency": 37})) == 8


def test_a_split_that_does_not_add_up_is_refused() -> None:
    with pytest.raises(MlshipError, match=r"the shares .* do not add up to 100 %"):
        bodies.traffic({"mlship-churn-r1-7f3a9c": 60, "mlship-churn-r2-7f3a9d": 30}, Scope("churn"))


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a step that is no whole percent": (
        {"strategy": Strategy("canary", steps=(0.025, 1.0))},
        "Cloud Run shares callers by whole percents, and 2.5 % is none",
    ),
    "stopping the old copies first": (
        {"strategy": Strategy("recreate")},
        "rollout.strategy recreate: revisions of Cloud Run stand side by side, and none is stopped for another",
    ),
    "a bake that ends before anything is counted": (
        {"strategy": Strategy("canary", steps=(0.5, 1.0), bake_s=60, gates=("p95_ms < 40",))},
        "rollout.bake is 60 s, and what Cloud Run has counted is known 180 s later",
    ),
    "a start that takes longer than Cloud Run waits": (
        {"startup_timeout_s": 300.0},
        "serve.startup_timeout is 300 s, and Cloud Run waits 240 s at most",
    ),
    "requests that take longer than Cloud Run lets them": (
        {"request_timeout_s": 4000.0},
        "serve.request_timeout is 4000 s, and a request of Cloud Run ends after 3600 s",
    ),
    "an accelerator that there is not": (
        {"settings": {"region": "us-central1", "accelerator": "nvidia-h100"}},
        "Cloud Run has no accelerator nvidia-h100",
    ),
    "an address that is reached from within alone": (
        {"settings": {"region": "us-central1", "ingress": "load-balancer"}},
        "targets.gcp.ingress load-balancer: mlship asks each release at an address that only its network reaches",
    ),
    "two ways to private addresses": (
        {"settings": {"region": "us-central1", "vpc_connector": "ml", "network": "prod"}},
        "targets.gcp.vpc_connector and targets.gcp.network are two ways to the same addresses, and Cloud Run takes one",
    ),
    "open to the internet, and closed to it": (
        {"operating": {"public": True}, "settings": {"region": "us-central1", "ingress": "internal"}},
        "public: true, and targets.gcp.ingress: internal lets nobody in from the internet",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cloud_run_cannot_do_is_refused_by_name(case: str) -> None:
    changes, what = REFUSED[case]
    found = list(in_documents(replace(CASES["as it comes"], **changes)))
    assert [finding.what for finding in found] == [what]
    assert all(finding.fix for finding in found)


class Computes:
    """A door to Compute Engine that knows one subnet, or none."""

    project, region = "acme-ml", "us-central1"

    def __init__(self, cidr: str = "") -> None:
        self.cidr, self.urls = cidr, []

    def http(self, method: str, url: str, *more: Any, **also: Any) -> dict[str, Any]:
        self.urls.append(url)
        if not self.cidr:
            raise refusal("GET compute", "NOT_FOUND", "there is none")
        return {"ipCidrRange": self.cidr}


@pytest.mark.parametrize(
    ("settings", "cidr", "name", "said"),
    [
        ({"network": "prod", "subnet": "serving"}, "10.0.0.0/24", "serving", []),
        ({"network": "prod"}, "10.0.0.0/27", "prod", ["the subnet {} is a /27, and Cloud Run takes none smaller than /26"]),
        (
            {"subnet": "serving"},
            "",
            "serving",
            ["there is no subnet {}, and instances of us-central1 have no address without one"],
        ),
    ],
)
def test_the_subnet_of_its_instances_is_looked_at(settings: dict[str, str], cidr: str, name: str, said: list[str]) -> None:
    door, whole = Computes(cidr), f"projects/acme-ml/regions/us-central1/subnetworks/{name}"
    found = list(_subnet(door, deployment("gcp", "cloud-run", **settings)))
    assert [finding.what for finding in found] == [one.format(whole) for one in said]
    assert door.urls == [f"https://compute.googleapis.com/compute/v1/{whole}"]


def test_bodies_that_never_come_as_far_as_the_server_are_named() -> None:
    plain = CASES["as it comes"]
    served = replace(plain.release.served, serving={"max_body": 64 * 2**20})
    large = replace(plain, release=replace(plain.release, served=served))
    assert not list(in_documents(large)), "what the file does not say is the server's own"
    (found,) = in_documents(replace(large, places={"serve.max_body": "mlship.yaml:9"}))
    assert found.severity == "warning" and found.where == "mlship.yaml:9"
    assert found.what == "serve.max_body is 67 MB, and Cloud Run lets no request of more than 34 MB through"


def test_who_is_let_in_is_not_told_of_a_service_without_an_active_revision() -> None:
    wanted = bodies.operated(CASES["for a load balancer"])
    plain = {name: said for name, said in wanted.items() if name != "ingress"}
    assert _untaken(Seen("", "", 1, (), body=plain), wanted) == []
    assert _untaken(Seen("", "", 1, (), body={**wanted, "ingress": "INGRESS_TRAFFIC_ALL"}), wanted) == ["ingress"]
    assert _untaken(Seen("", "", 1, (), body={**plain, "scaling": {}}), wanted) == ["scaling"]


def test_a_request_may_take_as_long_as_cloud_run_waits() -> None:
    assert bodies.timeout_s(replace(CASES["as it comes"], request_timeout_s=3600.0)) == 3600


def test_spot_is_refused_with_the_reason_and_what_there_is_instead() -> None:
    with pytest.raises(MlshipError) as no:
        render(deployment("gcp", "cloud-run", profile="spot"))
    (said,) = [finding for finding in no.value.findings if finding.severity == "error"]
    assert said.what == "spot is not possible with gcp service cloud-run: Cloud Run has no spot"
    assert said.fix == "use service vertex, vm, or target kubernetes, or cost.profile: on-demand"


def test_labels_that_google_does_not_take_are_refused() -> None:
    said = replace(CASES["as it comes"], labels={"cost.centre": "42", "team": "Growth", "ok": "fine"})
    assert [finding.what for finding in impossible_labels(said)] == [
        "Google Cloud takes no label cost.centre: 42",
        "Google Cloud takes no label team: Growth",
    ]


def test_quotas_are_for_the_most_instances() -> None:
    said = {quota.metric.rpartition("/")[2]: quota.needed for quota in quotas(CASES["billed all the while"])}
    assert said == {"cpu_allocation": 80_000, "mem_allocation": 9 * 2**30 * 20}


def test_a_secret_that_nobody_named_for_google_is_refused() -> None:
    made = CASES["a company's"]
    with pytest.raises(MlshipError, match="nothing says where the secret CHURN_KEYS is at Google Cloud"):
        render(replace(made, references={}))


def test_names_stay_within_what_a_tag_and_its_service_may_have() -> None:
    scope = Scope("a" * 40, "staging-of-the-team")
    assert len(scope.stem) <= 32 and len(scope.stem) + len("r12345-7f3a9c") <= 46
    assert scope.release_of(scope.named("r2-7f3a9c", 3)) == "r2-7f3a9c" and scope.attempt_of(scope.named("r2-7f3a9c", 3)) == 3
    assert Scope("churn").release_of("mlship-churn--prod-r2-7f3a9c") == ""


def without_nothing(said: Any) -> Any:
    """What is false or 0 is the same as what is not said (proto3); the shares of callers are not."""
    if isinstance(said, dict):
        found = {key: without_nothing(one) for key, one in said.items()}
        return {key: one for key, one in found.items() if one or key == "percent"}
    return [without_nothing(one) for one in said] if isinstance(said, list) else said


def as_run_v2(ejected: Mapping[str, Any]) -> Any:
    """What Google makes of a Knative service in its own second version: annotations become fields."""
    assert (ejected["apiVersion"], ejected["kind"]) == ("serving.knative.dev/v1", "Service")
    at, template = dict(ejected["metadata"]["annotations"]), ejected["spec"]["template"]
    of, spec = dict(template["metadata"]["annotations"]), template["spec"]
    known = dict(one.split(":", 1) for one in of.pop(f"{RUN}/secrets", "").split(",") if one)
    (container,) = spec["containers"]
    resources = {"limits": container["resources"]["limits"], "cpuIdle": of.pop(f"{RUN}/cpu-throttling") == "true"}
    resources["startupCpuBoost"] = of.pop(f"{RUN}/startup-cpu-boost") == "true"
    made: dict[str, Any] = {
        "launchStage": at.pop(f"{RUN}/launch-stage", None),
        "labels": ejected["metadata"]["labels"],
        "ingress": {
            "all": "INGRESS_TRAFFIC_ALL",
            "internal": "INGRESS_TRAFFIC_INTERNAL_ONLY",
            "internal-and-cloud-load-balancing": "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER",
        }[at.pop(f"{RUN}/ingress")],
        "invokerIamDisabled": at.pop(f"{RUN}/invoker-iam-disabled") == "true",
        "scaling": {"minInstanceCount": int(at.pop(f"{RUN}/minScale")), "maxInstanceCount": int(at.pop(f"{RUN}/maxScale"))},
        "traffic": [
            {
                "type": "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION",
                "revision": one["revisionName"],
                "percent": one["percent"],
                "tag": one["tag"],
            }
            for one in ejected["spec"]["traffic"]
        ],
        "template": {
            "revision": template["metadata"]["name"],
            "labels": template["metadata"]["labels"],
            "timeout": f"{spec['timeoutSeconds']}s",
            "executionEnvironment": f"EXECUTION_ENVIRONMENT_{of.pop(f'{RUN}/execution-environment').upper()}",
            "maxInstanceRequestConcurrency": spec["containerConcurrency"],
            "serviceAccount": spec.get("serviceAccountName"),
            "vpcAccess": {
                "connector": of.pop(f"{RUN}/vpc-access-connector", None),
                "networkInterfaces": json.loads(of.pop(f"{RUN}/network-interfaces", "[]")),
                "egress": of.pop(f"{RUN}/vpc-access-egress", "").upper().replace("-", "_"),
            },
            "nodeSelector": {"accelerator": spec.get("nodeSelector", {}).get(f"{RUN}/accelerator")},
            "gpuZonalRedundancyDisabled": of.pop(f"{RUN}/gpu-zonal-redundancy-disabled", "") == "true",
            "containers": [
                {
                    **{name: container[name] for name in ("name", "image", "ports", "startupProbe", "livenessProbe")},
                    "env": [_variable(one, known) for one in container["env"]],
                    "resources": resources,
                }
            ],
            "annotations": of,
        },
    }
    assert not at, f"annotations that nobody knows: {at}"
    assert not any(RUN in name for name in of), f"annotations that nobody knows: {of}"
    return without_nothing(made)


def _variable(one: Mapping[str, Any], known: Mapping[str, str]) -> dict[str, Any]:
    if "value" in one:
        return dict(one)
    said = one["valueFrom"]["secretKeyRef"]
    source = {"secretKeyRef": {"secret": known.get(said["name"], said["name"]), "version": said["key"]}}
    return {"name": one["name"], "valueSource": source}
