"""Stories of a function of Lambda: a second machine, a company's account, commands that are killed, and what nobody told us."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("moto", reason="no moto: pip install 'moto[server]'")
pytest.importorskip("ministack", reason="no ministack: pip install ministack")
sys.path.insert(0, str(Path(__file__).parents[1] / "targets"))

import ecr_standin
from aws_account import ACCOUNT, REGION, Account, emulators
from contract import CANARY, carry_out, deploy, give_up, live_id, paused_canary, roll_back, wanted
from lambda_account import Functions, LambdaDoor, LambdaService, no, urls

from mlship.errors import Exit, MlshipError
from mlship.targets.aws.caller_lambda import PUSH
from mlship.targets.aws.delivery import tag_of
from mlship.targets.aws.door import BotoDoor, refusal
from mlship.targets.aws.lambdas.rendering import render
from mlship.targets.base import Action, Deployment, Request
from mlship.targets.plan import plan
from mlship.targets.rollout import Paused

pytestmark = pytest.mark.world
CLIENTS: dict[str, Any] = {}
DOOR = BotoDoor(REGION)
READS = ("describe", "list", "get", "head", "batch_get", "filter", "invoke")
NAME = "mlship-churn"
KEPT = 50  # releases: moto gives the number of a version that is gone to the next one


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    with emulators(tmp_path_factory.mktemp("aws")) as environ:
        yield environ


@pytest.fixture
def functions(running: Mapping[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Functions]:
    for name, text in running.items():
        monkeypatch.setenv(name, text)
    account = Account(running, clients=CLIENTS, door=DOOR)
    account.reset()
    found = Functions(account)
    with urls(found, tmp_path / "tls") as environ:
        for name, text in environ.items():
            monkeypatch.setenv(name, text)
        yield found


class Through:
    """A target whose door is another one."""

    def __init__(self, service: LambdaService, door: Any) -> None:
        self._service, self._door = service, door

    def __getattr__(self, name: str) -> Any:
        return getattr(self._service, name)

    def open(self) -> Any:
        return self._service.open(self._door)


class Watched(LambdaDoor):
    """Tells of each change before and after it is made."""

    def __init__(self, functions: Functions) -> None:
        super().__init__(functions)
        self.changes: list[str] = []

    def before(self, service: str, operation: str) -> None:
        pass

    def after(self, service: str, operation: str) -> None:
        pass

    def call(self, service: str, operation: str, /, **said: Any) -> dict[str, Any]:
        self.before(service, operation)
        answer = super().call(service, operation, **said)
        if not operation.startswith(READS):
            self.changes.append(f"{service} {operation}")
            self.after(service, operation)
        return answer


class Denied(Watched):
    """An identity that may not make roles, networks and stacks."""

    def before(self, service: str, operation: str) -> None:
        if service == "iam" or (service in ("ec2", "cloudformation") and not operation.startswith(READS)):
            raise refusal(f"{service} {operation}", {"Code": "AccessDenied", "Message": "not you"})


class Killed(BaseException):
    """SIGKILL: nothing of the command runs any more."""


class Mortal(Watched):
    """Dies right after its n-th change of the world, and does nothing more then."""

    def __init__(self, functions: Functions, at: int) -> None:
        super().__init__(functions)
        self._at = at

    def before(self, service: str, operation: str) -> None:
        if len(self.changes) > self._at:
            raise Killed

    def after(self, service: str, operation: str) -> None:
        self.before(service, operation)

    def all(self, service: str, operation: str, key: str, /, **said: Any) -> list[Any]:
        self.before(service, operation)
        return super().all(service, operation, key, **said)


class Busy(Watched):
    """Refuses each change of the function once."""

    def __init__(self, functions: Functions) -> None:
        super().__init__(functions)
        self.refused: set[str] = set()

    def before(self, service: str, operation: str) -> None:
        if service == "lambda" and not operation.startswith(READS) and operation not in self.refused:
            self.refused.add(operation)
            raise no(operation, "ThrottlingException", "Rate exceeded")


def test_a_second_machine_with_an_empty_disk_rolls_back_by_the_alias_alone(tmp_path: Path, functions: Functions) -> None:
    here = LambdaService(tmp_path / "here", functions)
    first = deploy(here, 1).history.live
    second = deploy(here, 2).history.live
    door = Watched(functions)
    there = Through(LambdaService(tmp_path / "there", functions), door)
    observed = there.open().observe()
    assert observed.history is not None and observed.history.live == second
    assert roll_back(there).history.live == first == live_id(here)
    changed = [change for change in door.changes if change.startswith("lambda ")]
    assert changed == ["lambda create_alias", "lambda update_alias", "lambda delete_alias"], "no image, no version"
    assert functions.signatures, "callers of a URL are judged by IAM, and so is mlship"


def test_what_is_rendered_is_what_is_sent(tmp_path: Path, functions: Functions) -> None:
    sent: dict[str, Any] = {}

    class Recording(Watched):
        def call(self, service: str, operation: str, /, **said: Any) -> dict[str, Any]:
            sent.setdefault(operation, said)
            return super().call(service, operation, **said)

    service = LambdaService(tmp_path, functions)
    target = service.open(Recording(functions))
    made = replace(wanted(service, target, 1), replicas=(1, 7))
    carry_out(target, plan("deploy", made, target.observe()))
    rendered = {name: json.loads(text) for name, text in render(made).items() if name.endswith(".json")}
    for file, operation in {
        "1-create-function": "create_function",
        "4-publish-version": "publish_version",
        "6-create-function-url-config": "create_function_url_config",
        "7-put-function-concurrency": "put_function_concurrency",
    }.items():
        said = {key: text for key, text in sent[operation].items() if key != "RevisionId"}
        assert shown(rendered[f"apply/service/{file}.json"], said) == said
    assert shown(rendered["apply/foundation/template.json"], {}) == json.loads(sent["create_change_set"]["TemplateBody"])


def shown(document: Any, said: Any) -> Any:
    """What is rendered, with what was said in the place of its variables."""
    if isinstance(document, dict):
        return {key: shown(value, said.get(key) if isinstance(said, dict) else None) for key, value in document.items()}
    is_variable = isinstance(document, str) and document.startswith("${") and document.endswith("}") and said is not None
    return said if is_variable else document


def test_an_identity_that_may_make_nothing_deploys_into_what_a_company_has(tmp_path: Path, functions: Functions) -> None:
    account = functions.account
    trusted = json.dumps({"Version": "2012-10-17", "Statement": []})
    account.client("iam").create_role(RoleName="churn-function", AssumeRolePolicyDocument=trusted)
    account.client("ecr").create_repository(repositoryName="team/churn")
    account.client("s3").create_bucket(Bucket="acme-mlship")
    said = {"roles": {"task": "churn-function"}, "repository": "team/churn", "bucket": "acme-mlship", "account": ACCOUNT}
    service = LambdaService(tmp_path, functions, **said)
    template = render(service.deployment(1))["eject/foundation.json"].decode()
    account.client("cloudformation").create_stack(StackName=NAME, TemplateBody=template)
    allowed = Through(service, Denied(functions))
    (first, second) = (deploy(allowed, version).history.live for version in (1, 2))
    assert first != second == live_id(allowed)
    assert roll_back(allowed).history.live == first
    told = account.client("lambda").get_function_configuration(FunctionName=NAME)
    assert told["Role"] == f"arn:aws:iam::{ACCOUNT}:role/churn-function"
    assert [role["RoleName"] for role in account.client("iam").list_roles()["Roles"]] == ["churn-function"]


@pytest.mark.parametrize("first", [0, 1, 2])
def test_a_command_that_is_killed_after_any_of_its_changes_is_simply_run_again(
    tmp_path: Path, functions: Functions, first: int
) -> None:
    """A third of the changes each, so that no test takes long."""
    service = LambdaService(tmp_path, functions)
    deploy(service, 1)
    version, at, was_killed = 2, first, True
    while was_killed:
        try:
            deploy(Through(service, Mortal(functions, at)), version, keep=KEPT)
        except Killed:
            give_lease_back(functions.account)
        else:
            was_killed = False
        assert deploy(service, version, keep=KEPT).history.live == live_id(service)
        observed = service.open().observe()
        assert [replica.release for replica in observed.replicas] == [live_id(service)] and not observed.repair
        version, at = version + 1, at + 3
    assert at > 8, "a deploy changes more than that"


def give_lease_back(account: Account) -> None:
    """As if its time were over."""
    place = {"Bucket": f"mlship-{ACCOUNT}-{REGION}", "Key": "mlship/churn/-/lease.json"}
    with_lease = account.client("s3").get_object(**place)["Body"].read()
    account.client("s3").put_object(**place, Body=json.dumps({**json.loads(with_lease), "expires": 0.0}).encode())


def test_a_role_that_was_made_a_moment_ago_is_waited_for(tmp_path: Path, functions: Functions) -> None:
    class Fresh(Watched):
        refusals = 2

        def before(self, service: str, operation: str) -> None:
            if operation == "create_function" and self.refusals:
                self.refusals -= 1
                raise no(operation, "InvalidParameterValueException", "The role defined for the function cannot be assumed")

    service = LambdaService(tmp_path, functions)
    assert deploy(Through(service, Fresh(functions)), 1).history.live == live_id(service)


def test_a_service_that_is_busy_is_no_fault_of_the_release(tmp_path: Path, functions: Functions) -> None:
    service, door = LambdaService(tmp_path, functions), Busy(functions)
    for _ in range(9):
        try:
            done = deploy(Through(service, door), 1)
        except MlshipError as error:
            assert "ThrottlingException" in str(error)
        else:
            break
    assert done.history.live == live_id(service) and not done.history.rejected
    assert len(door.refused) > 3


def test_credentials_of_another_account_change_nothing(tmp_path: Path, functions: Functions) -> None:
    service = LambdaService(tmp_path, functions, account="999999999999")
    deployment = service.deployment(1)
    with pytest.raises(MlshipError, match=f"the account {ACCOUNT}, and targets.aws.account is 999999999999") as wrong:
        service.open().preflight(deployment)
    assert wrong.value.exit is Exit.DENIED
    outcome = service.open().apply(Action("deliver", deployment.release.id), deployment)
    assert not outcome.ok and outcome.fault == "target"
    assert service.left() == []


def test_an_alias_that_somebody_moved_is_seen_and_put_right(tmp_path: Path, functions: Functions) -> None:
    service = LambdaService(tmp_path, functions)
    first = deploy(service, 1).history.live
    second = deploy(service, 2).history.live
    functions.account.client("lambda").update_alias(FunctionName=NAME, Name="live", FunctionVersion="1")
    observed = service.open().observe()
    assert (observed.serving, observed.repair) == (first, "the alias leads callers elsewhere, too")
    target = service.open()
    again = plan("deploy", wanted(service, target, 2), observed)
    assert carry_out(target, again).history.live == second == live_id(service)


def test_a_release_whose_image_somebody_removed_is_not_promised(tmp_path: Path, functions: Functions) -> None:
    service = LambdaService(tmp_path, functions)
    first = deploy(service, 1).history.live
    second = deploy(service, 2).history.live
    tag = tag_of(service.deployment(1).release.served.content, PUSH)
    ecr_standin.take_away(functions.account.environ["ECR_DATA_PLANE"], "mlship/churn", tag)
    observed = service.open().observe()
    assert dict(observed.lost) == {first: "its image is not in the registry any more"}
    assert observed.restorable == {second}


def test_a_function_that_somebody_else_changes_meanwhile_is_not_published(tmp_path: Path, functions: Functions) -> None:
    service = LambdaService(tmp_path, functions)
    first = deploy(service, 1).history.live

    class Meddled(Watched):
        def before(self, service: str, operation: str) -> None:
            if operation == "publish_version":
                functions.touch(NAME)

    with pytest.raises(MlshipError, match="PreconditionFailedException"):
        deploy(Through(service, Meddled(functions)), 2)
    assert live_id(service) == first
    assert deploy(service, 2).history.live == live_id(service) != first


def test_a_canary_is_judged_by_what_each_version_answered(tmp_path: Path, functions: Functions) -> None:
    service = LambdaService(tmp_path, functions)
    first = deploy(service, 1).history.live
    gated = replace(CANARY, approve="auto", gates=("error_rate < 1%",), min_requests=5, steps=(0.5, 1.0), bake_s=0.0)
    functions.calls_between_looks = 20
    second = deploy(service, 2, strategy=gated).history.live
    assert second == live_id(service) != first

    functions.failing = {"3"}
    with pytest.raises(MlshipError, match="error_rate") as failed:
        deploy(service, 3, strategy=gated)
    assert failed.value.exit is Exit.VERIFY_FAILED
    assert live_id(service) == second
    assert {release: share for release, share in service.open().observe().weights.items() if share} == {second: 1.0}


def test_shares_are_weights_of_the_alias_as_they_were_asked_for(tmp_path: Path, functions: Functions) -> None:
    service = LambdaService(tmp_path, functions)
    deploy(service, 1)
    paused_canary(service, strategy=replace(CANARY, steps=(0.07, 1.0)))
    alias = functions.account.client("lambda").get_alias(FunctionName=NAME, Name="live")
    assert (alias["FunctionVersion"], alias["RoutingConfig"]) == ("1", {"AdditionalVersionWeights": {"2": 0.07}})


def test_how_it_is_operated_changes_without_a_new_version(tmp_path: Path, functions: Functions) -> None:
    service = LambdaService(tmp_path, functions)
    first = deploy(service, 1)
    operating = {**first.history.operating, "labels": {"team": "growth"}, "replicas": {"min": 1, "max": 8}}
    deploy(service, 1, operating=operating, labels={"team": "growth"}, replicas=(1, 8))
    client = functions.account.client("lambda")
    assert client.get_function_concurrency(FunctionName=NAME)["ReservedConcurrentExecutions"] == 8
    function = client.get_function_configuration(FunctionName=NAME)["FunctionArn"]
    assert client.list_tags(Resource=function)["Tags"]["team"] == "growth"
    assert len(client.list_versions_by_function(FunctionName=NAME)["Versions"]) == 2  # $LATEST and 1


def test_a_function_of_somebody_else_is_neither_changed_nor_taken_away(tmp_path: Path, functions: Functions) -> None:
    service, client = LambdaService(tmp_path, functions), functions.account.client("lambda")
    deploy(service, 1)
    function = client.get_function_configuration(FunctionName=NAME)
    client.untag_resource(Resource=function["FunctionArn"], TagKeys=["mlship.project"])
    with pytest.raises(MlshipError, match="the function mlship-churn is there already, and not mlship's: it is not tagged"):
        deploy(service, 2)
    gone = service.open().apply(Action("destroy"), None)
    assert not gone.ok and "not mlship's" in gone.cause
    assert client.get_function_configuration(FunctionName=NAME)["CodeSha256"] == function["CodeSha256"]


def kept(functions: Functions) -> dict[str, int]:
    return {version: count for (_, version), (count, _) in functions.ready.items()}


def test_copies_are_warm_before_callers_and_gone_after_them(tmp_path: Path, functions: Functions) -> None:
    here, there = (LambdaService(tmp_path / name, functions) for name in ("here", "there"))
    operating = {**here.deployment(1).operating, "replicas": {"min": 2, "max": 8}}
    first = deploy(here, 1, replicas=(2, 8), operating=operating).history.live
    assert kept(functions) == {"1": 2}
    with pytest.raises(Paused):
        deploy(here, 2, replicas=(2, 20), strategy=CANARY)
    assert kept(functions) == {"1": 2, "2": 2}, "both have callers"
    assert give_up(there, "nobody likes it").history.live == first
    assert kept(functions) == {"1": 2}
    told = functions.account.client("lambda").get_function_concurrency(FunctionName=NAME)
    assert told["ReservedConcurrentExecutions"] == 8, "the cap of what serves, and not of what was given up"
    deploy(here, 3, replicas=(2, 3))
    assert kept(functions) == {"3": 2}, "one beside those that served, all of them after them"
    target = there.open()
    observed = target.observe()
    assert observed.history is not None
    release = observed.history.find(first)
    assert release is not None
    back = replace(there.deployment(1), release=release, operating=observed.history.operating, replicas=(2, 8))
    assert carry_out(target, plan("rollback", back, observed)).history.live == first == live_id(there)
    assert kept(functions) == {"1": 2}
    ranged = {**observed.history.operating, "replicas": {"min": 2, "max": 8}}
    deploy(here, 1, operating=ranged, replicas=(2, 8))
    functions.ready.clear()  # by somebody
    assert there.open().observe().repair == "0 of 2 copies are kept ready"
    deploy(there, 1, operating=ranged, replicas=(2, 8))
    assert kept(functions) == {"1": 2} and not there.open().observe().repair
    fewer = {**ranged, "replicas": {"min": 1, "max": 4}}
    deploy(here, 1, operating=fewer, replicas=(1, 4))
    assert kept(functions) == {"1": 1}
    deploy(here, 4, replicas=(0, 2))
    assert kept(functions) == {}, "a release with a lower cap and no minimum"


def test_a_release_whose_copies_cannot_be_kept_ready_meets_no_caller(tmp_path: Path, functions: Functions) -> None:
    service = LambdaService(tmp_path, functions)
    first = deploy(service, 1, replicas=(1, 4)).history.live
    functions.cold = {wanted(service, service.open(), 2).release.served.content}
    with pytest.raises(MlshipError, match="cannot keep copies of mlship-churn ready: FUNCTION_ERROR_INIT_FAILURE"):
        deploy(service, 2, replicas=(1, 4))
    assert live_id(service) == first and kept(functions) == {"1": 1}


def test_a_quota_of_copies_is_met_before_anything_is_made(tmp_path: Path, functions: Functions) -> None:
    functions.unreserved = 120
    service = LambdaService(tmp_path, functions)
    deployment = replace(service.deployment(1), replicas=(1, 40))
    assert [finding.code for finding in service.open().preflight(deployment) if finding.severity == "error"] == ["quota"]
    assert service.left() == []


def closed(service: LambdaService, deployment: Deployment, *, is_public: bool = True) -> Deployment:
    """The deployment with serve.auth, and keys of the account's store."""
    references = {"CHURN_KEYS": "secretsmanager:churn/keys"}
    serving = {"auth": {"api_keys": "CHURN_KEYS"}}
    served = replace(deployment.release.served, serving=serving, secrets=service.open().pinned(references))
    release = replace(deployment.release, served=served)
    operating = {**deployment.operating, "public": True} if is_public else deployment.operating
    return replace(deployment, release=release, references=references, operating=operating)


def auth_type(functions: Functions) -> str:
    return str(functions.account.client("lambda").get_function_url_config(FunctionName=NAME, Qualifier="live")["AuthType"])


def test_nobody_reaches_a_version_that_judges_no_caller_while_another_one_is_public(
    tmp_path: Path, functions: Functions
) -> None:
    functions.account.client("secretsmanager").create_secret(Name="churn/keys", SecretString="anna: " + "a" * 40)
    service = LambdaService(tmp_path, functions)
    first = deploy(service, 1).history.live
    seen: list[tuple[str, str]] = []

    class Looking(Watched):
        def after(self, service: str, operation: str) -> None:
            if operation == "update_alias":
                led = functions.account.client("lambda").get_alias(FunctionName=NAME, Name="live")
                others = (led.get("RoutingConfig") or {}).get("AdditionalVersionWeights") or {}
                seen.append(("1" if "1" in (led["FunctionVersion"], *others) else "", auth_type(functions)))

    looking = Through(service, Looking(functions))
    target = looking.open()
    gradual = replace(CANARY, approve="auto", steps=(0.5, 1.0))
    public = replace(closed(service, wanted(service, target, 2)), strategy=gradual)
    second = carry_out(target, plan("deploy", public, target.observe())).history.live
    assert auth_type(functions) == "NONE" and second == live_id(service) != first
    assert roll_back(looking).history.live == first
    assert auth_type(functions) == "AWS_IAM"
    assert {auth for open_one, auth in seen if open_one} == {"AWS_IAM"}, seen


def test_a_service_with_keys_of_its_own_is_asked_with_mlships(tmp_path: Path, functions: Functions) -> None:
    service = LambdaService(tmp_path, functions)
    secrets = functions.account.client("secretsmanager")
    keys = secrets.create_secret(Name="churn/keys", SecretString="anna: " + "a" * 40)

    target = service.open()
    made = closed(service, wanted(service, target, 1))
    done = carry_out(target, plan("deploy", made, target.observe()))
    assert done.history.live == live_id(service)
    variables = functions.account.client("lambda").get_function_configuration(FunctionName=NAME)["Environment"]["Variables"]
    assert variables["MLSHIP_AWS_SECRET_CHURN_KEYS"] == f"{keys['ARN']} {keys['VersionId']}"
    assert functions.refused_callers, "without a key the function answers 401"
    told = functions.account.client("lambda").get_policy(FunctionName=NAME, Qualifier="live")["Policy"]
    assert '"FunctionUrlAuthType": "NONE"' in told and "lambda:InvokeFunction" in told
    answer = service.open().ask(Request("POST", "/predict", b'{"instances": [{"age": 30}]}'))
    assert answer.status == 200


def test_callers_of_a_release_that_was_never_committed_go_back_to_the_live_one(tmp_path: Path, functions: Functions) -> None:
    """A command was killed between shift and commit, and the next one finds the same release bad."""
    service = LambdaService(tmp_path, functions)
    first = deploy(service, 1).history.live
    target = service.open()
    deployment = wanted(service, target, 2)
    for kind in ("deliver", "stage", "shift"):
        assert target.apply(Action(kind, deployment.release.id, first), deployment).ok
    assert live_id(service) == deployment.release.id
    assert target.apply(Action("discard", deployment.release.id), deployment).ok
    assert live_id(service) == first
    assert deployment.release.id not in service.open().observe().restorable
