"""Stories of Cloud Run: a second machine, a company's project, commands that are killed, an API that is busy, callers led elsewhere."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("google.cloud.run_v2", reason="no clients of Google Cloud: pip install 'mlship[gcp]'")
pytest.importorskip("googleapiclient", reason="no discovery documents: pip install google-api-python-client")
sys.path.insert(0, str(Path(__file__).parents[1] / "targets"))

from cloud_run_account import PLACE, PROJECT, REGION, CloudRunService, Loopback, World, loopback, service_of
from contract import CANARY, carry_out, deploy, live_id, paused_canary, roll_back, wanted
from google_contract import Method
from google_identity import EMAIL, persons_file
from google_world import No
from inspecting_proxy import Asked

from mlship.errors import Exit, MlshipError
from mlship.targets.base import Action, Request
from mlship.targets.gcp.cloud_run.target import CloudRunTarget
from mlship.targets.gcp.sdk import SdkDoor
from mlship.targets.plan import plan

pytestmark = pytest.mark.world
BUCKET = f"mlship-{PROJECT}-{REGION}"


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loopback]:
    with loopback(tmp_path_factory.mktemp("google")) as found:
        yield found


@pytest.fixture
def world(there: Loopback) -> World:
    return there.anew()


class Through:
    """A service whose target has another door."""

    def __init__(self, service: CloudRunService, door: Any) -> None:
        self._service, self._door = service, door

    def __getattr__(self, name: str) -> Any:
        return getattr(self._service, name)

    def open(self) -> CloudRunTarget:
        return self._service.open(self._door)


class Killed(BaseException):
    """SIGKILL: nothing of the command runs any more."""


class Mortal:
    """A door that dies right after its n-th change of the world, and does nothing more then, not even what gives the lease back."""

    _CHANGES = ("write_object", "make_bucket", "delete_object")

    def __init__(self, inner: SdkDoor, at: int) -> None:
        self._inner, self._at, self.changed = inner, at, 0

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if not callable(found):
            return found

        def act(*said: Any, **more: Any) -> Any:
            if self.changed > self._at:
                raise Killed
            answer = found(*said, **more)
            is_change = name in self._CHANGES or (name == "call" and said[1].startswith(("create_", "update_", "delete_")))
            if is_change:
                self.changed += 1
                if self.changed > self._at:
                    raise Killed
            return answer

        return act


def test_a_second_machine_with_an_empty_disk_rolls_back_by_a_flip(tmp_path: Path, there: Loopback, world: World) -> None:
    here = CloudRunService(tmp_path / "here", there, environment="prod")
    first = deploy(here, 1).history.live
    second = deploy(here, 2).history.live
    elsewhere = CloudRunService(tmp_path / "there", there, environment="prod")
    observed = elsewhere.open().observe()
    assert observed.history is not None and observed.history.live == second
    before = len(service_of(world).copies)
    assert roll_back(elsewhere).history.live == first == live_id(here)
    assert len(service_of(world).copies) == before, "no revision was made for it"


def test_a_canary_whose_answers_fail_is_taken_back(tmp_path: Path, there: Loopback, world: World) -> None:
    service = CloudRunService(tmp_path, there)
    first = deploy(service, 1).history.live
    world.run.weather = {"2xx": 90, "5xx": 10}
    gated = replace(CANARY, approve="auto", min_requests=50, gates=("error_rate < 5%",))
    with pytest.raises(MlshipError, match="error_rate is 10 %") as failed:
        deploy(service, 2, strategy=gated)
    assert failed.value.exit is Exit.VERIFY_FAILED
    assert live_id(service) == first
    assert dict(service.open().observe().weights) == {first: 1.0}


def test_a_canary_whose_answers_are_well_goes_on(tmp_path: Path, there: Loopback, world: World) -> None:
    service = CloudRunService(tmp_path, there)
    deploy(service, 1)
    world.run.weather = {"2xx": 100}
    gated = replace(CANARY, approve="auto", min_requests=50, gates=("error_rate < 5%", "p95_ms < 40"))
    done = deploy(service, 2, strategy=gated)
    assert done.history.live == live_id(service)


def test_callers_that_somebody_led_elsewhere_are_led_back(tmp_path: Path, there: Loopback, world: World) -> None:
    """A person, or Google, may do so without a word to us: the service still says Ready."""
    service = CloudRunService(tmp_path, there)
    first = deploy(service, 1).history.live
    second = deploy(service, 2).history.live
    found = service_of(world)
    found.said["traffic"] = found.shares = [{**found.shares[0], "revision": f"mlship-churn-{first}", "tag": first}]
    found.generation += 1
    observed = service.open().observe()
    assert observed.serving == first and observed.repair == f"0% of the callers reach {second}, and not all"
    target = service.open()
    again = plan("deploy", wanted(service, target, 2), observed)
    assert carry_out(target, again).history.live == second == live_id(service)


def test_statuses_that_never_become_what_was_said_are_not_believed(tmp_path: Path, there: Loopback, world: World) -> None:
    """An operation that says it is done, and a service that goes on leading callers as before."""
    service = CloudRunService(tmp_path, there)
    first = deploy(service, 1).history.live
    ticking = iter(range(0, 10_000_000, 100))
    target = service.open()
    target._waiting = replace(target._waiting, clock=lambda: float(next(ticking)))
    found = service_of(world)
    deployment = wanted(service, target, 2)
    for kind in ("deliver", "stage"):
        assert target.apply(Action(kind, deployment.release.id, first), deployment).ok
    kept = list(found.shares)
    world.run.frozen = kept
    shifted = target.apply(Action("shift", deployment.release.id, first), deployment)
    assert not shifted.ok and shifted.fault == "target"
    assert shifted.cause.startswith("callers are shared as {")


@pytest.mark.parametrize("first", [0, 1, 2])
def test_a_command_that_is_killed_after_any_of_its_changes_is_simply_run_again(
    tmp_path: Path, there: Loopback, world: World, first: int
) -> None:
    """A third of the changes each, so that no test takes long."""
    service = CloudRunService(tmp_path, there)
    deploy(service, 1)
    version, at, was_killed = 2, first, True
    while was_killed:
        try:
            deploy(Through(service, Mortal(there.door, at)), version)
        except Killed:
            give_lease_back(world)
        else:
            was_killed = False
        assert deploy(service, version).history.live == live_id(service)
        assert set(service.open().observe().weights) == {live_id(service)}
        version, at = version + 1, at + 3
    assert at >= 6, "a deploy changes more than that"


def test_an_api_that_is_busy_and_throttles_is_asked_again(tmp_path: Path, there: Loopback, world: World) -> None:
    service, seen = CloudRunService(tmp_path, there), []

    def flaky(method: Method, asked: Asked) -> None:
        seen.append(method.id)
        if len(seen) % 3 == 0:
            raise No("RESOURCE_EXHAUSTED", "slow down", reason="RATE_LIMIT_EXCEEDED")
        if len(seen) % 5 == 0:
            raise No("UNAVAILABLE", "try again")

    world.google.before = flaky
    first = deploy(service, 1).history.live
    second = deploy(service, 2).history.live
    assert first != second == live_id(service)
    assert len(seen) > 60


def test_an_identity_that_may_make_nothing_deploys_into_what_a_company_has(
    tmp_path: Path, there: Loopback, world: World
) -> None:
    world.storage.buckets["acme-mlship"] = {"name": "acme-mlship"}
    world.registry.repositories[f"{PLACE}/repositories/team"] = {"format": "DOCKER"}
    world.accounts.known.add(f"churn@{PROJECT}.iam.gserviceaccount.com")
    world.connectors[f"{PLACE}/connectors/ml"] = "READY"
    company = {
        "bucket": "acme-mlship",
        "repository": "team",
        "service_account": f"churn@{PROJECT}.iam.gserviceaccount.com",
        "vpc_connector": "ml",
        "project": PROJECT,
    }
    makes = ("buckets.insert", "repositories.create", "secrets.create", "setIamPolicy")
    service = CloudRunService(tmp_path, there, **company)

    def denied(method: Method, asked: Asked) -> None:
        if method.id.endswith(makes) or method.id.endswith("buckets.list"):
            raise No("PERMISSION_DENIED", f"{EMAIL} may not {method.id}")

    world.google.before = denied
    assert [finding for finding in service.open().preflight(service.deployment(1)) if finding.severity == "error"] == []
    first, second = (deploy(service, version).history.live for version in (1, 2))
    assert first != second == live_id(service)
    template = service_of(world).said["template"]
    assert template["serviceAccount"] == company["service_account"]
    assert template["vpcAccess"] == {"connector": f"{PLACE}/connectors/ml", "egress": "PRIVATE_RANGES_ONLY"}
    assert template["containers"][0]["image"].startswith(f"{REGION}-docker.pkg.dev/{PROJECT}/team/mlship-churn@sha256:")
    assert roll_back(service).history.live == first


def test_all_that_is_missing_is_named_before_anything_is_changed(tmp_path: Path, there: Loopback, world: World) -> None:
    world.services.disabled = {"run.googleapis.com"}
    world.projects.denied = {"run.services.create"}
    world.services.quotas = {"run.googleapis.com/cpu_allocation": {REGION: 20_000}}
    world.secrets.put("churn-keys", "a", "b")
    missing = {"service_account": "nobody@acme", "repository": "nothing", "bucket": "nowhere", "vpc_connector": "no"}
    service = CloudRunService(tmp_path, there, **missing)
    plain = service.deployment(1)
    served = replace(plain.release.served, secrets={"CHURN_KEYS": "3"})
    asked = replace(
        plain, release=replace(plain.release, served=served), references={"CHURN_KEYS": "churn-keys"}, replicas=(0, 100)
    )
    said = [finding.what for finding in service.open().preflight(asked) if finding.severity == "error"]
    assert said == [
        f"these credentials ({EMAIL}) may not run.services.create in the project {PROJECT}",
        f"the project {PROJECT} has run.googleapis.com switched off",
        "targets.gcp.service_account nobody@acme is not there",
        "targets.gcp.repository nothing is not there",
        "targets.gcp.bucket nowhere is not there",
        f"there is no projects/{PROJECT}/secrets/churn-keys/versions/3",
        f"targets.gcp.vpc_connector {PLACE}/connectors/no is not there",
        f"100 replicas take 100000 milli vCPU of run.googleapis.com/cpu_allocation, and the project has 20000 in {REGION}",
    ]
    assert service.left() == []


def test_rights_that_only_a_later_step_would_miss_are_named_before(tmp_path: Path, there: Loopback, world: World) -> None:
    own = "123456789012-compute@developer.gserviceaccount.com"
    world.accounts.others = {own}
    late = {"artifactregistry.versions.delete", "secretmanager.secrets.setIamPolicy", "monitoring.timeSeries.list"}
    world.projects.denied = {*late, "run.routes.invoke"}
    world.services.disabled = {"secretmanager.googleapis.com", "monitoring.googleapis.com"}
    service = CloudRunService(tmp_path, there)
    service.serving = {"auth": {"api_keys": "CHURN_KEYS"}}
    measured = replace(CANARY, bake_s=300, gates=("error_rate < 5%",))
    asked = replace(service.deployment(1), strategy=measured, operating={"public": True})
    found = {finding.what: finding.fix for finding in service.open().preflight(asked) if finding.severity == "error"}
    denied, off, runner = found
    assert all(one in denied for one in late) and "run.routes.invoke" not in denied, "everybody may call it"
    assert "roles/artifactregistry.repoAdmin" in found[denied] and "roles/secretmanager.admin" in found[denied]
    assert off.endswith("has secretmanager.googleapis.com, monitoring.googleapis.com switched off")
    assert (
        runner == f"these credentials ({EMAIL}) may not iam.serviceAccounts.actAs with {own}, which runs what names no account"
    )


def test_a_project_in_which_these_credentials_have_no_right_is_refused(tmp_path: Path, there: Loopback, world: World) -> None:
    service = CloudRunService(tmp_path, there, project="acme-prod")

    def stranger(method: Method, asked: Asked) -> None:
        if "acme-prod" in asked.target:
            raise No("PERMISSION_DENIED", "The caller does not have permission")

    world.google.before = stranger
    door = SdkDoor("acme-prod", REGION, sleep=lambda seconds: None)
    with pytest.raises(MlshipError, match=f"these credentials \\({EMAIL}\\) have no right in the project acme-prod") as no:
        service.open(door).preflight(service.deployment(1))
    assert no.value.exit is Exit.DENIED
    outcome = service.open().apply(Action("deliver", "r1-000000"), service.deployment(1))
    assert (
        not outcome.ok and outcome.cause == f"this command is for the project {PROJECT}, and targets.gcp.project is acme-prod"
    )
    assert service.left() == []


def test_a_quota_that_is_hit_late_leaves_what_served_before(tmp_path: Path, there: Loopback, world: World) -> None:
    service = CloudRunService(tmp_path, there)
    first = deploy(service, 1).history.live

    def full(method: Method, asked: Asked) -> None:
        if method.id.endswith("services.patch"):
            raise No("RESOURCE_EXHAUSTED", "Quota exceeded for total allowable CPU per project per region.")

    world.google.before = full
    with pytest.raises(MlshipError, match="Quota exceeded") as failed:
        deploy(service, 2)
    assert f"{first} serves as before" in str(failed.value)
    world.google.before = lambda method, asked: None
    assert live_id(service) == first
    assert deploy(service, 2).history.live == live_id(service), "the release was not at fault"


def test_an_operation_that_fails_late_is_no_success(tmp_path: Path, there: Loopback, world: World) -> None:
    service = CloudRunService(tmp_path, there)
    first = deploy(service, 1).history.live
    world.operations.looks = 6
    world.run.unlucky = "The instance exceeded its memory."
    with pytest.raises(MlshipError, match="did not start") as failed:
        deploy(service, 2)
    assert failed.value.exit is Exit.VERIFY_FAILED
    assert live_id(service) == first
    assert world.google.count("operations.get") > 6
    (failing,) = [why for why in service.open().why() if why.release != first]
    assert (failing.state, failing.log) == ("health_check_container_error: the container did not start", ("ready",))


def test_a_service_that_changed_since_it_was_looked_at_is_not_overwritten(
    tmp_path: Path, there: Loopback, world: World
) -> None:
    service = CloudRunService(tmp_path, there)
    first = deploy(service, 1).history.live
    second = paused_canary(service)

    def meddle(method: Method, asked: Asked) -> None:
        if method.id.endswith("services.patch"):
            service_of(world).generation += 1

    world.google.before = meddle
    history = service.open().observe().history
    assert history is not None
    deployment = replace(service.deployment(2), release=history.underway.release)
    outcome = service.open().apply(Action("weigh", second, first, share=0.75), deployment)
    assert not outcome.ok and outcome.fault == "target"
    assert outcome.cause == "somebody else has changed the service since it was looked at"
    world.google.before = lambda method, asked: None
    assert dict(service.open().observe().weights) == {first: 0.5, second: 0.5}
    assert service.open().apply(Action("weigh", second, first, share=0.75), deployment).ok
    assert dict(service.open().observe().weights) == {first: 0.25, second: 0.75}


def test_a_revision_that_never_started_is_asked_for_no_more(tmp_path: Path, there: Loopback, world: World) -> None:
    """As long as the service names it, even at 0 %, the operations of all other changes fail; and some of Google's say so anyhow."""
    service = CloudRunService(tmp_path, there)
    first = deploy(service, 1, replicas=(0, 2)).history.live
    world.run.sour, world.run.unlucky = True, "The instance exceeded its memory."
    with pytest.raises(MlshipError, match="did not start"):
        deploy(service, 2)
    found = service_of(world)
    assert [one["revision"] for one in found.said["traffic"]] == [f"mlship-churn-{first}"]
    scaled = {"labels": {}, "settings": service.settings, "replicas": {"min": 1, "max": 5}}
    deploy(service, 1, replicas=(1, 5), operating=scaled)
    assert found.said["scaling"] == {"minInstanceCount": 1, "maxInstanceCount": 5}, "what an operation says is not believed"
    assert deploy(service, 3).history.live == live_id(service)


def test_statuses_that_change_meanwhile_are_no_change_of_anybodys(tmp_path: Path, there: Loopback, world: World) -> None:
    service = CloudRunService(tmp_path, there)
    deploy(service, 1)
    bumped: list[str] = []

    def restless(method: Method, asked: Asked) -> None:
        if method.id.endswith("services.patch") and len(bumped) % 3 != 2:
            service_of(world).statuses += 1
        bumped.extend([method.id] if method.id.endswith("services.patch") else [])

    world.google.before = restless
    assert deploy(service, 2).history.live == live_id(service)
    assert len(bumped) >= 6, "two of them were turned away, twice"


def test_how_many_instances_there_are_changes_in_place(tmp_path: Path, there: Loopback, world: World) -> None:
    service = CloudRunService(tmp_path, there)
    first = deploy(service, 1, replicas=(0, 3))
    assert service_of(world).said["scaling"] == {"maxInstanceCount": 3}
    copies = set(service_of(world).copies)
    scaled = {**first.history.operating, "replicas": {"min": 2, "max": 9}, "scale": {"metric": "concurrency", "per_replica": 8}}
    service.settings = {**service.settings, "service_account": "churn@acme"}
    done = deploy(service, 1, replicas=(2, 9), operating=scaled)
    assert done.history.live == first.history.live and done.history.generation == 2
    assert service_of(world).said["scaling"] == {"minInstanceCount": 2, "maxInstanceCount": 9}
    assert set(service_of(world).copies) == copies
    live = done.history.live
    fixed = "scale.per_replica, targets.gcp.service_account"
    assert f"{fixed}: {live} goes on as it was made, and the next release will be so" in done.notes


def test_a_server_that_judges_its_callers_is_asked_with_mlships_own_key(tmp_path: Path, there: Loopback, world: World) -> None:
    service = CloudRunService(tmp_path, there)
    service.serving = {"auth": {"api_keys": "CHURN_KEYS"}}
    live = deploy(service, 1, operating={"labels": {}, "settings": service.settings, "public": True}).history.live
    assert service_of(world).said["invokerIamDisabled"] is True
    assert live_id(service) == live
    secret = f"projects/{PROJECT}/secrets/mlship-churn-operator"
    (binding,) = world.secrets.policies[secret]["bindings"]
    assert binding == {
        "role": "roles/secretmanager.secretAccessor",
        "members": ["serviceAccount:123456789012-compute@developer.gserviceaccount.com"],
    }
    value = world.secrets.kept[secret][1][0]
    assert not any(value.encode() in kept.raw for kept in world.storage.objects.values())
    assert service.open().apply(Action("destroy"), None).ok
    assert service.left() == []


def test_a_release_gets_the_secrets_version_that_was_the_newest(tmp_path: Path, there: Loopback, world: World) -> None:
    world.secrets.put("churn-keys", "a", "b")
    service = CloudRunService(tmp_path, there)
    target = service.open()
    assert target.pinned({"CHURN_KEYS": "churn-keys"}) == {"CHURN_KEYS": "2"}
    with pytest.raises(MlshipError, match=f"Secret Manager has no secret nobody with a version in {PROJECT}") as no:
        target.pinned({"CHURN_KEYS": "nobody"})
    assert no.value.where == "secrets.CHURN_KEYS.gcp"
    world.secrets.disabled.add(f"projects/{PROJECT}/secrets/churn-keys/2")
    with pytest.raises(MlshipError, match="the newest version of the secret churn-keys is disabled"):
        target.pinned({"CHURN_KEYS": "churn-keys"})
    plain = wanted(service, target, 1)
    release = replace(plain.release, served=replace(plain.release.served, secrets={"CHURN_KEYS": "1"}))
    deployment = replace(plain, release=release, references={"CHURN_KEYS": "churn-keys"})
    carry_out(target, plan("deploy", deployment, target.observe()))
    env = {one["name"]: one for one in service_of(world).said["template"]["containers"][0]["env"]}
    assert env["CHURN_KEYS"]["valueSource"] == {"secretKeyRef": {"secret": "churn-keys", "version": "1"}}


def test_callers_of_the_live_release_are_asked_for_with_a_token_for_the_service(
    tmp_path: Path, there: Loopback, world: World
) -> None:
    service = CloudRunService(tmp_path, there)
    deploy(service, 1)
    assert service.open().ask(Request("GET", "/readyz")).status == 200, "asked where Cloud Run lets it through"
    found = service_of(world)
    found.said["ingress"] = "INGRESS_TRAFFIC_INTERNAL_ONLY"
    assert service.open().ask(Request("GET", "/mlship/release")).status == 404


def test_a_person_asks_as_the_account_that_they_may_impersonate(
    tmp_path: Path, there: Loopback, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in persons_file(tmp_path / "identity").items():
        monkeypatch.setenv(name, value)
    door = SdkDoor(PROJECT, REGION, sleep=lambda seconds: None)
    nobody = Through(CloudRunService(tmp_path, there), door)
    said = [finding.what for finding in nobody.open().preflight(nobody.deployment(1))]
    assert said == ["these credentials are a person's, and give no token for the service's callers"]
    account = f"churn@{PROJECT}.iam.gserviceaccount.com"
    world.accounts.known.add(account)
    named = Through(CloudRunService(tmp_path, there, service_account=account), door)
    assert deploy(named, 1).history.live == live_id(named)
    assert world.google.count("generateIdToken") == 1, "a token is good for an hour"


def test_a_person_who_cannot_ask_a_service_sees_what_google_says_and_moves_nobody(
    tmp_path: Path, there: Loopback, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on the laptop of somebody whose project a pipeline deploys."""
    service = CloudRunService(tmp_path, there)
    live = deploy(service, 1).history.live
    for name, value in persons_file(tmp_path / "identity").items():
        monkeypatch.setenv(name, value)
    person = Through(service, SdkDoor(PROJECT, REGION, sleep=lambda seconds: None))
    observed = person.open().observe()
    (note,) = observed.notes
    assert observed.serving == live and "the server was not asked" in note and "these credentials are a person's" in note
    with pytest.raises(MlshipError, match="these credentials are a person's"):
        deploy(person, 2)
    assert dict(service.open().observe().weights) == {live: 1.0} and live_id(service) == live


def test_what_is_taken_back_is_operated_as_before(tmp_path: Path, there: Loopback, world: World) -> None:
    service = CloudRunService(tmp_path, there)
    plain = {"labels": {}, "settings": service.settings, "replicas": {"min": 0, "max": 2}}
    first = deploy(service, 1, replicas=(0, 2), operating=plain).history.live
    target = service.open()
    deployment = wanted(service, target, 2, replicas=(1, 8), labels={"team": "growth"})
    for kind in ("deliver", "stage", "shift"):
        assert target.apply(Action(kind, deployment.release.id, first), deployment).ok
    assert service_of(world).said["scaling"] == {"minInstanceCount": 1, "maxInstanceCount": 8}
    assert target.apply(Action("restore", deployment.release.id, first), deployment).ok
    assert service_of(world).said["scaling"] == {"maxInstanceCount": 2}
    assert "team" not in service_of(world).said["labels"]
    assert dict(service.open().observe().weights) == {first: 1.0}


def test_what_is_not_ours_is_left_alone(tmp_path: Path, there: Loopback, world: World) -> None:
    service = CloudRunService(tmp_path, there)
    deploy(service, 1)
    service_of(world).said["labels"] = {"team": "growth"}
    with pytest.raises(MlshipError, match="the service mlship-churn is not mlship's"):
        service.open().observe()
    gone = service.open().apply(Action("destroy"), None)
    assert not gone.ok and service.left()


def test_a_bucket_that_somebody_else_has_taken_is_never_read(tmp_path: Path, there: Loopback, world: World) -> None:
    world.storage.foreign.add(BUCKET)
    with pytest.raises(MlshipError, match=f"the bucket {BUCKET} is another project's") as no:
        deploy(CloudRunService(tmp_path, there), 1)
    assert no.value.exit is Exit.DENIED


def give_lease_back(world: World) -> None:
    """As if its time were over."""
    key = (BUCKET, "mlship/churn/-/lease.json")
    if key in world.storage.objects:
        kept = world.storage.objects[key]
        said: Mapping[str, Any] = json.loads(kept.raw)
        world.storage.objects[key] = replace(kept, raw=json.dumps({**said, "expires": 0.0}).encode())
