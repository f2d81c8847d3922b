"""What people see, as whole texts: the tone is part of the promise."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from pathlib import Path

from mlship.cli import payloads
from mlship.cli.failures import error_text
from mlship.cli.views.build import build_text
from mlship.cli.views.check import check_text
from mlship.cli.views.deploy import abort_text, deploy_text, plan_text, rollback_plan_text, rollback_text
from mlship.cli.views.doctor import doctor_text
from mlship.cli.views.history import history_text
from mlship.cli.views.init import init_text
from mlship.cli.views.renew import renew_plan_text, renewed_text
from mlship.cli.views.status import list_text, status_text
from mlship.cli.views.text import age, columns, curl, day_and_time, time_of_day
from mlship.errors import Exit, Finding, MlshipError
from mlship.flows.results import (
    Aborted,
    Built,
    Checked,
    Deployed,
    Diagnosis,
    Explanation,
    HistoryView,
    ImageReport,
    Initialised,
    LayerReport,
    Listed,
    ModelReport,
    PlanView,
    ReleaseView,
    Renewed,
    RenewView,
    Status,
    Traffic,
    UnderwayView,
    Verified,
)
from mlship.image.explain import LayerWhy
from mlship.image.sizes import Part
from mlship.releases.history import Entry
from mlship.targets.base import Action, FrontFacts, Observed, Replica, ServiceRow, Why

NOW = 1_800_000_000.0
MODEL = ModelReport(
    name="churn",
    framework="sklearn",
    title="Pipeline",
    path="models/churn.joblib",
    size=12_000_000,
    sha256="7f" * 32,
    inputs="4 features (2 text, 1 nullable)",
    sample=20,
    code=("churn/ (3 files)",),
    trust=("churn.features.Rare",),
    versions={"scikit-learn": "1.9.1"},
)
OLD = ReleaseView("r11-12bd90", "sha256:" + "ab" * 32, {"churn": "11" * 32}, NOW - 9 * 86400)
NEW = ReleaseView("r12-7f3a9c", "sha256:" + "cd" * 32, {"churn": "22" * 32}, NOW - 3 * 3600)
PLAN = PlanView(
    project="churn",
    environment="prod",
    target="docker",
    service="haproxy",
    release=NEW,
    previous=OLD,
    actions=(Action("stage", "r12-7f3a9c"), Action("shift", "r12-7f3a9c")),
    create=("release r12-7f3a9c",),
    update=("service churn: r11-12bd90 -> r12-7f3a9c",),
    delete=(),
    steps=("r12-7f3a9c starts at 0 %", "callers reach r12-7f3a9c; a gap of about 1 s"),
    findings=(),
    undo="r11-12bd90 stays restorable: mlship rollback",
    fingerprint="f",
)
DEPLOYED = Deployed(
    plan=PLAN,
    release=NEW,
    previous=OLD,
    endpoint="http://127.0.0.1:8080",
    verified=Verified("r12-7f3a9c", "http://127.0.0.1:8080", 20, "release id and 20 predictions ok"),
    generation=12,
    unchanged=False,
    seconds=4.21,
    sample_body={"instances": [{"age": 30, "name": "O'Neill"}]},
)
BUILT = Built(
    project="churn",
    models=(MODEL,),
    environment=".venv (Python 3.11.7)",
    base="debian bookworm",
    packages=31,
    reference="churn",
    content="sha256:c41e07" + "0" * 58,
    digest="sha256:" + "0" * 64,
    platform="linux/amd64",
    size=238_000_000,
    compressed=68_000_000,
    layers=(
        LayerReport("base", "debian", 90_000_000, 30_000_000, False),
        LayerReport("packages", "packages", 136_000_000, 35_000_000, False),
        LayerReport("model", "churn", 12_000_000, 3_100_000, True),
    ),
    checks=("sample 20/20 equal (rtol 1e-06)", "import ok", "load 210 MB of 2GiB"),
    findings=(),
    engine="original",
    unchanged=False,
    seconds=1.4,
)


def test_build_says_what_the_image_is_made_of_and_what_is_new():
    assert build_text(BUILT, "mlship deploy --env prod") == (
        "churn   scikit-learn 1.9.1 Pipeline, 4 features (2 text, 1 nullable)   models/churn.joblib 12 MB\n"
        "  own code  churn/ (3 files)\n"
        "  trusted   churn.features.Rare\n"
        "  sample    20 rows\n"
        "  environment  .venv (Python 3.11.7)\n"
        "  base         debian bookworm\n"
        "  packages     31 locked\n"
        "  layer        model churn  12 MB -> 3.1 MB\n"
        "  reused       debian, packages\n"
        "  checks       sample 20/20 equal (rtol 1e-06)   import ok   load 210 MB of 2GiB\n"
        "  engine       original\n"
        "Built churn  content c41e07000000  238 MB (68 MB compressed), 1 layer new, 1.4 s\n"
        "Next: mlship deploy --env prod"
    )


def test_a_build_for_several_platforms_says_what_they_share_and_what_a_deployment_proves():
    model = replace(BUILT.layers[2], digest="sha256:aa")
    layers = (replace(BUILT.layers[0], digest="sha256:bb"), model)
    amd = ImageReport(
        "c41e07", BUILT.content, BUILT.digest, "linux/amd64", 238_000_000, 68_000_000, layers, BUILT.base, 31, BUILT.checks
    )
    base = replace(layers[0], digest="sha256:cc", is_new=True)
    left = ("churn loads", "churn answers its sample of 20 as on linux/amd64 (rtol 1e-06)")
    arm = replace(amd, content="sha256:d2" + "0" * 62, platform="linux/arm64", layers=(base, model), to_run_at_deploy=left)
    said = build_text(replace(BUILT, layers=layers, images=(amd, arm)), "mlship deploy").splitlines()
    assert said[-6:-1] == [
        "  linux/amd64  content c41e07000000   238 MB (68 MB compressed), 1 layer new",
        "  linux/arm64  content d20000000000   238 MB (68 MB compressed), 2 layers new, shares 1 (3.1 MB)",
        "  at deploy    linux/arm64: churn loads",
        "  at deploy    linux/arm64: churn answers its sample of 20 as on linux/amd64 (rtol 1e-06)",
        "Built churn for linux/amd64 and linux/arm64  content c41e07000000  238 MB (68 MB compressed), 2 layers new, 1.4 s",
    ]
    again = build_text(replace(BUILT, images=(amd, arm), unchanged=True), "mlship deploy").splitlines()
    assert again[0].startswith("Nothing to do: churn is built for linux/amd64 and linux/arm64  content c41e07000000")
    assert "  at deploy    linux/arm64: churn loads" in again


def test_a_build_that_had_nothing_to_do_says_so():
    assert build_text(replace(BUILT, unchanged=True, seconds=0.2), "mlship deploy") == (
        "Nothing to do: churn is built  content c41e07000000  238 MB (68 MB compressed), 0.2 s\nNext: mlship deploy"
    )


def test_build_says_what_makes_the_image_big():
    parts = [Part("python", f"p{number}", "1.0", 20_000_000) for number in range(8)]
    parts += [Part("system", "libc6", "2.36-9+deb12u13", 9_600_000), Part("model", "churn", "", 400_000)]
    said = build_text(replace(BUILT, parts=tuple(parts)), "mlship deploy").splitlines()
    start = next(number for number, line in enumerate(said) if line.startswith("  largest"))
    assert said[start : start + 8] == [
        "  largest      p0 1.0       20 MB    8 %",
        *[f"               p{number} 1.0       20 MB    8 %" for number in range(1, 7)],
        "               3 others     30 MB   13 %",
    ]
    few = build_text(replace(BUILT, parts=tuple(parts[8:])), "mlship deploy")
    assert "largest      libc6        9.6 MB    4 %" in few and "model churn  400 KB  < 1 %" in few


def test_build_explains_which_layers_it_made_again():
    whys = (
        LayerWhy("base debian, packages numpy", "kept", ("same inputs",)),
        LayerWhy("code", "made", ("a.py has other content",)),
    )
    told = Explanation("linux/amd64", "sha256:" + "ab" * 32, 0.0, whys)
    said = build_text(replace(BUILT, explained=(told,)), "mlship deploy")
    assert (
        "Why, compared with abababababab\n"
        "  made  code: a.py has other content\n"
        "  kept  base debian, packages numpy: same inputs\n"
    ) in said
    same = build_text(replace(BUILT, unchanged=True, explained=(replace(told, whys=()),)), "mlship deploy")
    assert "Why, compared with abababababab: the same inputs, the same image" in same
    first = build_text(replace(BUILT, explained=(Explanation("linux/amd64", "", 0.0, whys),)), "mlship deploy")
    assert "Why: there was no image of this project before" in first


def test_build_names_the_papers_that_it_wrote():
    papers = (Path("/shop/sbom/churn.spdx.json"), Path("/shop/sbom/churn.cdx.json"))
    said = build_text(replace(BUILT, papers=papers), "mlship deploy").splitlines()
    assert said[-2:] == ["Wrote /shop/sbom/churn.spdx.json and /shop/sbom/churn.cdx.json", "Next: mlship deploy"]
    again = build_text(replace(BUILT, papers=papers, unchanged=True), "mlship deploy").splitlines()
    assert again[-2:] == said[-2:]


def test_the_plan_shows_steps_changes_and_how_to_undo_them():
    assert plan_text(PLAN) == (
        "Plan  churn/prod -> docker haproxy          live r11-12bd90 -> new r12-7f3a9c\n"
        "  r12-7f3a9c starts at 0 %\n"
        "  callers reach r12-7f3a9c; a gap of about 1 s\n"
        "  +  release r12-7f3a9c\n"
        "  ~  service churn: r11-12bd90 -> r12-7f3a9c\n"
        "  undo: r11-12bd90 stays restorable: mlship rollback"
    )


def test_a_first_release_is_called_one():
    assert plan_text(replace(PLAN, previous=None)).splitlines()[0].endswith("first release r12-7f3a9c")


def test_what_is_only_taken_back_is_not_called_new():
    back = replace(PLAN, release=OLD, previous=NEW, actions=(Action("restore", "r12-7f3a9c", "r11-12bd90"),))
    assert plan_text(back).splitlines()[0].endswith("          r12-7f3a9c is taken back, live r11-12bd90 stays")
    assert plan_text(replace(back, release=None)).splitlines()[0].endswith("r12-7f3a9c is taken back, nothing is live")


def test_an_empty_plan_says_what_is_live():
    empty = replace(PLAN, actions=(), environment="", service="process")
    assert plan_text(empty) == "Plan  churn -> docker process: nothing to change, r12-7f3a9c is live"


def test_deploy_ends_with_lines_that_can_be_pasted():
    assert deploy_text(DEPLOYED) == (
        "Live: r12-7f3a9c  http://127.0.0.1:8080   release id and 20 predictions ok   4.2 s\n"
        "Try:  curl -H 'Content-Type: application/json' http://127.0.0.1:8080/predict "
        """-d '{"instances": [{"age": 30, "name": "O'"'"'Neill"}]}'\n"""
        "Undo: mlship rollback churn --target docker --env prod"
    )
    closed = deploy_text(replace(DEPLOYED, is_closed=True))
    assert "Try:  curl -H 'Authorization: Bearer KEY' -H 'Content-Type: application/json' http" in closed


def test_an_endpoint_that_takes_signed_calls_alone_is_tried_by_a_command():
    signed = replace(DEPLOYED, endpoint="https://runtime.sagemaker.eu-west-1.amazonaws.com/endpoints/churn/invocations")
    assert "Try:  mlship predict churn --target docker --env prod\n" in deploy_text(signed)
    assert "Try" not in deploy_text(replace(DEPLOYED, endpoint="")), "nobody could tell where it is"


def test_a_first_deploy_is_undone_by_destroying_it():
    first = replace(DEPLOYED, previous=None, plan=replace(PLAN, previous=None))
    assert deploy_text(first).splitlines()[-1] == "Undo: mlship destroy churn --target docker --env prod"


def test_a_release_that_replaced_another_service_is_not_undone_by_destroying_it():
    moved = replace(DEPLOYED, previous=None, plan=replace(PLAN, previous=None, replaces="lambda"))
    assert "Undo" not in deploy_text(moved)


def test_a_deploy_that_leaves_the_release_in_service_is_not_undone_by_destroying_it():
    stays = replace(DEPLOYED, previous=NEW)
    operated = replace(stays, plan=replace(PLAN, actions=(Action("operate", "r12-7f3a9c"),)))
    assert (
        deploy_text(operated).splitlines()[-1] == "Undo: write the former settings into mlship.yaml again, then mlship deploy"
    )
    for again in (stays, replace(stays, unchanged=True), replace(DEPLOYED, previous=None, unchanged=True)):
        assert "Undo" not in deploy_text(again)


def test_a_deploy_that_had_nothing_to_do_says_what_is_live():
    assert deploy_text(replace(DEPLOYED, unchanged=True)).splitlines()[0] == (
        "Nothing to do: r12-7f3a9c is live at http://127.0.0.1:8080"
    )


def test_rollback_says_which_release_gives_way_to_which():
    plan = replace(PLAN, release=OLD, previous=NEW)
    assert rollback_plan_text(plan, NOW).splitlines()[0] == (
        "Plan  churn/prod docker    r12-7f3a9c (3 h ago) -> r11-12bd90 (9 d ago)"
    )
    rolled = replace(DEPLOYED, plan=plan, release=OLD, previous=NEW)
    assert rollback_text(rolled) == (
        "Rolled back to r11-12bd90 in 4.2 s.  http://127.0.0.1:8080   release id and 20 predictions ok\n"
        "  r12-7f3a9c is marked rejected: deploying it again needs --again.\n"
        "Next: mlship history churn --target docker --env prod"
    )


STATUS = Status(
    project="churn",
    environment="prod",
    target="docker",
    endpoint="http://127.0.0.1:8080",
    live=NEW,
    previous=OLD,
    serving="r12-7f3a9c",
    observed=Observed(history=None, replicas=(Replica("churn-1", "r12-7f3a9c", True, NOW - 7200),)),
)


def test_status_says_what_the_front_has_and_how_old_that_is():
    front = FrontFacts(
        "HAProxy 2.6.12-1, OpenSSL 3.0.17-1", "abc", time.strftime("%Y-%m-%d", time.gmtime(NOW - 3 * 86400)), "k"
    )
    said = status_text(replace(STATUS, observed=replace(STATUS.observed, front=front)), NOW)
    assert re.search(r"\n  front     HAProxy 2\.6\.12-1, OpenSSL 3\.0\.17-1, packages of \d{4}-\d\d-\d\d \(3 d ago\)\n", said)
    unknown = replace(STATUS, observed=replace(STATUS.observed, front=FrontFacts()))
    assert "front" not in status_text(unknown, NOW)


def test_a_renewal_says_what_it_costs_before_and_what_it_cost():
    old = FrontFacts("HAProxy 2.6.12-1, OpenSSL 3.0.17-1", "abc", "2026-09-01", "k")
    new = FrontFacts("HAProxy 2.6.12-2, OpenSSL 3.0.22-1", "def", "2026-11-22", "k")
    view = RenewView("churn", "prod", "docker", "", old, new)
    said = renew_plan_text(view)
    assert "  now   HAProxy 2.6.12-1, OpenSSL 3.0.17-1, packages of 2026-09-01\n" in said
    assert "nobody reaches the service for 1 to 2 seconds" in said
    assert renewed_text(Renewed(view, "http://h:1", ("nobody reached the service for 0.7 s",))) == (
        "Renewed: HAProxy 2.6.12-2, OpenSSL 3.0.22-1   http://h:1\n  nobody reached the service for 0.7 s"
    )
    same = replace(view, after=replace(old, made="2026-11-22"))
    assert renewed_text(Renewed(same, "http://h:1")) == (
        "Nothing to do: HAProxy 2.6.12-1, OpenSSL 3.0.17-1 are the newest packages   http://h:1"
    )
    assert not replace(view, after=replace(old, key="another keeper")).is_empty


def test_status_says_what_serves_since_when():
    assert status_text(STATUS, NOW) == (
        "churn/prod  docker  http://127.0.0.1:8080\n"
        "  live      r12-7f3a9c  content cdcdcdcdcdcd  models churn 222222  3 h ago\n"
        "  previous  r11-12bd90  content abababababab  models churn 111111  9 d ago\n"
        "  replicas  1/1 ready\n"
        "    churn-1  r12-7f3a9c  ready    2 h ago\n"
        "Next: mlship verify churn --target docker --env prod"
    )


CANARY = replace(
    STATUS,
    generation=31,
    since=NOW - 7200,
    observed=Observed(
        history=None,
        replicas=(
            Replica("churn-r12-7f3a9c-1", "r12-7f3a9c", True, NOW - 7200),
            Replica("churn-r13-0a1b2c-1", "r13-0a1b2c", False, NOW - 60, detail="restarting"),
        ),
        weights={"r12-7f3a9c": 0.95, "r13-0a1b2c": 0.05},
    ),
    traffic=(
        Traffic("r12-7f3a9c", 40_812, 2, 41.0, 8.1, 22.0, 31.5),
        Traffic("r13-0a1b2c", 0, 0, 0.0, None, None, None),
    ),
    underway=UnderwayView("r13-0a1b2c", "r12-7f3a9c", "deploy", "canary", 0, 0.05, NOW - 600),
    why=(
        Why("churn-r13-0a1b2c-1", "r13-0a1b2c", "restarting", 137, True, 3, "connection refused", ("loading model", "killed")),
    ),
)


def test_status_of_a_canary_says_who_gets_how_much_and_how_to_go_on():
    assert status_text(CANARY, NOW).splitlines()[3:] == [
        f"  since     {day_and_time(NOW - 7200)} (2 h ago)  generation 31",
        "  replicas  1/2 ready",
        "    churn-r12-7f3a9c-1  r12-7f3a9c  ready        2 h ago",
        "    churn-r13-0a1b2c-1  r13-0a1b2c  not ready    1 min ago  restarting",
        "  traffic   r12-7f3a9c  95 %  41 rps  p50 8.1 ms p95 22 ms  errors 2/40812 (0.0049 %)",
        "  traffic   r13-0a1b2c  5 %   0 rps   no requests yet       errors 0/0",
        f"  rollout   canary r13-0a1b2c at 5 %, unattended since {time_of_day(NOW - 600)} (10 min ago): "
        "its command ended; callers stay where they are",
        "  why  churn-r13-0a1b2c-1  r13-0a1b2c  restarting",
        "       ended  exit 137, out of memory, started again 3 times",
        "       probe  GET /readyz -> connection refused",
        "       log    loading model",
        "              killed",
        "Next: mlship promote churn --target docker --env prod   # goes on",
        "  or  mlship abort churn --target docker --env prod   # takes it back",
    ]


def test_status_of_what_is_being_taken_back_does_not_propose_to_go_on():
    assert CANARY.underway
    failed = status_text(replace(CANARY, underway=replace(CANARY.underway, failed="p95_ms is 97.5 ms")), NOW)
    assert "canary r13-0a1b2c is being taken back, its command ended before it was done: p95_ms is 97.5 ms\n" in failed
    assert failed.endswith("Next: mlship abort churn --target docker --env prod   # ends that")
    assert "promote" not in failed


def test_status_says_why_a_rollout_waits_or_who_attends_to_it():
    assert CANARY.underway
    paused = replace(CANARY, underway=replace(CANARY.underway, paused="0 of the 200 requests"))
    assert f"paused since {time_of_day(NOW - 600)} (10 min ago): 0 of the 200 requests" in status_text(paused, NOW)
    first = replace(CANARY, live=None, previous=None, serving="", underway=replace(paused.underway, before="", share=0.0))
    waits = status_text(first, NOW)
    assert "canary r13-0a1b2c at 0 %, paused since" in waits and "warning" not in waits
    assert "Next: mlship promote churn" in waits, "a first release that nobody answers for yet waits, too"
    attended = status_text(replace(CANARY, underway=replace(CANARY.underway, attended_by="ci@runner pid 7")), NOW)
    assert f"at 5 % since {time_of_day(NOW - 600)} (10 min ago), attended by ci@runner\n" in attended
    assert "promote" not in attended
    begins = status_text(replace(first, underway=replace(first.underway, paused="", attended_by="ci@runner pid 7")), NOW)
    assert begins.endswith("Next: mlship logs churn --target docker --env prod"), "there is nothing yet that one could verify"
    mirrored = replace(CANARY, underway=replace(CANARY.underway, share=0.0, mirror=0.1))
    assert "rollout   canary r13-0a1b2c at 0 % with a mirror of 10 %, unattended" in status_text(mirrored, NOW)
    assert payloads.status(mirrored)["underway"]["mirror_percent"] == 10.0


def test_status_for_machines_has_shares_in_percent():
    told = payloads.status(CANARY)
    assert told["weights"] == {"r12-7f3a9c": 95.0, "r13-0a1b2c": 5.0}
    assert told["traffic"]["r12-7f3a9c"]["p95_ms"] == 22.0
    assert (told["underway"]["percent"], told["generation"]) == (5.0, 31)
    assert told["why"][0]["exit_code"] == 137
    assert payloads.status(STATUS)["weights"] == {"r12-7f3a9c": 100.0}


def test_a_pause_is_no_error_and_says_what_is_next():
    paused = MlshipError(
        "r13 is paused at 5 % of the callers",
        fix="mlship promote churn goes on",
        exit=Exit.PAUSED,
        details=("p95 of 3 requests",),
    )
    assert error_text(paused) == (
        "PAUSED  r13 is paused at 5 % of the callers\n  p95 of 3 requests\n  next    mlship promote churn goes on\nexit 12"
    )


def test_what_was_aborted_is_said_with_its_reason():
    taken = Aborted("churn", "prod", "docker", NEW, OLD, "http://127.0.0.1:8080", "too many false alarms", 14, 2.13)
    assert abort_text(taken) == (
        "Taken back: r12-7f3a9c in 2.1 s.  r11-12bd90 serves all callers.  http://127.0.0.1:8080\n"
        "  r12-7f3a9c is marked rejected (too many false alarms): deploying it again needs --again.\n"
        "Next: mlship history churn --target docker --env prod"
    )
    assert "nothing serves." in abort_text(replace(taken, live=None))
    assert payloads.aborted(taken)["aborted"]["id"] == "r12-7f3a9c"


def test_the_plan_says_how_the_release_takes_over_and_where():
    plan = replace(PLAN, takeover=("2 replicas of 2GiB", "rolling: all callers move at once"), host="ssh://deploy@a")
    assert plan_text(plan).splitlines()[:3] == [
        "Plan  churn/prod -> docker haproxy ssh://deploy@a          live r11-12bd90 -> new r12-7f3a9c",
        "  2 replicas of 2GiB",
        "  rolling: all callers move at once",
    ]


def test_status_warns_when_records_and_server_disagree():
    wrong = status_text(replace(STATUS, serving="r11-12bd90"), NOW)
    assert "warning: the records say r12-7f3a9c is live, but the server says r11-12bd90" in wrong
    silent = status_text(replace(STATUS, serving=""), NOW)
    assert "warning: the records say r12-7f3a9c is live, but no server answers" in silent
    shared = replace(STATUS, observed=replace(STATUS.observed, repair="90% of the callers reach r12-7f3a9c"))
    assert "warning: 90% of the callers reach r12-7f3a9c; mlship deploy puts it right" in status_text(shared, NOW)
    assert "puts it right" not in status_text(STATUS, NOW)
    assert silent.endswith("Next: mlship logs churn --target docker --env prod")


def test_status_of_nothing_says_how_to_begin():
    nothing = replace(STATUS, live=None, previous=None, serving="", endpoint="")
    assert (
        status_text(nothing, NOW) == "churn/prod  docker  nothing is deployed\nNext: mlship deploy --target docker --env prod"
    )


def test_list_names_what_could_not_be_asked():
    listed = Listed(
        (ServiceRow("churn", "prod", "local", "r1-aaaaaa", "http://127.0.0.1:8080", True),), {"docker": "no engine"}
    )
    assert list_text(listed) == ("churn/prod  local  r1-aaaaaa  ready  http://127.0.0.1:8080\ndocker is left out: no engine")


def test_list_names_what_cannot_be_told_of():
    untold = ServiceRow(
        "churn", "prod", "aws", "", "", False, wrong="the records cannot be read (s3://b/h)", fix="restore them"
    )
    assert list_text(Listed((untold,))) == (
        "churn/prod  aws  unknown  not ready\nchurn/prod is unknown: the records cannot be read (s3://b/h)\n  fix    restore them"
    )


def test_history_is_one_line_an_event_with_what_can_come_back():
    entries = (
        Entry(1, "r11-12bd90", "deploy", "anna@laptop pid 12", NOW, git="abcdef0123456"),
        Entry(2, "r12-7f3a9c", "deploy", "ci@runner pid 3", NOW),
        Entry(3, "r11-12bd90", "rollback", "anna@laptop pid 13", NOW, why="too many false alarms"),
    )
    view = HistoryView(
        "churn",
        "",
        "local",
        "r11-12bd90",
        entries,
        (OLD, NEW),
        {"r12-7f3a9c": "too many false alarms"},
        frozenset({OLD.id, NEW.id}),
    )
    lines = history_text(view).splitlines()
    assert lines[0] == "churn  local"
    assert lines[1].split()[0] == "1"
    assert lines[1].split()[3:] == ["deploy", "r11-12bd90", "anna@laptop", "abcdef012"]
    assert lines[3].endswith("too many false alarms")
    assert lines[4:] == [
        "  live        r11-12bd90",
        "  restorable  r12-7f3a9c",
        "  rejected    r12-7f3a9c: too many false alarms",
    ]
    forged = replace(view, rejected={"r12-7f3a9c": "two\n  9  lines"})
    assert history_text(forged).splitlines()[-1] == "  rejected    r12-7f3a9c: two 9 lines"
    undoable = replace(view, live=NEW.id, rejected={}, undo=OLD.id)
    assert history_text(undoable).splitlines()[-1] == "Undo: mlship rollback churn --target local"


def test_check_counts_what_is_wrong():
    warning = Finding(
        "scikit-learn is 1.8.0 here, the model was written by 1.9.1", ".venv", "pip install scikit-learn==1.9.1", "warning"
    )
    checked = Checked("churn", (MODEL,), ".venv", "3.11.7", (warning,))
    text = check_text(checked, "mlship build")
    assert (
        "  warning  .venv    scikit-learn is 1.8.0 here, the model was written by 1.9.1; pip install scikit-learn==1.9.1"
        in text
    )
    assert text.endswith("churn: 1 warning\nNext: mlship build")
    assert check_text(replace(checked, findings=()), "mlship build").endswith("churn is ready to be built\nNext: mlship build")
    assert check_text(replace(checked, findings=(replace(warning, severity="error"),)), "mlship build").endswith(
        "churn: 1 error"
    )


def test_init_names_what_it_wrote_and_what_it_kept():
    folder = Path("/shop")
    result = Initialised(folder / "mlship.yaml", (folder / "mlship.yaml",), (folder / "sample.json",), MODEL, ())
    assert init_text(result, folder, "mlship check").splitlines()[-3:] == [
        "  kept as they are: sample.json; --force writes them anew",
        "Wrote mlship.yaml",
        "Next: mlship check",
    ]


def test_doctor_gives_each_check_a_line_and_a_remedy():
    findings = (
        Finding("uv 0.13.9", "/bin/uv", severity="note", code="uv"),
        Finding("gpgv is missing", fix="apt-get install gpgv", code="archive"),
    )
    assert doctor_text(Diagnosis(findings)) == (
        "ok       uv       uv 0.13.9   (/bin/uv)\n"
        "error    archive  gpgv is missing\n"
        "                  fix: apt-get install gpgv\n"
        "mlship build cannot work here until the errors above are gone"
    )
    assert doctor_text(Diagnosis(findings[:1])).endswith("everything that mlship needs is here")
    assert doctor_text(Diagnosis((replace(findings[1], severity="warning"),))).endswith("the warnings say what else would not")


def test_ages_read_as_people_say_them():
    assert [age(seconds) for seconds in (2, 59, 60, 3 * 3600, 9 * 86400)] == [
        "just now",
        "59 s ago",
        "1 min ago",
        "3 h ago",
        "9 d ago",
    ]


def test_a_sample_too_long_to_paste_gives_the_schema_instead():
    assert curl("http://h", {"instances": ["x" * 3000]}) == "curl http://h/schema"
    assert curl("https://v/e:predict", {"instances": [[1]]}) == (
        "curl -H \"Authorization: Bearer $(gcloud auth print-access-token)\" -H 'Content-Type: application/json' "
        "https://v/e:predict -d '{\"instances\": [[1]]}'"
    )
    token = "Bearer $(gcloud auth print-identity-token)"
    assert curl("https://churn.a.run.app", None) == f'curl -H "Authorization: {token}" https://churn.a.run.app/schema'
    closed = f"-H 'Authorization: Bearer KEY' -H \"X-Serverless-Authorization: {token}\""
    assert curl("https://churn.a.run.app", None, is_closed=True) == f"curl {closed} https://churn.a.run.app/schema"


def test_columns_take_rows_of_different_lengths():
    assert columns([["a", "bb"], ["ccc"], []], indent=0) == "a  bb\nccc"
