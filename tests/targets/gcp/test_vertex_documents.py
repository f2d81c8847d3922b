"""What is rendered for Vertex AI, what is refused there, and how callers and machines are counted."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from cloud_deployment import deployment

from mlship.errors import MlshipError
from mlship.releases.release import ServedModel
from mlship.targets.base import Answer, Deployment, Request, Strategy
from mlship.targets.gcp.door import refusal
from mlship.targets.gcp.vertex import bodies, checks
from mlship.targets.gcp.vertex.asking import ANSWERED_BY, ask, ask_one
from mlship.targets.gcp.vertex.fleet import _same_machine
from mlship.targets.gcp.vertex.machines import Accelerator, accelerator, counted
from mlship.targets.gcp.vertex.rendering import render
from mlship.targets.gcp.vertex.seen import Deployed, Endpoint, split_of

N2 = "n2-standard-2"


def vertex(**changes: Any) -> Deployment:
    settings = {"service": "vertex", "instance": N2, **changes.pop("settings", {})}
    made = deployment("gcp", settings.pop("service"), places=("targets.gcp", "scale.replicas"), **settings)
    return replace(made, **changes)


def commands(rendered: dict[str, bytes]) -> list[list[str]]:
    lines = rendered["eject/deploy.sh"].decode().splitlines()
    return [shlex.split(line) for line in lines if line.startswith("gcloud ai ")]


def flags(words: list[str]) -> dict[str, str]:
    return {name.removeprefix("--"): text for name, _, text in (word.partition("=") for word in words if word.startswith("--"))}


def test_both_folders_deploy_the_same_models() -> None:
    made = vertex(
        settings={
            "instance": "g2-standard-4",
            "reservation": "us-central1-a/ml-gpus",
            "service_account": "churn@acme-ml.iam.gserviceaccount.com",
        },
        operating={"cost": {"profile": "spot", "on_demand_base": 2}, "scale": {"metric": "gpu", "per_replica": 70}},
        replicas=(5, 9),
    )
    rendered = render(made)
    _, *deploys = commands(rendered)
    for kind, words in zip(("on-demand", "spot"), deploys, strict=True):
        sent = json.loads(rendered[f"apply/4-deploy-{kind}.json"])["deployedModel"]
        resources, said = sent["dedicatedResources"], flags(words)
        machine = resources["machineSpec"]
        assert words[:5] == ["gcloud", "ai", "endpoints", "deploy-model", "mlship-churn"]
        assert said["model"] == sent["model"].rpartition("/")[2] and said["display-name"] == sent["displayName"]
        assert said["machine-type"] == machine["machineType"]
        assert (said["min-replica-count"], said["max-replica-count"]) == tuple(
            str(resources[name]) for name in ("minReplicaCount", "maxReplicaCount")
        )
        assert said["accelerator"] == "count=1,type=nvidia-l4" and machine["acceleratorType"] == "NVIDIA_L4"
        assert said["service-account"] == sent["serviceAccount"]
        assert ("spot" in said, "autoscaling-metric-specs" in said) == (resources.get("spot", False), kind == "spot")
        assert ("reservation-affinity" in said) == ("reservationAffinity" in machine) == (kind == "on-demand")
    on_demand, spot = (flags(words) for words in deploys)
    assert spot["autoscaling-metric-specs"] == "gpu-duty-cycle=70", "how many are on demand is fixed"
    reserved = "zones/us-central1-a/reservations/ml-gpus"
    assert on_demand["reservation-affinity"].endswith(f"values=projects/$PROJECT/{reserved}")
    shares = json.loads(rendered["apply/5-split.json"])["endpoint"]["trafficSplit"]
    assert shares == {"${OnDemand}": 40, "${Spot}": 60}
    assert flags(deploys[1])["traffic-split"] == "1=40,0=60" and "traffic-split" not in flags(deploys[0])


def test_the_model_is_posted_as_it_is_sent() -> None:
    rendered = render(vertex())
    sent = json.loads(rendered["apply/1-upload-model.json"])
    assert {"parent": sent["parent"], **json.loads(rendered["eject/model.json"])} == sent
    said = sent["model"]["containerSpec"]
    assert said["startupProbe"]["failureThreshold"] * said["startupProbe"]["periodSeconds"] >= 60
    assert sent["model"]["versionAliases"] == [sent["model"]["containerSpec"]["env"][0]["value"]]


def test_requests_a_second_are_told_by_the_minute_and_posted() -> None:
    rendered = render(vertex(operating={"scale": {"metric": "rps", "per_replica": 2.5}}, replicas=(1, 4)))
    sent = json.loads(rendered["apply/4-deploy-on-demand.json"])["deployedModel"]
    (spec,) = sent["dedicatedResources"]["autoscalingMetricSpecs"]
    assert spec == {"metricName": "aiplatform.googleapis.com/prediction/online/request_count", "target": 150}
    posted = json.loads(rendered["eject/deploy-on-demand.json"])
    assert posted == {"deployedModel": {"id": "1", **sent}, "trafficSplit": {"0": 100}}
    assert b"post endpoints/mlship-churn:deployModel deploy-on-demand.json" in rendered["eject/deploy.sh"]


@pytest.mark.parametrize(
    ("instance", "scale", "targets"),
    [
        (N2, {"metric": "concurrency"}, {"cpu": 60}),
        ("g2-standard-4", {"metric": "concurrency"}, {"cpu": 60, "gpu": 60}),
        (N2, {"metric": "cpu"}, {"cpu": 60}),
        (N2, {"metric": "cpu", "per_replica": 45.5}, {"cpu": 46}),
        ("g2-standard-4", {"metric": "gpu", "per_replica": 80}, {"gpu": 80}),
        (N2, {"metric": "rps", "per_replica": 0.01}, {"rps": 1}),
    ],
)
def test_what_more_replicas_follow_is_said_in_full(instance: str, scale: dict[str, Any], targets: dict[str, int]) -> None:
    (made,) = bodies.deployed_models(
        vertex(settings={"instance": instance}, operating={"scale": scale}, replicas=(1, 4))
    ).values()
    told = {spec["metricName"]: spec["target"] for spec in made["dedicatedResources"]["autoscalingMetricSpecs"]}
    assert told == {bodies.METRICS[name]: target for name, target in targets.items()}


@pytest.mark.parametrize("said", ["us-central1-a/ml-gpus", "projects/acme-ml/zones/us-central1-a/reservations/ml-gpus"])
def test_a_reservation_is_named_whole(said: str) -> None:
    made = bodies.proof_model(vertex(settings={"reservation": said, "project": "acme-ml"}))
    (name,) = made["dedicatedResources"]["machineSpec"]["reservationAffinity"]["values"]
    assert name == "projects/acme-ml/zones/us-central1-a/reservations/ml-gpus"


def test_a_reservation_is_the_same_under_its_projects_number() -> None:
    body = bodies.proof_model(vertex(settings={"reservation": "us-central1-a/ml-gpus", "project": "acme-ml"}))
    machine = body["dedicatedResources"]["machineSpec"]
    affinity = machine["reservationAffinity"]
    other = {**affinity, "values": ["projects/123/zones/us-central1-a/reservations/ml-gpus"]}
    one = Deployed("1", "r1-a", "1", 0.0, {"machineSpec": {**machine, "reservationAffinity": other}})
    assert _same_machine(one, body)
    elsewhere = {**affinity, "values": ["projects/123/zones/us-central1-b/reservations/ml-gpus"]}
    assert not _same_machine(replace(one, resources={"machineSpec": {**machine, "reservationAffinity": elsewhere}}), body)


class Computes:
    """A door to Compute Engine that knows one thing, or nothing."""

    project, region = "acme-ml", "us-central1"

    def __init__(self, told: dict[str, Any] | None) -> None:
        self.told, self.urls = told, []

    def http(self, method: str, url: str, *more: Any, **also: Any) -> dict[str, Any]:
        self.urls.append(url)
        if self.told is None:
            raise refusal("GET compute", "NOT_FOUND", "there is none")
        return self.told


FITS = {
    "reservationSharingPolicy": {"serviceShareType": "ALLOW_ALL"},
    "specificReservation": {"instanceProperties": {"machineType": N2}},
}


@pytest.mark.parametrize(
    ("zone", "told", "said"),
    [
        ("us-central1-a", FITS, ()),
        ("us-east1-b", FITS, ("targets.gcp.reservation ml is in us-east1-b, and the endpoint in us-central1",)),
        ("us-central1-a", None, ("targets.gcp.reservation ml is not there: us-central1-a of acme-ml has none of that name",)),
        (
            "us-central1-a",
            {"specificReservation": {"instanceProperties": {"machineType": "n2-standard-8"}}},
            (
                "targets.gcp.reservation ml is not shared with Google's own services: Vertex AI gets none of its machines",
                "targets.gcp.reservation ml reserves n2-standard-8, and targets.gcp.instance is n2-standard-2",
            ),
        ),
    ],
)
def test_a_reservation_that_vertex_cannot_take_is_refused(
    zone: str, told: dict[str, Any] | None, said: tuple[str, ...]
) -> None:
    door = Computes(told)
    found = list(checks._reservation(door, vertex(settings={"reservation": f"{zone}/ml"})))
    assert tuple(finding.what for finding in found) == said and all(finding.fix for finding in found)
    assert all(url.endswith("v1/projects/acme-ml/zones/us-central1-a/reservations/ml") for url in door.urls)


def test_no_value_of_a_user_is_a_command_or_a_variable() -> None:
    """`$(NAME)` in a variable would be replaced by Vertex AI; a quote in a setting would end the script's word."""
    served = replace(vertex().release.served, env={"ODD": "$(AIP_PROJECT_NUMBER) $HOME", "AIP_HTTP_PORT": "1"})
    made = vertex(settings={"service_account": "a'; touch b; '@x"})
    rendered = render(replace(made, release=replace(made.release, served=served)))
    sent = json.loads(rendered["apply/1-upload-model.json"])["model"]["containerSpec"]["env"]
    assert {"name": "ODD", "value": "$$(AIP_PROJECT_NUMBER) $$HOME"} in sent
    assert not any(one["name"] == "AIP_HTTP_PORT" for one in sent)
    assert flags(commands(rendered)[1])["service-account"] == "a'; touch b; '@x"


def refused() -> Iterator[tuple[Deployment, str]]:
    made = vertex()

    def serving(**changes: Any) -> Deployment:
        return replace(made, release=replace(made.release, served=replace(made.release.served, **changes)))

    yield serving(serving={"auth": {"api_keys": "K"}}), "serve.auth is impossible on Vertex AI"
    yield (
        serving(serving={"protocols": ["native", "v2"]}),
        "serve.protocols is without vertex, and Vertex AI calls /vertex/predict",
    )
    yield serving(secrets={"K": "1"}), "secrets for service vertex are not yet built"
    yield serving(models=(ServedModel("a", "0"), ServedModel("b", "1"))), "one predict route, and 2 models"
    yield vertex(operating={"public": True}), "public: true is impossible on Vertex AI"
    yield vertex(replicas=(0, 2)), "scale.replicas begins at 0"
    yield vertex(operating={"cost": {"profile": "spot", "on_demand_base": 2}}, replicas=(1, 2)), "none is left for spot"

    def scaled(settings: dict[str, str] | None = None, **scale: Any) -> Deployment:
        said = vertex(settings=settings or {}, operating={"scale": scale}, replicas=(1, 2))
        return replace(said, places={**said.places, "scale.metric": "mlship.yaml:9"})

    yield scaled(metric="queue", per_replica=3), "scale.metric queue is impossible on Vertex AI: it scales by cpu, gpu or rps"
    yield scaled(metric="concurrency"), "scale.metric concurrency is impossible on Vertex AI"
    yield scaled(metric="rps"), "scale.metric rps without scale.per_replica"
    yield scaled(metric="gpu"), "scale.metric gpu: n2-standard-2 has no accelerator"
    yield vertex(settings={"network": "default"}), "targets.gcp.network is of Cloud Run"
    yield vertex(operating={"scale": {"metric": "cpu", "per_replica": 300}}), "the target of cpu is a percentage"
    yield vertex(settings={"ingress": "internal"}), "targets.gcp.ingress is of Cloud Run"


@pytest.mark.parametrize(("wrong", "said"), list(refused()), ids=lambda value: value if isinstance(value, str) else "")
def test_what_an_endpoint_cannot_do_is_refused_by_name(wrong: Deployment, said: str) -> None:
    findings = list(checks.in_documents(wrong))
    assert [said in finding.what for finding in findings] == [True] and findings[0].fix
    with pytest.raises(MlshipError):
        render(wrong)


def test_a_measured_gate_needs_a_bake_that_monitoring_can_follow() -> None:
    strategy = Strategy("canary", steps=(0.125, 1.0), bake_s=60, gates=("p95_ms < 40",))
    found = [finding.what for finding in checks.in_a_deploy(vertex(strategy=strategy, request_timeout_s=90))]
    assert [what.partition(":")[0] for what in found] == [
        "rollout.bake 60 s",
        "rollout.steps 12.5%",
        "serve.request_timeout 90 s",
    ]
    assert not list(checks.in_a_deploy(vertex(strategy=replace(strategy, steps=(0.12, 1.0), bake_s=480))))


@pytest.mark.parametrize(
    ("percents", "sizes", "shares"),
    [
        (100, {"1": 1, "2": 3}, {"1": 25, "2": 75}),
        (1, {"1": 1, "2": 3}, {"1": 1, "2": 0}),
        (33, {"1": 1, "2": 1}, {"1": 17, "2": 16}),
        (50, {"1": 0, "2": 0}, {"1": 50, "2": 0}),
    ],
)
def test_shares_among_siblings_add_up(percents: int, sizes: dict[str, int], shares: dict[str, int]) -> None:
    assert bodies.shared_between(percents, sizes) == shares


def test_a_sibling_without_machines_gets_no_callers() -> None:
    resources = {"minReplicaCount": 2}
    both = (Deployed("1", "r1-a", "1", 0.0, resources), Deployed("2", "r1-a-spot", "1", 0.0, resources, available=0))
    assert split_of({"r1-a": 100}, Endpoint("e", "", both)) == {"1": 100}
    assert split_of({"r1-a": 100}, Endpoint("e", "", tuple(replace(one, available=0) for one in both))) == {"1": 50, "2": 50}


@pytest.mark.parametrize(
    ("name", "has"),
    [
        (N2, None),
        ("g2-standard-24", Accelerator("NVIDIA_L4", 2)),
        ("a2-highgpu-4g", Accelerator("NVIDIA_TESLA_A100", 4)),
        ("a3-highgpu-8g", Accelerator("NVIDIA_H100_80GB", 8)),
        ("odd", None),
    ],
)
def test_accelerators_follow_from_the_type(name: str, has: Accelerator | None) -> None:
    assert accelerator(name) == has


def test_quotas_are_those_of_gpus_else_of_processors() -> None:
    (gpus,), (cpus,) = counted("g2-standard-24", spot=True), counted("n1-standard-8", spot=False)
    assert (gpus.metric, gpus.amount) == ("aiplatform.googleapis.com/custom_model_serving_preemptible_nvidia_l4_gpus", 2)
    assert (cpus.metric, cpus.amount) == ("aiplatform.googleapis.com/custom_model_serving_cpus", 8)


class Turns:
    """Answers by one deployed model after the other."""

    def __init__(self, *ids: str) -> None:
        self.ids, self.urls = list(ids), []

    def post(self, url: str, body: bytes, headers: Any, timeout_s: float, /) -> Answer:
        self.urls.append(url)
        id = self.ids[len(self.urls) % len(self.ids)]
        said = {"predictions": [{"release": f"r{id}"}], "deployedModelId": id}
        return Answer(200, json.dumps(said).encode(), {} if url.endswith(":predict") else {ANSWERED_BY: id})


def test_a_deployed_model_is_asked_until_it_is_the_one_that_answers() -> None:
    turns = Turns("1", "2", "3", "4")
    answer = ask_one(turns, "https://v/e", Request("GET", "/mlship/release"), "4", 0.25)
    assert json.loads(answer.body) == {"release": "r4"} and len(turns.urls) == 3
    nobody = ask_one(turns, "https://v/e", Request("POST", "/predict"), "9", 0.5)
    assert nobody.status == 0 and b"of 10 requests none was answered by the deployed model 9" in nobody.body
    assert set(turns.urls) == {"https://v/e:predict", "https://v/e:rawPredict"}


@pytest.mark.parametrize(
    ("rows", "told", "is_partial"),
    [
        ([True, False], {"predictions": [True, False]}, True),
        (
            [{"label": "a", "share": 0.5}],
            {"predictions": [{"label": "a", "share": 0.5}], "label": ["a"], "share": [0.5]},
            False,
        ),
        ([{"predictions": 1, "customer": 7}], {"predictions": [1], "customer": [7]}, False),
        ([{"a": 1}, {"b": 2}], {"predictions": [{"a": 1}, {"b": 2}]}, True),
    ],
)
def test_an_answer_of_vertex_is_read_as_that_of_predict(rows: list[Any], told: dict[str, Any], is_partial: bool) -> None:
    """It has no place for the probabilities beside a classifier's predictions: what it has is compared. Rows that name what they say
    leave out nothing.
    """

    class One:
        def post(self, url: str, body: bytes, headers: Any, timeout_s: float, /) -> Answer:
            return Answer(200, json.dumps({"predictions": rows}).encode())

    answer = ask(One(), "u", Request("POST", "/predict", b"{}"))
    assert (answer.is_partial, json.loads(answer.body)) == (is_partial, told)


def test_paths_that_nobody_is_led_to_are_not_asked() -> None:
    turns = Turns("1")
    assert ask(turns, "u", Request("GET", "/metrics")).status == 404
    assert ask(turns, "u", Request("POST", "/predict/other")).status == 404
    assert turns.urls == []
