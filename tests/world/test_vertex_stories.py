"""Stories of the service `vertex`: splits, operations that fail late, etags, two commands at once, spot, quotas, a second machine."""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("google.cloud.aiplatform_v1", reason="no google-cloud-aiplatform: pip install 'mlship[gcp]'")
pytest.importorskip("googleapiclient", reason="no google-api-python-client: pip install google-api-python-client")
sys.path.insert(0, str(Path(__file__).parents[1] / "targets"))

from contract import CANARY, FACTS, carry_out, deploy, live_id, paused_canary, roll_back, wanted
from google_contract import Method
from google_identity import EMAIL, PROJECT
from google_world import No
from inspecting_proxy import Asked
from registry_parts import real_registry
from vertex_account import INSTANCE, REGION, Account, VertexService, account

from mlship.errors import Exit, MlshipError
from mlship.progress import Silent
from mlship.targets.base import Action, Deployment, Request, Strategy
from mlship.targets.gcp.door import Refused
from mlship.targets.gcp.scope import Scope
from mlship.targets.gcp.sdk import SdkDoor
from mlship.targets.gcp.vertex import seen
from mlship.targets.gcp.vertex.bodies import split_request
from mlship.targets.plan import plan
from mlship.targets.rollout import World, roll_out

pytestmark = pytest.mark.world
QUOTA = "aiplatform.googleapis.com/custom_model_serving_n2_cpus"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    folder = tmp_path_factory.mktemp("vertex")
    with real_registry(folder / "registry") as port, account(folder, port) as world, pytest.MonkeyPatch.context() as patched:
        for name, text in world.environ.items():
            patched.setenv(name, text)
        yield world


@pytest.fixture
def world(running: Account) -> Account:
    running.reset()
    return running


def test_a_second_machine_with_an_empty_disk_rolls_back(tmp_path: Path, world: Account) -> None:
    here = VertexService(tmp_path / "here", world, environment="prod")
    first = deploy(here, 1).history.live
    deploy(here, 2)
    done = roll_back(VertexService(tmp_path / "there", world, environment="prod"))
    assert done.history.live == first == live_id(here)


def test_a_project_may_be_called_as_the_endpoint_that_only_mlship_asks_ends(tmp_path: Path, world: Account) -> None:
    service = VertexService(tmp_path, world, project="rain-proof")
    first = deploy(service, 1).history.live
    target = service.open()
    staged = wanted(service, target, 2)
    for kind in ("deliver", "stage"):
        assert target.apply(Action(kind, staged.release.id, first), staged).ok
    assert dict(service.open().observe().weights) == {first: 1.0}, "nobody is led to what has not proved itself"


def test_a_split_that_does_not_add_up_is_refused_here_and_there(tmp_path: Path, world: Account) -> None:
    service = VertexService(tmp_path, world)
    deploy(service, 1)
    (id,) = world.vertex.endpoints["mlship-churn"].deployed
    name = f"projects/acme-ml/locations/{REGION}/endpoints/mlship-churn"
    with pytest.raises(MlshipError, match=r"do not add up to 100 %"):
        split_request(name, "", {id: 60, "2": 30})
    told = world.door.call("aiplatform endpoints", "get_endpoint", {"name": name})
    wrong = {"endpoint": {"name": name, "etag": told["etag"], "trafficSplit": {id: 90}}, "updateMask": "trafficSplit"}
    with pytest.raises(Refused, match=r"adds up to 90") as no:
        world.door.call("aiplatform endpoints", "update_endpoint", wrong)
    assert no.value.exit is Exit.USAGE
    assert world.vertex.endpoints["mlship-churn"].split == {id: 100}


@pytest.mark.parametrize(
    ("no", "exit", "rejected"),
    [
        (No("INTERNAL", "an internal error occurred"), Exit.VERIFY_FAILED, 0),
        (No("RESOURCE_EXHAUSTED", f"the quota {QUOTA} is exceeded"), Exit.VERIFY_FAILED, 0),
        (No("FAILED_PRECONDITION", "Model server never became ready"), Exit.VERIFY_FAILED, 1),
    ],
    ids=lambda value: value.said if isinstance(value, No) else None,
)
def test_an_operation_that_fails_late_leaves_what_served(
    no: No, exit: Exit, rejected: int, tmp_path: Path, world: Account
) -> None:
    """A quota and Google's own trouble say nothing about the release: the same may be deployed again."""
    service = VertexService(tmp_path, world)
    first = deploy(service, 1).history.live
    world.vertex.late.append(no)
    with pytest.raises(MlshipError, match=no.message) as failed:
        deploy(service, 2)
    assert failed.value.exit is exit
    observed = service.open().observe()
    assert observed.serving == first and {replica.release for replica in observed.replicas} == {first}
    assert observed.history is not None and len(observed.history.rejected) == rejected
    if not rejected:
        assert deploy(service, 2).history.live == live_id(service)


def test_an_endpoint_that_somebody_changes_meanwhile_is_looked_at_again(tmp_path: Path, world: Account) -> None:
    """The etag of what was seen is stale by then: the split is put together anew, and nobody's change is lost."""
    service = VertexService(tmp_path, world)
    deploy(service, 1)
    changed: list[str] = []

    def meanwhile(method: Method, asked: Asked) -> None:
        if method.name == "endpoints.patch" and asked.json.get("trafficSplit") and len(changed) < 2:
            endpoint = world.vertex.endpoints["mlship-churn"]
            endpoint.said["description"], endpoint.etag = "changed", f"somebody's {len(changed)}"
            changed.append(endpoint.etag)

    world.google.before = meanwhile
    second = deploy(service, 2).history.live
    assert len(changed) == 2 and live_id(service) == second
    assert world.vertex.endpoints["mlship-churn"].said["description"] == "changed"


def test_a_split_that_never_holds_is_no_success(tmp_path: Path, world: Account) -> None:
    service = VertexService(tmp_path, world)
    first = deploy(service, 1).history.live

    def always(method: Method, asked: Asked) -> None:
        if method.name == "endpoints.patch" and "-proof" not in asked.path:
            world.vertex.endpoints["mlship-churn"].etag += "x"

    world.google.before = always
    with pytest.raises(MlshipError, match=r"not as they should be|does not match"):
        deploy(service, 2)
    world.google.before = lambda method, asked: None
    assert live_id(service) == first
    assert deploy(service, 2).history.live == live_id(service)


def test_two_deploys_that_overlap_on_one_endpoint_end_in_one_release(tmp_path: Path, world: Account) -> None:
    """A command that died leaves its deployment running: the next one waits for it, because the endpoint takes one at a time."""
    service = VertexService(tmp_path, world)
    deploy(service, 1)
    target = service.open()
    dying = wanted(service, target, 2)
    assert target.apply(Action("deliver", dying.release.id), dying).ok
    operations = world.vertex.operations

    def dies(method: Method, asked: Asked) -> None:
        if method.name == "operations.get" and operations.running(
            f"projects/123456789012/locations/{REGION}/endpoints/mlship-churn"
        ):
            raise No("PERMISSION_DENIED", "the command is gone")

    world.google.before = dies
    assert not target.apply(Action("stage", dying.release.id, "r1"), dying).ok
    world.google.before = lambda method, asked: None
    assert len([one for one in operations.known.values() if one.ended is None]) == 2, "both endpoints are still busy"
    third = deploy(service, 3).history.live
    observed = service.open().observe()
    assert observed.serving == third
    assert {replica.release for replica in observed.replicas} == {third}
    assert not [one for one in operations.known.values() if one.ended is None]


def spot(service: VertexService, version: int, replicas: tuple[int, int] = (4, 6)) -> Deployment:
    deployment = wanted(service, service.open(), version)
    cost = {"profile": "spot", "on_demand_base": 1}
    return replace(deployment, replicas=replicas, operating={**deployment.operating, "cost": cost})


def test_spot_has_a_sibling_on_demand_that_takes_over_when_it_is_preempted(tmp_path: Path, world: Account) -> None:
    service = VertexService(tmp_path, world)
    target = service.open()
    first = carry_out(target, plan("deploy", spot(service, 1), target.observe())).history.live
    endpoint = world.vertex.endpoints["mlship-churn"]
    by_name = {one["displayName"]: one["dedicatedResources"] for one in endpoint.deployed.values()}
    counts = {
        name: (said["minReplicaCount"], said["maxReplicaCount"], said.get("spot", False)) for name, said in by_name.items()
    }
    assert counts == {first: (1, 1, False), f"{first}-spot": (3, 5, True)}
    assert sorted(endpoint.split.values()) == [25, 75]
    world.vertex.preempted.add(next(id for id, one in endpoint.deployed.items() if one["displayName"].endswith("-spot")))
    observed = service.open().observe()
    assert "STOCKOUT" in observed.notes[0]
    assert observed.repair == "callers go to a deployed model that has no machine"
    assert [replica.ready for replica in observed.replicas] == [True, False]
    target = service.open()
    carry_out(target, plan("deploy", spot(service, 1), target.observe()))
    assert list(endpoint.split.values()) == [100] and live_id(service) == first
    world.vertex.preempted.clear()
    observed = service.open().observe()
    assert observed.repair == "callers are not shared by the machines that there are now"
    target = service.open()
    carry_out(target, plan("deploy", spot(service, 1), target.observe()))
    assert sorted(endpoint.split.values()) == [25, 75]


def test_more_replicas_change_in_place_and_another_machine_stands_beside_first(tmp_path: Path, world: Account) -> None:
    service = VertexService(tmp_path, world)
    first = deploy(service, 1)
    (id,) = world.vertex.endpoints["mlship-churn"].deployed
    done = deploy(service, 1, replicas=(2, 5), operating={**first.history.operating, "scale": {"replicas": "2..5"}})
    (one,) = world.vertex.endpoints["mlship-churn"].deployed.items()
    assert one[0] == id and one[1]["dedicatedResources"]["maxReplicaCount"] == 5
    settings = {**service.settings, "instance": "n2-standard-4"}
    operating = {**done.history.operating, "settings": settings}
    deploy(service, 1, settings=settings, operating=operating)
    (one,) = world.vertex.endpoints["mlship-churn"].deployed.items()
    assert one[0] != id and one[1]["dedicatedResources"]["machineSpec"]["machineType"] == "n2-standard-4"
    assert live_id(service) == first.history.live and world.vertex.endpoints["mlship-churn"].split == {one[0]: 100}


def test_a_canary_is_asked_until_it_is_the_one_that_answers(tmp_path: Path, world: Account) -> None:
    service = VertexService(tmp_path, world)
    first = deploy(service, 1).history.live
    second = paused_canary(service, strategy=replace(CANARY, steps=(0.02, 0.5, 1.0)))
    target = service.open()
    observed = target.observe()
    named = {replica.release: replica.name for replica in observed.replicas}
    for release, answer in ((first, 1), (second, 2)):
        said = target.ask(Request("POST", "/predict", b'{"instances": [{"age": 1}]}', replica=named[release]))
        assert (said.status, said.body) == (200, b'{"predictions": [%d]}' % answer)
        assert said.headers["x-mlship-release"] == release


def test_all_that_is_missing_is_named_before_anything_is_changed(tmp_path: Path, world: Account) -> None:
    service = VertexService(tmp_path, world)
    world.services.disabled.add("aiplatform.googleapis.com")
    world.services.quotas[QUOTA] = {REGION: 5}
    world.projects.denied |= {"aiplatform.endpoints.deploy"}
    world.machines.zones[INSTANCE] = ("europe-west4-a",)
    deployment = replace(service.deployment(1), replicas=(2, 4))
    found = {finding.code: finding.what for finding in service.open().preflight(deployment)}
    assert set(found) == {"api-disabled", "denied", "quota", "no-machine"}
    assert found["no-machine"] == f"{REGION} has no {INSTANCE}"
    assert found["quota"].startswith("4 replicas take 10 vCPU of") and "has 5 in us-central1" in found["quota"]
    assert service.left() == []


def test_what_monitoring_counted_is_told_by_release(tmp_path: Path, world: Account) -> None:
    service = VertexService(tmp_path, world)
    first = deploy(service, 1).history.live
    (id,) = world.vertex.endpoints["mlship-churn"].deployed
    for code, count in (("200", "190"), ("503", "10")):
        world.monitoring.series.append((("response_count", id), point({"response_code": code}, int64Value=count)))
    spread = {
        "count": "200",
        "mean": 25.0,
        "bucketOptions": {"explicitBuckets": {"bounds": [10, 50]}},
        "bucketCounts": ["20", "170", "10"],
    }
    world.monitoring.series.append((("latencies", id), point({"latency_type": "total"}, distributionValue=spread)))
    measured = service.open().measure()[first]
    assert (measured.requests, measured.errors, measured.seconds) == (200, 10, pytest.approx(5.0))
    assert measured.buckets == {0.01: 20, 0.05: 190, float("inf"): 200}


def point(labels: dict[str, str], **value: Any) -> dict[str, Any]:
    interval = {"startTime": "2026-11-23T04:00:00Z", "endTime": "2026-11-23T05:00:00Z"}
    return {"metric": {"type": "x", "labels": labels}, "points": [{"interval": interval, "value": value}]}


def test_logs_are_those_of_the_release_that_is_asked_for(tmp_path: Path, world: Account) -> None:
    service = VertexService(tmp_path, world)
    first = deploy(service, 1).history.live
    paused_canary(service)
    told = list(service.open().logs(first))
    assert [line.release for line in told] == [first] and told[0].text == "ready"
    assert len({line.release for line in service.open().logs()} - {""}) == 2


def test_an_api_that_is_busy_every_fourth_time_is_asked_again(tmp_path: Path, world: Account) -> None:
    service, asked = VertexService(tmp_path, world), itertools.count(1)

    def busy(method: Method, _: Asked) -> None:
        if next(asked) % 4 == 0:
            raise No("UNAVAILABLE", "the service is currently unavailable")

    world.google.before = busy
    first = deploy(service, 1).history.live
    second = deploy(service, 2).history.live
    assert roll_back(service).history.live == first != second
    assert next(asked) > 100


def test_an_api_that_throttles_is_asked_again(tmp_path: Path, world: Account) -> None:
    service, asked = VertexService(tmp_path, world), itertools.count(1)

    def throttled(method: Method, _: Asked) -> None:
        if next(asked) % 3 == 0:
            raise No("RESOURCE_EXHAUSTED", "slow down", reason="RATE_LIMIT_EXCEEDED")

    world.google.before = throttled
    assert deploy(service, 1).history.live == live_id(service)


def test_an_identity_that_may_make_nothing_deploys_into_what_a_company_has(tmp_path: Path, world: Account) -> None:
    runner, reserved = f"churn@{PROJECT}.iam.gserviceaccount.com", f"projects/{PROJECT}/zones/{REGION}-a/reservations/ml"
    world.storage.buckets["acme-mlship"] = {"name": "acme-mlship"}
    world.registry.repositories[f"projects/{PROJECT}/locations/{REGION}/repositories/team"] = {"format": "DOCKER"}
    world.accounts.known.add(runner)
    fits = {"instanceProperties": {"machineType": INSTANCE}}
    shared = {"serviceShareType": "ALLOW_ALL"}
    world.machines.reservations[reserved] = {"reservationSharingPolicy": shared, "specificReservation": fits}
    company = {"bucket": "acme-mlship", "repository": "team", "service_account": runner, "reservation": f"{REGION}-a/ml"}
    service = VertexService(tmp_path, world, **company)

    def denied(method: Method, asked: Asked) -> None:
        if method.id.endswith(("buckets.insert", "buckets.list", "repositories.create", "setIamPolicy")):
            raise No("PERMISSION_DENIED", f"{EMAIL} may not {method.id}")

    world.google.before = denied
    assert [finding for finding in service.open().preflight(service.deployment(1)) if finding.severity == "error"] == []
    first, second = (deploy(service, version).history.live for version in (1, 2))
    assert first != second == live_id(service)
    (one,) = world.vertex.endpoints["mlship-churn"].deployed.values()
    assert one["serviceAccount"] == runner
    assert one["dedicatedResources"]["machineSpec"]["reservationAffinity"]["values"] == [reserved]
    (spec, *_) = world.vertex.models["mlship-churn"].versions.values()
    assert spec["containerSpec"]["imageUri"].startswith(f"{REGION}-docker.pkg.dev/{PROJECT}/team/mlship-churn@sha256:")
    assert roll_back(service).history.live == first


def test_a_project_in_which_these_credentials_have_no_right_is_refused(tmp_path: Path, world: Account) -> None:
    service = VertexService(tmp_path, world)
    service.settings = {**service.settings, "project": "acme-prod"}

    def stranger(method: Method, asked: Asked) -> None:
        if "acme-prod" in asked.target:
            raise No("PERMISSION_DENIED", "The caller does not have permission")

    world.google.before = stranger
    with pytest.raises(MlshipError, match=f"these credentials \\({EMAIL}\\) have no right in the project acme-prod") as no:
        service.open(SdkDoor("acme-prod", REGION, sleep=lambda seconds: None)).preflight(service.deployment(1))
    assert no.value.exit is Exit.DENIED
    outcome = service.open().apply(Action("deliver", "r1-000000"), service.deployment(1))
    assert outcome.cause == f"this command is for the project {PROJECT}, and targets.gcp.project is acme-prod"
    assert service.left() == []


def test_a_canary_whose_answers_fail_is_taken_back(tmp_path: Path, world: Account) -> None:
    service = VertexService(tmp_path, world)
    first = deploy(service, 1).history.live
    gated = replace(CANARY, approve="auto", min_requests=50, gates=("error_rate < 5%",))

    looks = itertools.count(1)

    def counted(method: Method, asked: Asked) -> None:
        """What the newest deployed model has answered by each look."""
        if method.name == "timeSeries.list":
            newest, by = list(world.vertex.endpoints["mlship-churn"].deployed)[-1], next(looks)
            seen = [point({"response_code": code}, int64Value=str(n * by)) for code, n in (("200", 90), ("500", 10))]
            world.monitoring.series[:] = [(("response_count", newest), one) for one in seen]

    world.google.before = counted
    with pytest.raises(MlshipError, match="error_rate is 10 %") as failed:
        deploy(service, 2, strategy=gated)
    assert failed.value.exit is Exit.VERIFY_FAILED
    observed = service.open().observe()
    assert observed.serving == first and dict(observed.weights) == {first: 1.0}
    assert {one["displayName"] for one in world.vertex.endpoints["mlship-churn"].deployed.values()} == {first}


def test_callers_that_somebody_led_elsewhere_are_led_back(tmp_path: Path, world: Account) -> None:
    """A person, or Google, may do so without a word to us."""
    service = VertexService(tmp_path, world)
    first = deploy(service, 1).history.live
    target = service.open()
    staged = wanted(service, target, 2)
    for kind in ("deliver", "stage"):
        assert target.apply(Action(kind, staged.release.id, first), staged).ok
    endpoint = world.vertex.endpoints["mlship-churn"]
    ids = {one["displayName"]: id for id, one in endpoint.deployed.items()}
    endpoint.split, endpoint.etag = {ids[staged.release.id]: 100}, "another"
    observed = service.open().observe()
    assert observed.serving == staged.release.id and observed.repair == f"0% of the callers reach {first}, and not all"
    target = service.open()
    carry_out(target, plan("deploy", wanted(service, target, 1), observed))
    assert endpoint.split == {ids[first]: 100} and live_id(service) == first


def test_what_served_before_keeps_its_machines_until_the_bake_is_over(tmp_path: Path, world: Account) -> None:
    service = VertexService(tmp_path, world)
    first = deploy(service, 1).history.live
    target, warm, now = service.open(), [], [time.time()]

    def rests(seconds: float) -> None:
        now[0] += seconds
        endpoint = world.vertex.endpoints["mlship-churn"]
        shares = {one["displayName"]: endpoint.split.get(id, 0) for id, one in endpoint.deployed.items()}
        warm.append(shares[first])

    deployment = wanted(service, target, 2, strategy=Strategy("blue-green", bake_s=300))
    done = roll_out(target, plan("deploy", deployment, target.observe()), FACTS, World(lambda: now[0], rests, Silent()))
    assert len(warm) > 2 and set(warm) == {0}, "it has its machines, and no callers"
    endpoint = world.vertex.endpoints["mlship-churn"]
    assert {one["displayName"] for one in endpoint.deployed.values()} == {done.history.live}


def test_what_more_replicas_follow_and_spot_change_in_place(tmp_path: Path, world: Account) -> None:
    service = VertexService(tmp_path, world)
    plain = deploy(service, 1, replicas=(1, 4)).history.operating
    endpoint = world.vertex.endpoints["mlship-churn"]
    ((id, _),) = endpoint.deployed.items()

    def follows(**operating: Any) -> dict[str, int]:
        deploy(service, 1, replicas=(1, 4), operating={**plain, **operating})
        specs = endpoint.deployed[id]["dedicatedResources"]["autoscalingMetricSpecs"]
        return {spec["metricName"].rpartition("online/")[2]: spec["target"] for spec in specs}

    assert follows(scale={"metric": "rps", "per_replica": 5}) == {"request_count": 300}
    assert follows(scale={"metric": "cpu", "per_replica": 45}) == {"cpu/utilization": 45}
    assert follows(labels={"team": "growth"}) == {"cpu/utilization": 60}, "what is said no more goes"
    assert follows(cost={"profile": "spot", "on_demand_base": 1}) == {}, "one on demand, whatever they do"
    spots = [one["dedicatedResources"] for other, one in endpoint.deployed.items() if other != id]
    assert [(one["spot"], one["minReplicaCount"], one["maxReplicaCount"]) for one in spots] == [(True, 1, 3)]
    follows(labels={})
    assert list(endpoint.deployed) == [id] and endpoint.split == {id: 100}, "the sibling goes, and nobody else was replaced"


def test_an_endpoint_of_somebody_else_is_not_touched(tmp_path: Path, world: Account) -> None:
    service = VertexService(tmp_path, world)
    deploy(service, 1)
    world.vertex.endpoints["mlship-churn"].said["labels"] = {"team": "other"}
    with pytest.raises(MlshipError, match="the endpoint mlship-churn is somebody else's"):
        deploy(service, 2)
    assert service.open().apply(Action("destroy"), None).fault == "target"
    assert list(world.vertex.endpoints["mlship-churn"].split.values()) == [100]


def test_destroy_leaves_what_is_not_ours(tmp_path: Path, world: Account) -> None:
    """Also in the middle of a rollout."""
    service, other = VertexService(tmp_path / "a", world), VertexService(tmp_path / "b", world, project="fraud")
    deploy(service, 1)
    target = service.open()
    staged = wanted(service, target, 3)
    for kind in ("deliver", "stage"):
        assert target.apply(Action(kind, staged.release.id, "r1"), staged).ok
    deploy(other, 2)
    assert service.open().apply(Action("destroy"), None).ok
    assert live_id(other)
    assert seen.look(world.door, Scope("churn")) is None
    assert sorted(world.vertex.endpoints) == ["mlship-fraud", "mlship-fraud-proof"] and list(world.vertex.models) == [
        "mlship-fraud"
    ]
