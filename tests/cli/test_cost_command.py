"""cost-estimate as it is typed: with and without mlship.yaml, its gates, forms and mistakes."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Mlship = Callable[[str], Any]  # conftest.Said
FLEET = "cost-estimate --target aws --service vm --region us-east-1 --instance m7g.large --replicas 3"
FILE = """\
name: churn
model: model.joblib
target: aws
scale: {replicas: 2..6}
slo: {p99: 100ms}
cost:
  traffic: {rps: 20, peak: 80}
  service_time: 6ms
  budget: {monthly: 150 USD}
targets: {aws: {region: us-east-1, service: vm, instance: m7g.large}}
"""
KEYS = {
    *("target", "service", "region", "instance", "purchase", "replicas", "usd_hour", "usd_month", "usd_per_million"),
    *("interruptions_month", "p50_ms", "p99_ms", "price_dates", "assumptions", "unknowns", "complete"),
}


@pytest.fixture
def project(folder: Path) -> Path:
    (folder / "mlship.yaml").write_text(FILE)
    return folder


def test_a_fleet_is_priced_without_any_file(mlship: Mlship):
    document = mlship(f"{FLEET} --json").document
    (plan,) = document["plans"]
    assert set(plan) == KEYS and set(plan["replicas"]) == {"min", "average", "peak"}
    assert plan["usd_month"] == pytest.approx(3 * 0.0816 * 730)
    assert (plan["complete"], document["unknowns"], document["prices_as_of"]) == (True, [], "2026-11-21")
    assert document["exit"] == 0 and document["budget"] is None and document["details"][0]["lines"]


def test_a_file_is_shown_with_its_arrow_and_its_budget(mlship: Mlship, project: Path):
    said = mlship("cost-estimate --target aws --compare")
    assert said.exit == 0
    assert said.stdout.startswith("20 rps mean, 80 peak (mlship.yaml:7:3)   52.6 M requests a month   service time 6 ms")
    assert "<- your file" in said.stdout and "Budget: ok, $119.14 of $150.00 a month" in said.stdout
    assert "Prices as of 2026-11-21" in said.stdout and "Assumed\n" in said.stdout


def test_a_broken_limit_is_exit_9_and_the_plans_are_shown_all_the_same(mlship: Mlship):
    said = mlship(f"{FLEET} --max-monthly 100")
    assert said.exit == 9 and "aws vm m7g.large" in said.stdout
    assert said.stderr == (
        "error: the plan costs $178.70 a month, and the limit is $100.00\n"
        "  where  --max-monthly\n"
        "  fix    raise it to 180 USD, or look for a cheaper plan: mlship cost-estimate --optimise\n"
        "exit 9\n"
    )
    document = mlship(f"{FLEET} --max-monthly 100 --json").document
    assert (document["ok"], document["exit"], document["error"]["code"]) == (False, 9, "over-budget")
    assert document["plans"] and document["budget"] == {
        "limit_usd": 100.0,
        "spent_usd": pytest.approx(178.704),
        "ok": False,
        "why": "the plan costs $178.70 a month, and the limit is $100.00",
    }


def test_the_files_budget_is_named_with_its_line(mlship: Mlship, project: Path):
    (project / "mlship.yaml").write_text(FILE.replace("150 USD", "20 USD"))
    said = mlship("cost-estimate --target aws")
    assert said.exit == 9 and "  where  mlship.yaml:9:12 cost.budget.monthly\n" in said.stderr
    document = mlship("cost-estimate --target aws --json").document
    assert document["error"]["where"] == "mlship.yaml:9:12 cost.budget.monthly"
    assert [finding["severity"] for finding in document["findings"]] == ["note", "note"]  # beside the error, not instead of it


def test_an_unknown_price_is_exit_0_and_with_strict_9(mlship: Mlship):
    line = "cost-estimate --target aws --service ecs --region eu-west-1 --replicas 2"
    said = mlship(line)
    assert said.exit == 0 and "Unknown: aws eu-west-1 fargate" in said.stdout and "unverified" in said.stdout
    assert mlship(f"{line} --strict").exit == 9
    assert mlship(f"{line} --max-monthly 1000000").exit == 9


def test_a_search_that_finds_nothing_is_no_success(mlship: Mlship):
    line = "cost-estimate --optimise --cloud gcp --region us-central1 --rps 5 --service-time 50ms --slo 10ms --json"
    document = mlship(line).document
    assert (document["exit"], document["error"]["code"], document["plans"]) == (2, "no-plan", [])
    assert document["why_not"]


def test_a_search_prices_what_bills_by_the_request_as_a_plain_estimate_does(mlship: Mlship):
    line = "cost-estimate --service container-apps --rps 5 --service-time 10ms --slo 200ms --json"
    (plain,), (sought,) = (mlship(f"{line} {how}").document["plans"] for how in ("--target azure", "--optimise"))
    assert plain["usd_month"] == sought["usd_month"]  # no replica waits where nobody asks for one


def test_a_search_in_a_region_looks_at_its_services_too(mlship: Mlship):
    line = "cost-estimate --optimise --region us-east-1 --service ecs --rps 5 --service-time 10ms --json"
    plans = mlship(line).document["plans"]
    assert {(plan["service"], plan["region"]) for plan in plans} == {("ecs", "us-east-1")}


def test_what_is_bought_for_the_peak_is_paid_when_nobody_calls(mlship: Mlship):
    line = "cost-estimate --target aws --instance m7g.large --rps 50 --peak 400 --service-time 20ms --json"
    for purchase, usd in (("reserved", 0.054), ("fixed", 0.0816), ("on-demand", 0.0816)):
        told = mlship(f"{line} --purchase {purchase}").document
        paid = 1 if purchase == "on-demand" else told["plans"][0]["replicas"]["peak"]
        assert told["details"][0]["idle_usd_month"] == pytest.approx(paid * usd * 730)


def test_a_function_is_priced_beside_others_as_it_is_alone(mlship: Mlship):
    line = "cost-estimate --rps 50 --service-time 100ms --json"
    (alone,) = mlship(f"{line} --target aws --service lambda").document["plans"]
    beside = mlship(f"{line} --compare --concurrency 10").document["plans"]
    assert [plan["usd_month"] for plan in beside if plan["service"] == "lambda"] == [alone["usd_month"]]
    document = mlship("cost-estimate --compare --rps 1 --service-time 1000s --json").document
    assert "lambda" not in {plan["service"] for plan in document["plans"]}
    assert "aws lambda: a request takes 16.7 min, and Lambda ends it after 15 min" in document["why_not"]


def test_a_price_of_ones_own_counts_where_the_book_has_one_of_many_regions(mlship: Mlship, folder: Path):
    (folder / "own.yaml").write_text("as_of: 2026-11-01\nservices: {gcp/us-central1/cloud_run/requests: 1000}\n")
    line = "cost-estimate --target gcp --requests-month 2M --service-time 10ms --json"
    (listed,), (own,) = (mlship(f"{line} {prices}").document["plans"] for prices in ("", "--prices own.yaml"))
    assert own["usd_month"] - listed["usd_month"] == pytest.approx(2000 - 0.8)


def test_the_words_of_others_cost_what_our_own_do(mlship: Mlship):
    ours = f"{FLEET} --rps 20 --service-time 10ms --slo 90ms --purchase on-demand+spot --base 0 --on-demand-share 0.25"
    theirs = "cost-estimate --cloud AWS --service ec2 --region US-EAST-1 --instance M7G.large --replicas 3-3 --requests-per-month 52.56M"
    theirs += " --service-time 10ms --p99 90ms --purchase spot --on-demand-percentage 25"
    (own,), (other,) = (mlship(f"{line} --json").document["plans"] for line in (ours, theirs))
    assert (own["usd_month"], own["instance"], own["purchase"]) == (other["usd_month"], other["instance"], other["purchase"])


def test_a_cloud_alone_is_the_target_but_for_nodes_that_a_file_has(mlship: Mlship, folder: Path):
    (folder / "mlship.yaml").write_text("target: kubernetes\ntargets: {kubernetes: {region: us-east-1, instance: m7g.large}}\n")
    assert mlship("cost-estimate --cloud aws --json").document["plans"][0]["target"] == "kubernetes"
    (folder / "mlship.yaml").write_text("target: docker\n")
    assert mlship("cost-estimate --cloud aws --json").document["plans"][0]["target"] == "aws"


def test_csv_and_markdown_are_all_that_is_printed(mlship: Mlship):
    table = mlship(f"{FLEET} --format csv")
    assert table.stdout.splitlines()[0].startswith("target,service,region") and len(table.stdout.splitlines()) == 2
    assert mlship(f"{FLEET} --format markdown").stdout.startswith("### Cost estimate\n\n| target |")
    assert mlship(f"{FLEET} --quiet").stdout == "178.70\n"


def test_a_chart_is_written_where_it_is_asked_for(mlship: Mlship, folder: Path):
    said = mlship(f"{FLEET.replace(' --replicas 3', '')} --service-time 10ms --plot charts/cost.svg")
    assert said.stdout.splitlines()[-1] == f"Wrote {folder}/charts/cost.svg"
    assert (folder / "charts" / "cost.svg").read_text().startswith("<svg ")
    (folder / "folder.svg").mkdir()
    for place in ("/proc/nowhere/cost.svg", "folder.svg"):
        refused = mlship(f"{FLEET} --plot {place}")
        assert refused.exit == 2 and "cannot be written" in refused.stderr and "Traceback" not in refused.stderr
    wrong = mlship(f"{FLEET} --plot cost.pdf")
    assert wrong.exit == 2 and "neither .svg nor .png" in wrong.stderr


def test_a_picture_is_a_png(mlship: Mlship, folder: Path):
    pytest.importorskip("resvg_py", reason="the extra plot is not installed")
    said = mlship(f"{FLEET} --plot cost.png")
    if said.exit == 2 and "no font" in said.stderr:
        pytest.skip("this machine has no font")
    assert (folder / "cost.png").read_bytes().startswith(b"\x89PNG\r\n")


def git(folder: Path, *words: str) -> None:
    settings = ("-c", "user.name=a", "-c", "user.email=a@b.example", "-c", "commit.gpgsign=false")
    subprocess.run(["git", "-C", str(folder), *settings, *words], check=True, capture_output=True)


def test_a_revision_of_the_file_is_compared_with_it(mlship: Mlship, project: Path):
    git(project, "init", "-q")
    git(project, "add", "mlship.yaml")
    git(project, "commit", "-q", "-m", "first")
    (project / "mlship.yaml").write_text(FILE.replace("2..6", "3..6"))
    said = mlship("cost-estimate --target aws --diff HEAD")
    assert said.stdout.startswith("Against HEAD: +$59.57 a month (+50 %)\n")
    comment = mlship("cost-estimate --target aws --diff HEAD --format markdown").stdout
    assert comment.startswith("### Cost estimate: +$59.57 a month (+50 %)\n\n|  | HEAD | this change | difference |\n")
    found = mlship("cost-estimate --target aws --diff HEAD --json").document["diff"]
    assert found["usd_month"] == pytest.approx(0.0816 * 730) and set(found["before"]) == KEYS
    wrong = mlship("cost-estimate --target aws --diff nowhere")
    assert wrong.exit == 2 and "nowhere is no file, and git knows no such commit here" in wrong.stderr


def test_another_file_is_compared_too(mlship: Mlship, project: Path):
    (project / "before.yaml").write_text(FILE.replace("m7g.large", "m7g.xlarge"))
    said = mlship("cost-estimate --target aws --diff before.yaml")
    assert said.stdout.startswith("Against before.yaml: -$119.14 a month (-50 %)\n") and "aws vm m7g.xlarge" in said.stdout
    assert mlship("cost-estimate --target aws --diff before.yaml --compare").exit == 2


def test_with_nothing_live_there_is_nothing_to_compare_with(mlship: Mlship, folder: Path):
    (folder / "mlship.yaml").write_text("name: churn\nmodel: model.joblib\ntarget: local\n")
    said = mlship("cost-estimate --diff live")
    assert said.exit == 2 and "churn is not deployed to local" in said.stderr
    (folder / "mlship.yaml").write_text(FILE)
    cloud = mlship("cost-estimate --diff live")
    assert cloud.exit == 2 and "deploying to aws service vm is not built" in cloud.stderr


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ("--target aws --service vm --region us-east1 --instance m7g.large", "there is no region of aws us-east1"),
        ("--target aws --service vm --instance m7g.larg", "there is no type of machine of aws m7g.larg"),
        ("--target asw", "there is no target asw"),
        ("--target gcp --service cloud-run --purchase spot", "on-demand+spot is not possible with gcp cloud-run"),
        ("--target aws --service vm --instance m7g.large --purchase reservd", "there is no purchase reservd"),
        ("--target aws --rps nan", "rps nan"),
        ("--target aws --rps 5 --peak inf", "peak inf"),
        ("--target aws --rps many", "'many' is not a valid float"),
        ("--target aws --max-monthly lots", "'lots USD' is not an amount of money"),
        ("--target aws --limit 0", "0 is not a number from 1 to 1000"),
        ("--target aws --prices nothing.yaml", "nothing.yaml"),
        ("--cloud aws --service eks", "use --target kubernetes --cloud aws"),
        ("--target gcp --service cloudrun --purchase fixed", "say --billing instance"),
        ("--target aws --requests-per-month many", "many is no count"),
        ("--target aws --on-demand-share 25% --on-demand-percentage 25", "--on-demand-share says it, too"),
        ("--optimise", "a search needs traffic and a service time"),
        ("", "there is no mlship.yaml here, and no target is said"),
    ],
)
def test_what_cannot_be_meant_is_exit_2_and_never_a_trace(mlship: Mlship, options: str, what: str):
    said = mlship(f"cost-estimate {options}")
    assert said.exit == 2, said.stderr
    assert what in said.stderr and "Traceback" not in said.stderr


def test_the_estimate_is_json_where_everything_is_at_its_end(mlship: Mlship):
    said = mlship("cost-estimate --target aws --service lambda --rps 1e9 --service-time 900s --json")
    assert said.exit == 0 and json.loads(said.stdout)["plans"][0]["usd_month"] > 1e12
