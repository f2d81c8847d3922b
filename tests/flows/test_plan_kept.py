"""plan --out and deploy --plan: the same bytes for the same world, and a refusal that names what moved, against the target in memory."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from fake_project import YAML, built, empty_world, made_context

from mlship.config.load import load_project
from mlship.errors import Exit, MlshipError
from mlship.flows import deploy, plan, plan_file, planned, rollback
from mlship.flows.context import Context, Where
from mlship.image.record import BuildRecords
from mlship.oci.image import Layer
from mlship.oci.layout import Layout
from mlship.releases.history import Entry, History
from mlship.releases.release import Release, Served
from mlship.targets import fake
from mlship.targets.base import Observed, Replica

HERE = Where(git="")  # no commit is asked for


@pytest.fixture(autouse=True)
def world() -> Iterator[None]:
    """Nothing is deployed, before and after."""
    with empty_world():
        yield


@pytest.fixture
def context(tmp_path: Path) -> Context:
    return made_context(tmp_path)


def written(context: Context, version: int = 1, *, name: str = "plan.json", again: bool = False) -> Path:
    found = plan.prepare_each(context, (HERE,), image=built(context, version), again=again)
    return plan_file.write(context.cwd / name, found, again=again)


def refused(context: Context, path: Path, where: Where = HERE) -> MlshipError:
    with pytest.raises(MlshipError) as raised:
        planned.prepare(context, where, path)
    return raised.value


def test_the_same_world_and_file_give_the_same_bytes_and_no_time_is_in_them(context: Context) -> None:
    first = written(context).read_bytes()
    later = replace(context, clock=lambda: context.clock() + 86_400, who="ci@elsewhere pid 9")
    (context.cwd / "mlship.yaml").write_text(f"# a remark\n\n{YAML}")
    assert written(later, name="again.json").read_bytes() == first
    document = json.loads(first)
    assert (document["schema"], document["project"], document["target"]) == (1, "churn", "fake")
    assert "1760000000" not in first.decode() and str(context.cwd) not in first.decode() and "anna" not in first.decode()


def test_a_plan_is_carried_out_as_it_stands_there(context: Context) -> None:
    path = written(context)
    document = json.loads(path.read_bytes())
    found, prepared = planned.prepare(context, HERE, path)
    done = deploy.deploy(context, prepared[0])
    (host,) = document["hosts"]
    assert len(found) == 1 and done.release.id == host["release"] and done.release.content == host["content"]
    assert [action.kind for action in fake.WORLD.done] == [*(action["kind"] for action in host["actions"]), "retire"]


def test_content_that_was_rejected_goes_when_the_plan_was_made_with_again(context: Context) -> None:
    for version in (1, 2):
        deploy.deploy(context, planned.prepare(context, HERE, written(context, version))[1][0])
    rollback.rollback(context, rollback.prepare(context, HERE))
    with pytest.raises(MlshipError, match="rejected before"):
        written(context, 2)
    again = planned.prepare(context, HERE, written(context, 2, again=True))[1][0]
    assert deploy.deploy(context, again).release.id.startswith("r3-")


def test_a_world_that_moved_is_named_with_who_moved_it(context: Context) -> None:
    deploy.deploy(context, plan.prepare(context, HERE, image=built(context, 1)))
    path = written(context, 2)
    deploy.deploy(context, plan.prepare(context, HERE, image=built(context, 3)))
    error = refused(context, path)
    assert (error.exit, error.code) == (Exit.STALE, "world-moved") and int(error.exit) == 14
    assert "the world moved since the plan was made: r2-" in error.what and "is live, r1-" in error.what
    assert any(line.startswith("since then: deploy r2-") and "anna@test" in line for line in error.details)
    assert error.details[-1] == "nothing was changed" and "mlship plan --out plan.json" in error.fix


def test_a_plan_is_carried_out_once(context: Context) -> None:
    path = written(context)
    deploy.deploy(context, planned.prepare(context, HERE, path)[1][0])
    assert "is live, nothing was" in refused(context, path).what


def test_a_world_that_moves_between_the_check_and_the_lease_is_left_alone(context: Context) -> None:
    first = planned.prepare(context, HERE, written(context, 1))[1][0]
    deploy.deploy(context, plan.prepare(context, HERE, image=built(context, 2)))
    with pytest.raises(MlshipError, match="something changed between the plan and now"):
        deploy.deploy(context, first)


def lost_record(context: Context, content: str) -> None:
    (context.home.images / "records" / f"{content.removeprefix('sha256:')}.json").unlink()


def lost_image(context: Context, content: str) -> None:
    Layout(context.home.images).keep_listed(lambda entry: False)


@pytest.mark.parametrize("lose", [lost_record, lost_image])
def test_an_image_that_is_gone_is_named(context: Context, lose: Callable[[Context, str], None]) -> None:
    path = written(context)
    lose(context, built(context, 1))
    error = refused(context, path)
    assert (error.exit, error.code) == (Exit.STALE, "image-gone")
    assert "is not on this machine" in error.what and "mlship cache import" in error.fix


def test_an_image_with_a_layer_gone_is_here_in_part_only(context: Context) -> None:
    layout = Layout(context.home.images)
    blob = layout.put_blob(b"tar", "application/vnd.oci.image.layer.v1.tar")
    image = layout.write_image([Layer(blob, "sha256:" + "a" * 64, 3)], {"Labels": {"mlship.project": "churn"}}, "linux/amd64")
    record = BuildRecords(context.home.images).of_content(built(context, 1))
    assert record is not None
    BuildRecords(context.home.images).write(replace(record, content=image.content))
    found = plan.prepare_each(context, (HERE,), image=image.content)
    path = plan_file.write(context.cwd / "plan.json", found)
    layout.path(blob.digest).unlink()
    assert "is here in part only" in refused(context, path).what


def test_an_mlship_yaml_that_differs_is_named_by_its_keys(context: Context) -> None:
    path = written(context)
    file = context.cwd / "mlship.yaml"
    file.write_text(YAML.replace("info", "debug").replace("growth", "risk"))
    error = refused(context, path)
    assert (error.exit, error.code) == (Exit.STALE, "configuration-moved")
    assert "env.LOG_LEVEL and 1 more" in error.what
    assert error.details[:2] == ("mlship.yaml:4:7 env.LOG_LEVEL", "mlship.yaml:5:10 labels.team")
    assert "debug" not in str(error) and "info" not in path.read_text()


def test_what_decides_nothing_on_a_target_is_no_part_of_the_configuration() -> None:
    one, same, other = (
        plan_file.configuration(load_project(Path("mlship.yaml"), text=YAML + more))
        for more in ("", "# remark\nslo: {p99: 50ms}\ncost: {budget: {monthly: 9 USD}}\n", "resources: {memory: 1GiB}\n")
    )
    assert one == same
    assert {key for key in {*one, *other} if one.get(key) != other.get(key)} == {"resources.memory"}
    assert "models.churn.uri" in one and not any(key.startswith(("slo", "cost", "targets.docker")) for key in one)


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        (lambda text: text[: len(text) // 2], "plan-damaged", "cut off"),
        (lambda text: text.replace('"again": false', '"again": true'), "plan-damaged", "changed after it was made"),
        (lambda text: text.replace('"schema": 1', '"schema": 2'), "newer-plan", "written by mlship"),
        (lambda text: "", "plan-damaged", "cut off"),
        (lambda text: "[1]", "plan-damaged", "no plan that mlship wrote"),
        (lambda text: '{"kind": "other"}', "plan-damaged", "no plan that mlship wrote"),
        (lambda text: "[" * 100_000, "plan-damaged", "cut off"),
    ],
)
def test_a_file_that_is_not_as_it_was_written_is_refused(
    context: Context, change: Callable[[str], str], code: str, words: str
) -> None:
    path = written(context)
    path.write_text(change(path.read_text()))
    error = refused(context, path)
    assert (error.exit, error.code) == (Exit.STALE, code) and words in error.what


def test_a_forged_file_with_a_right_digest_gives_no_trace(context: Context) -> None:
    forged: dict[str, object] = {"kind": plan_file.KIND, "schema": 1, "hosts": [1]}
    path = context.cwd / "plan.json"
    path.write_text(json.dumps({**forged, "digest": plan_file.digest(forged)}))
    assert refused(context, path).what == "the plan does not hold what a plan holds"


def test_a_decision_that_somebody_wrote_into_the_file_is_not_carried_out(context: Context) -> None:
    path = written(context)
    document = json.loads(path.read_bytes())
    document["hosts"][0]["operating"]["labels"] = {"team": "mine"}
    del document["digest"]
    path.write_text(json.dumps({**document, "digest": plan_file.digest(document)}))
    error = refused(context, path)
    assert (error.code, error.what) == ("decision-moved", "another change would be made now: operating")


def test_a_plan_of_another_environment_or_file_is_refused_as_usage(context: Context) -> None:
    path = written(context)
    error = refused(context, path, replace(HERE, environment="prod"))
    assert error.exit is Exit.USAGE and "--env is prod, and the plan is for no environment" in error.what
    missing = refused(context, context.cwd / "none.json")
    assert (missing.exit, missing.code) == (Exit.USAGE, "no-plan")


def seen(**changes: object) -> Observed:
    history = History("churn", "", "docker", 3, "r1-aaaaaa", (Release(1, Served("sha256:a", ()), 0.0),))
    return replace(Observed(history, fingerprint="one", restorable=frozenset({"r1-aaaaaa"})), **changes)  # type: ignore[arg-type]


def test_every_kind_of_move_has_its_words() -> None:
    then = plan_file.seen_then(seen())
    assert planned.moves(then, seen()) == []
    assert planned.moves(then, seen(fingerprint="two")) == ["copies, or how callers reach them, are others than the plan saw"]
    assert planned.moves(then, seen(weights={"r1-aaaaaa": 1.0})) == ["callers reach r1-aaaaaa 100 %, they reached nobody"]
    assert planned.moves(then, seen(restorable=frozenset())) == ["r1-aaaaaa no longer can be restored from here"]
    copy = Replica("churn-1", "r2-bbbbbb", True, staged=True)
    assert planned.moves(then, seen(replicas=(copy,))) == ["r2-bbbbbb waits at 0 % now"]
    history = seen().history
    assert history is not None
    entry = Entry(4, "r1-aaaaaa", "operate", "bert@far pid 1", 0.0)
    told = planned.moves(then, seen(history=replace(history, generation=4, entries=(entry,))))
    assert told == ["since then: operate r1-aaaaaa by bert@far pid 1"]
    assert planned.moves(then, Observed(None))[0] == "nothing is live, r1-aaaaaa was"


def test_of_several_hosts_the_one_that_moved_is_named_and_another_list_of_them_is_another_world(context: Context) -> None:
    one = plan.prepare(context, HERE, image=built(context, 1))
    hosts = ("ssh://deploy@a", "ssh://deploy@b")
    made = plan_file.planned(load_project(context.cwd / "mlship.yaml"), (one,), again=False)
    entries = [replace(made.hosts[0], host=host, engine=host) for host in hosts]
    file = plan_file.PlanFile(context.cwd / "plan.json", replace(made, hosts=entries))
    now = [plan.Seen(replace(one.opened, host=host, engine=host), one.observed, History("churn", "", "fake")) for host in hosts]
    planned.refuse_moved(file, now)
    moved = [now[0], replace(now[1], observed=replace(one.observed, fingerprint="other"))]
    with pytest.raises(MlshipError, match="since the plan was made: ssh://deploy@b: copies, or how callers reach them"):
        planned.refuse_moved(file, moved)
    with pytest.raises(
        MlshipError, match="the plan is for ssh://deploy@a, ssh://deploy@b, and this command talks to ssh://deploy@a"
    ):
        planned.refuse_moved(file, now[:1])


def test_a_plan_of_schema_1_is_read_for_ever() -> None:
    golden = plan_file.read(Path(__file__).parent / "golden" / "plan-1.json").plan
    assert (golden.project, golden.environment, golden.hosts[0].seen.live) == ("churn", "prod", "r1-3f2a91")
