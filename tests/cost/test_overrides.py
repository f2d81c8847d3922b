"""Prices of one's own go over the book's, and every slip in their file is named with its place."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from test_price_tables import INSTANCES, MANAGED

from mlship.cost.book import Dated, PriceBook, ServicePrice
from mlship.cost.book_file import from_bytes
from mlship.cost.overrides import parse
from mlship.cost.overrides_units import billed_unit
from mlship.cost.tables import book_from
from mlship.errors import FindingsError
from mlship.flows.prices import SHIPPED

BOOK = book_from("2026-11-21", INSTANCES, MANAGED)


def applied(text):
    return parse(f"as_of: 2026-11-01\n{text}", "prices.yaml").applied(BOOK)


def findings(text):
    with pytest.raises(FindingsError) as caught:
        parse(text, "prices.yaml").applied(BOOK)
    return [str(finding) for finding in caught.value.findings]


def test_the_file_of_the_guide_can_be_used():
    guide = (Path(__file__).parents[2] / "docs" / "guide.md").read_text()
    (text,) = re.findall(r"^```yaml\n(as_of: .*?)^```$", guide, re.MULTILINE | re.DOTALL)
    book = parse(text, "prices.yaml").applied(from_bytes(SHIPPED.read_bytes()))
    assert book.offer("aws", "us-east-1", "m7g.large").on_demand == 0.07
    assert book.tiers("azure", "container_apps", "eastus", "vcpu_active")[0].unit == "vCPU-second"


def test_a_negotiated_rate_goes_before_the_books_and_says_so():
    offer = applied("instances: {aws/us-east-1/c7g.large: {on_demand: 0.05, reserved_1y: 0.03}}").offer(
        "aws", "us-east-1", "c7g.large"
    )
    assert (offer.on_demand, offer.reserved_1y, offer.reserved_3y, offer.spot) == (0.05, 0.03, 0.0313, 0.0309)
    assert offer.sources.on_demand == offer.sources.reserved == Dated("your prices", "2026-11-01")
    assert offer.sources.spot == Dated("CP", "2026-09-06")


def test_a_spot_price_of_ones_own_fills_a_gap():
    offer = applied("instances: {gcp/us-east1/g2-standard-4: {spot: 0.2}}").offer("gcp", "us-east1", "g2-standard-4")
    assert (offer.spot, offer.spot_is_listed, offer.on_demand) == (0.2, True, 0.7)


def test_a_price_of_ones_own_for_several_regions_goes_before_what_was_read_of_one():
    run, both = (
        ("gcp", "cloud_run", "us-central1", "requests"),
        "services: {gcp/tier1/cloud_run/requests: {price: 0.3, unit: x}}",
    )
    read = BOOK.overridden(PriceBook("2026-11-20", services=(ServicePrice(*run, "x", 0.4),)))
    assert read.tiers(*run, "tier1")[0].price == 0.4
    own = parse(f"as_of: 2026-11-01\nregions: [gcp/tier1]\n{both}", "prices.yaml").applied(read)
    assert own.tiers(*run, "tier1")[0].price == 0.3
    assert own.tiers(*run)[0].price == 0.4  # where the region does not share it
    exact = parse(
        f"as_of: 2026-11-01\nregions: [gcp/tier1]\n{both[:-1]}, gcp/us-central1/cloud_run/requests: {{price: 0.2, unit: x}}}}",
        "p",
    )
    assert exact.applied(read).tiers(*run, "tier1")[0].price == 0.2
    everywhere = parse(
        "as_of: 2026-11-01\nregions: [gcp/all]\nservices: {gcp/all/cloud_run/requests: {price: 0.1, unit: x}}", "p"
    )
    assert everywhere.applied(read).tiers(*run, "tier1")[0].price == 0.1


def test_a_discount_is_of_list_prices_and_leaves_their_days():
    book = applied("discount: {aws: 10%}\ninstances: {aws/us-east-1/c7g.large: {spot: 0.03}}")
    offer = book.offer("aws", "us-east-1", "c7g.large")
    assert offer.on_demand == pytest.approx(0.06525) and offer.spot == 0.03
    assert offer.sources.on_demand == Dated("your prices: 10 % off KA", "2026-07-20")
    assert book.tiers("aws", "egress_internet", "us-east-1", "out")[0].price == pytest.approx(0.081)
    assert book.offer("gcp", "us-east1", "g2-standard-4") == BOOK.offer("gcp", "us-east1", "g2-standard-4")


def test_a_discount_of_one_kind_leaves_the_others():
    offer = applied("discount: {aws: {on_demand: 12.5%}}").offer("aws", "us-east-1", "c7g.large")
    assert offer.on_demand == pytest.approx(0.0725 * 0.875)
    assert (offer.spot, offer.reserved_1y) == (0.0309, 0.0457)


def test_a_gap_of_a_known_service_takes_the_unit_that_other_regions_have():
    book = applied("services:\n  gcp/us-east1/egress_internet/out: 0.02\n  azure/eastus/load_balancer/standard_lb: 0.025")
    (tier,) = book.tiers("gcp", "egress_internet", "us-east1", "out")
    assert (tier.price, tier.unit, tier.above, tier.upto) == (0.02, "GB", 0.0, None)
    (balancer,) = book.tiers("azure", "load_balancer", "eastus", "standard_lb")
    assert (balancer.price, balancer.unit, balancer.dated) == (0.025, "hour", Dated("your prices", "2026-11-01"))


def test_a_new_item_of_a_known_service_needs_a_unit():
    book = applied("services: {azure/eastus/load_balancer/rule: {price: 0.01, unit: hour}}")
    assert book.tiers("azure", "load_balancer", "eastus", "rule")[0].price == 0.01
    (told,) = findings("as_of: 2026-11-01\nservices: {azure/eastus/load_balancer/standard: 0.01}")
    assert told.startswith("prices.yaml:2:12 services.azure/eastus/load_balancer/standard  load_balancer has no item standard;")
    assert "did you mean standard_lb? A new item needs a unit: {price: ..., unit: hour}" in told


@pytest.mark.parametrize(
    ("item", "unit"),
    [
        ("aws/us-east-1/fargate/spot_vcpu_arm64", "vCPU-hour"),
        ("aws/us-east-1/fargate/spot_memory_x86", "GB-hour"),
        ("aws/us-east-1/lambda/duration_arm64", "GB-second"),
        ("aws/us-east-1/sagemaker_realtime/ml.c7g.large", "instance-hour"),
        ("gcp/us-east1/cloud_run/vcpu_request_based_idle", "vCPU-second"),
        ("gcp/us-east1/cloud_run/gpu_l4", "GPU-second"),
        ("gcp/us-east1/vertex_ai/online_prediction_spot g2-standard-4", "node-hour"),
        ("gcp/us-east1/cloud_logging/ingestion", "GB"),
        ("azure/eastus/container_apps/memory_idle", "GiB-second"),
        ("azure/eastus/log_analytics/ingestion", "GB"),
    ],
)
def test_what_plans_are_billed_for_has_its_unit_without_a_word(item: str, unit: str):
    cloud, region, service, name = item.split("/")
    (tier,) = applied(f"services: {{{item}: 0.5}}").tiers(cloud, service, region, name)
    assert (tier.price, tier.unit) == (0.5, unit)


def test_what_no_plan_is_billed_for_still_needs_a_unit():
    for item in ("fargate/spot_vcpu_arm46", "sagemaker_realtime/ml.c7g.larg", "lambda/duration"):
        assert "A new item needs a unit" in findings(f"as_of: 2026-11-01\nservices: {{aws/us-east-1/{item}: 1}}")[0]


def test_units_are_those_that_targets_and_the_book_have():
    book = from_bytes(SHIPPED.read_bytes())
    types = {offer.machine.name for offer in book.every_offer()}
    for price in book.services:
        unit = billed_unit(price.cloud, price.service, price.item, types)
        assert unit in ("", price.unit), price


def test_a_region_that_the_book_lacks_is_taken_when_it_is_meant():
    text = "regions: [aws/eu-south-2]\ninstances: {aws/eu-south-2/c7g.large: {on_demand: 0.08}}"
    offer = applied(text).offer("aws", "eu-south-2", "c7g.large")
    assert (offer.on_demand, offer.machine.vcpus, offer.spot) == (0.08, 2.0, None)


def test_names_that_the_book_does_not_know_are_told_together():
    assert findings(
        "as_of: 2026-11-01\n"
        "instances:\n  aws/us-east-1/c7g.larg: {spot: 1}\n  aws/us-est-1/c7g.large: {spot: 1}\n"
        "services:\n  gcp/us-east1/egres_internet/out: 1\n"
    ) == [
        "prices.yaml:3:3 instances.aws/us-east-1/c7g.larg  aws has no type c7g.larg; did you mean c7g.large?",
        "prices.yaml:4:3 instances.aws/us-est-1/c7g.large  mlship knows no region us-est-1 of aws; did you mean us-east-1? "
        "regions: [aws/us-est-1] says that you mean it",
        "prices.yaml:6:3 services.gcp/us-east1/egres_internet/out  gcp has no service egres_internet; did you mean egress_internet?",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("instances: {}", "prices.yaml:1:1 as_of  the key is missing; write as_of: 2026-11-01"),
        ("as_of: yesterday", "prices.yaml:1:8 as_of  yesterday is not a day; write it as 2026-11-01"),
        ("as_of: 2026-02-30", "prices.yaml:1:8 as_of  2026-02-30 is not a day; write it as 2026-11-01"),
        ("discounts: {aws: 5%}", "prices.yaml:1:1 discounts  unknown key; did you mean discount?"),
        ("discount: {aws: 12}", "12 is not a discount from 0% to 100%; write 12%"),
        ("discount: {aws: 101%}", "101% is not a discount from 0% to 100%; write 12%"),
        ("discount: {ibm: 5%}", "discount.ibm  unknown key; known here: aws, gcp, azure"),
        ("discount: 5%", "5% stands where a map is wanted; write keys below it: aws, gcp, azure"),
        ("regions: aws/x", "aws/x stands where a list is wanted; write [aws/eu-south-2]"),
        ("regions: [madrid]", "madrid is not CLOUD/REGION; write aws/eu-south-2"),
        ("instances: 5", "5 stands where a map is wanted; write CLOUD/REGION/TYPE: ... below it"),
        ("instances: {c7g.large: {spot: 1}}", "the key is not CLOUD/REGION/TYPE; it starts with aws, gcp or azure"),
        ("instances: {aws/us-east-1/c7g.large: 1}", "1 stands where a map is wanted; write {on_demand: 0.07}"),
        ("instances: {aws/us-east-1/c7g.large: {}}", "the map has no price; write {on_demand: 0.07}, or delete the line"),
        ("instances: {aws/us-east-1/c7g.large: {spot: .inf}}", ".inf is not a price in US dollars"),
        ("instances: {aws/us-east-1/c7g.large: {spot: -1}}", "-1 is not a price in US dollars"),
        ("instances: {aws/us-east-1/c7g.large: {spot: $5}}", "$5 is not a price in US dollars"),
        ("instances: {aws/us-east-1/c7g.large: {reserved: 1}}", "unknown key; did you mean reserved_3y?"),
        ("services: {azure/eastus/load_balancer/x: {unit: hour}}", "the map has no price; write {price: 0.01, unit: hour}"),
        ("services: {azure/eastus/load_balancer/x: {price: 1, unit: 5}}", "5 is not a unit; write hour, GB, GB-month"),
        ("- 5", "the file is a list, not a map of keys; start with as_of: 2026-11-01"),
        ("", "the file is empty; start with as_of: 2026-11-01"),
        ("# later", "the file is empty; start with as_of: 2026-11-01"),
        ("as_of: [", "this is not YAML"),
        ("as_of: 2026-11-01\nas_of: 2026-11-02", "the key stands twice, first in line 1"),
        ("instances: {aws/us-east-1/c7g.large: }", "stands where a map is wanted; write {on_demand: 0.07}"),
        ("instances: {aws/us-east-1/c7g.large: {spot: 1e300}}", "1e300 is not a price in US dollars"),
        ("services: {aws/../x/y: 1}", "the key is not CLOUD/REGION/SERVICE/ITEM"),
    ],
)
def test_every_slip_is_named_with_its_place(text, said):
    assert any(said in told for told in findings(text)), findings(text)
