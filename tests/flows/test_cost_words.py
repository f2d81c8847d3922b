"""An estimate takes the words of others for its own, and says what of them changes nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from mlship.cost.candidate import Purchase
from mlship.cost.workload import ServiceTime, Workload
from mlship.errors import MlshipError
from mlship.flows.costing.asked import Asked
from mlship.flows.costing.words import count_of, ignored, in_our_words, percent_of, share_of, unknown
from mlship.flows.prices import shipped_book


@pytest.mark.parametrize(
    ("option", "ours", "theirs"),
    [
        ("target", "aws", "AWS"),
        ("service", "vm", "ec2 gce azure-vm virtual-machine VM"),
        ("service", "ecs", "fargate ecs-fargate ECS"),
        ("service", "cloud-run", "cloudrun cloud_run"),
        ("service", "container-apps", "containerapps container_apps aca"),
        ("service", "sagemaker", "sagemaker-realtime"),
        ("service", "vertex", "vertex-ai vertexai"),
        ("service", "azureml", "azure-ml"),
        ("arch", "arm64", "arm ARM64 aarch64"),
        ("arch", "x86_64", "x86 amd64"),
        ("memory", "2GiB", "2Gi 2gib"),
        ("memory", "2GB", "2G 2gb"),
        ("memory", "2048MiB", "2048Mi"),
        ("replicas", "2..10", "2-10 2..10"),
        ("purchase", "per-request", "serverless request pay-per-use"),
        ("purchase", "on-demand", "od ondemand On-Demand"),
        ("purchase", "reserved", "committed reserved-1y reserved-3y"),
        ("billing", "instance", "Instance"),
        ("region", "us-east-1", "US-East-1"),
        ("instance", "m7g.large", "M7G.LARGE"),
        ("instance", "Standard_D2s_v5", "STANDARD_D2S_V5 d2s_v5 standard_d2s_v5"),
        ("slo_p99", "100ms", "p99=100ms"),
    ],
)
def test_the_words_of_others_are_taken_for_our_own(option: str, ours: str, theirs: str):
    for word in theirs.split():
        said: dict[str, Any] = {option: word}
        assert getattr(in_our_words(Asked(**said)), option) == ours, word


def test_words_that_say_two_things_say_both():
    asked = in_our_words(Asked(purchase="reserved-3y", region="East US", instance="D2S-V5", cloud="Azure"))
    assert (asked.purchase, asked.term, asked.region, asked.instance) == ("reserved", "3y", "eastus", "Standard_D2s_v5")
    spot, above = in_our_words(Asked(purchase="spot")), in_our_words(Asked(purchase="spot", base=2))
    assert (spot.purchase, spot.base, above.base) == ("on-demand+spot", 0, 2)


def test_every_type_of_the_book_is_found_in_any_case():
    for machine in {offer.machine for offer in shipped_book().every_offer()}:
        for name in (machine.name, machine.name.lower(), machine.name.upper()):
            assert in_our_words(Asked(instance=name, target=machine.cloud)).instance == machine.name


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"service": "eks"}, "use --target kubernetes --cloud aws"),
        ({"service": "AKS"}, "use --target kubernetes --cloud azure"),
        ({"service": "gke"}, "use --target kubernetes --cloud gcp"),
        ({"service": "sagemaker-serverless"}, "not priced; lambda is the service that bills by the request"),
        ({"service_time": "0.02"}, "--service-time  0.02 has no unit; write 20ms, or 0.02s"),
        ({"slo_p99": "100"}, "--slo  100 has no unit; write 100ms, or 100s"),
        ({"service_time": "0"}, "--service-time  0 has no unit; write 20ms, or 0.02s"),
        ({"purchase": "savings-plan"}, "the book knows reserved prices only"),
        ({"purchase": "reserved-3y", "term": "1y"}, "1y contradicts --purchase reserved-3y"),
        ({"billing": "foo"}, "foo is no way to bill; write request or instance"),
        ({"billing": "instances"}, "write request or instance"),
        ({"arch": "mips"}, "mips is no architecture that is priced; write x86_64 or arm64"),
        *(({"region": region}, f"{region} is no region that anything runs in") for region in ("all", "global", "tier1")),
    ],
)
def test_what_there_is_no_word_for_is_refused_with_the_nearest(said: dict[str, Any], told: str):
    with pytest.raises(MlshipError) as caught:
        in_our_words(Asked(**said))
    assert told in str(caught.value)


def test_counts_and_shares_are_written_as_people_write_them():
    counts = {"1M": 1e6, "50k": 5e4, "1.5M": 1.5e6, "1e6": 1e6, "1,000,000": 1e6, "2 G": 2e9, "7": 7, "1_000": 1e3}
    assert {said: count_of("--x", said) for said in counts} == counts
    assert [share_of("--x", said) for said in ("25%", "0.25", "")] == [0.25, 0.25, None]
    assert [percent_of("--x", said) for said in ("25", "25%", "")] == [0.25, 0.25, None]
    for said in ("1,5M", "-5", "many", "nan", "1M5", "%"):
        with pytest.raises(MlshipError, match=r"is no count; write 50000, 50k or 1\.5M"):
            count_of("--x", said)
    with pytest.raises(MlshipError, match=r"half is no share; write 0\.25, or 25%"):
        share_of("--x", "half")


TIMED = Workload(service_time=ServiceTime(0.02))


@pytest.mark.parametrize(
    ("said", "service", "purchase", "told"),
    [
        ({"base": 2}, "vm", "on-demand", "--base means nothing to on-demand"),
        ({"base": 2}, "vm", "reserved+spot", ""),
        ({"term": "3y"}, "vm", "on-demand+spot", "--term means nothing to on-demand+spot"),
        ({"term": "3y"}, "vm", "reserved", ""),
        ({"on_demand_share": 0.2}, "vm", "reserved+spot", "--on-demand-share means nothing to reserved+spot"),
        ({"on_demand_share": 0.2}, "vm", "on-demand+spot", ""),
        ({"billing": "request"}, "ecs", "on-demand", "--billing means nothing to ecs: cloud-run has it"),
        ({"billing": "request"}, "cloud-run", "per-request", ""),
        ({"concurrency": 8}, "vm", "fixed", "--concurrency means nothing to vm: cloud-run and container-apps have it"),
        ({"concurrency": 8}, "container-apps", "per-request", ""),
        ({"concurrency": 1}, "lambda", "per-request", ""),
        ({"max_replicas": 5}, "vm", "on-demand", ""),
        ({"max_replicas": 5, "replicas": "2"}, "vm", "on-demand", "--max-replicas means nothing beside --replicas"),
        ({"burstable": True}, "vm", "on-demand", "--burstable means nothing without --optimise"),
        ({"deployable": True}, "vm", "on-demand", "--deployable means nothing without --optimise"),
        ({"limit": 3}, "vm", "on-demand", "--limit means nothing without --optimise"),
        ({"max_spot_age": 30}, "vm", "on-demand", "--max-spot-age means nothing without --optimise"),
        ({"limit": 3, "burstable": True, "optimise": True}, "vm", "on-demand", ""),
        ({"cloud": "gcp", "target": "aws"}, "vm", "on-demand", "--cloud means nothing to vm: --target names its cloud"),
        ({"cloud": "gcp", "target": "kubernetes"}, "deployment", "on-demand", ""),
        ({"peak": 9.0, "requests_month": 1e6}, "vm", "on-demand", "--peak means nothing without --rps"),
        ({"weekend": 0.5}, "vm", "on-demand", "--weekend means nothing without --rps"),
        ({"peak_hour": 9, "rps": 5.0}, "vm", "on-demand", "--peak-hour means nothing without --rps and --peak"),
        ({"peak_hour": 9, "rps": 5.0, "peak": 9.0, "weekend": 0.5}, "vm", "on-demand", ""),
        ({"cpu": "2"}, "vm", "on-demand", "--cpu means nothing to vm: a replica is a whole machine"),
        ({"cpu": "2"}, "lambda", "per-request", "--cpu means nothing to lambda: a function's cores come with its memory"),
        ({"cpu": "2", "memory": "4GiB"}, "ecs", "on-demand", ""),
        ({"headroom": 0.2}, "lambda", "per-request", "--headroom means nothing to lambda: no request waits for a replica"),
        ({"headroom": 0.2, "replicas": "3"}, "vm", "fixed", "--headroom means nothing to 3 replicas that are said"),
        ({"headroom": 0.2, "replicas": "3..5", "slo_p99": "1s", "speed": "0.7"}, "vm", "on-demand", ""),
    ],
)
def test_what_means_nothing_is_a_note(said: dict[str, Any], service: str, purchase: Any, told: str):
    found = ignored(Asked(**said), service, Purchase(purchase), "x86_64", TIMED)
    assert [f"{finding.where} {finding.what}" for finding in found] == ([told] if told else [])
    assert all(finding.severity == "note" for finding in found)


def test_what_counts_replicas_means_nothing_without_a_service_time():
    asked = Asked(slo_p99="1s", speed="0.7", headroom=0.2)
    found = [finding.where for finding in ignored(asked, "vm", Purchase(), workload=Workload())]
    assert found == ["--slo", "--speed", "--headroom"]


def test_what_a_service_cannot_be_told_is_refused():
    lambda_ = Purchase("per-request")
    with pytest.raises(MlshipError, match=r"--arch  m7g\.large is arm64, and not x86_64"):
        ignored(Asked(arch="x86_64", instance="m7g.large"), "vm", Purchase(), "arm64")
    with pytest.raises(MlshipError, match="a function takes one request at a time"):
        ignored(Asked(concurrency=8), "lambda", lambda_)
    slow = replace(TIMED, service_time=ServiceTime(1200, source="--service-time"))
    with pytest.raises(MlshipError, match="--service-time  a request takes 20 min, and Lambda ends it after 15 min"):
        ignored(Asked(), "lambda", lambda_, workload=slow)
    assert ignored(Asked(), "lambda", lambda_, workload=replace(slow, service_time=ServiceTime(900))) == ()


def test_an_unknown_word_is_near_to_itself_in_another_case_and_never_to_a_pseudo_region():
    types = ["Standard_D2s_v4", "Standard_D2s_v5"]
    assert "did you mean Standard_D2s_v5?" in str(unknown("--instance", "type", "STANDARD_D2S_V5", types))
    assert str(unknown("--region", "region", "x", ["all", "eastus", "global", "tier1"])).endswith("known: eastus")
    assert str(unknown("--region", "region", "tier3", ["tier1", "eastus"])).endswith("known: eastus")
