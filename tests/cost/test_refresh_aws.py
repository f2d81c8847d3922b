"""AWS price lists become prices under the names that the book has."""

from __future__ import annotations

import csv

import pytest
from recorded_prices import EC2, ECS, LAMBDA, LISTS, TRANSFER, machine, price_list, usage

from mlship.cost.book import Dated, Machine
from mlship.cost.book_file import from_bytes
from mlship.cost.refresh import aws_rows
from mlship.cost.refresh.base import Machines
from mlship.errors import MlshipError
from mlship.flows.prices import SHIPPED

BOOK = from_bytes(SHIPPED.read_bytes())
KNOWN = Machines(BOOK)


def part(offer, rows, region="us-east-1", services=aws_rows.SERVICES):
    return aws_rows.part(offer, region, iter(price_list(offer, rows).splitlines()), KNOWN, services)


def prices(found):
    return {(price.service, price.item): (price.price, price.unit) for price in found.services}


def test_a_machine_has_its_prices_with_linux_and_nothing_upfront():
    found = part("AmazonEC2", EC2)
    (priced,) = [priced for priced in found.machines if priced.machine.name == "m7g.large"]
    assert (priced.on_demand, priced.reserved_1y, priced.reserved_3y, priced.spot) == (0.0817, 0.0541, 0.0372, None)
    assert found.dated == Dated("aws price list", "2026-11-19")


def test_a_new_type_of_a_known_family_is_known_by_its_kin():
    named = {priced.machine.name: priced.machine for priced in part("AmazonEC2", EC2).machines}
    assert named["m8g.metal-24xl"] == Machine("aws", "m8g.metal-24xl", "m8g", "general", "arm64", 96.0, 384.0, "", 0, True)
    assert named["c9g.large"] == Machine("aws", "c9g.large", "c9g", "compute", "arm64", 2.0, 8.0, "", 0, True)
    assert "q1.large" not in named


def test_a_new_accelerator_that_the_list_does_not_name_is_left_out():
    gpu = machine("g9.large", "1", GPU="1", **{"Instance Family": "GPU instance"})
    assert [priced.machine.name for priced in part("AmazonEC2", (*EC2[:1], gpu)).machines] == ["m7g.large"]


def test_two_prices_of_one_machine_are_no_price():
    found = part("AmazonEC2", (machine("m7g.large", "1"), machine("m7g.large", "2"), machine("m7g.xlarge", "3")))
    assert [priced.machine.name for priced in found.machines] == ["m7g.xlarge"]
    assert found.remarks == ("m7g.large has more than one price on_demand there: not taken",)


def test_what_stands_beside_machines_is_found_in_their_list():
    assert prices(part("AmazonEC2", EC2)) == {
        ("nat_gateway", "hour"): (0.045, "hour"),
        ("nat_gateway", "data"): (0.045, "GB"),
        ("ebs", "gp3"): (0.08, "GB-month"),
        ("load_balancer", "alb_hour"): (0.0225, "hour"),
        ("load_balancer", "alb_lcu"): (0.008, "LCU-hour"),
    }


def test_fargate_has_both_architectures_and_spot_where_the_list_has_it():
    assert prices(part("AmazonECS", ECS)) == {
        ("fargate", "vcpu_x86"): (0.04048, "vCPU-hour"),
        ("fargate", "memory_x86"): (0.004445, "GB-hour"),
        ("fargate", "vcpu_arm64"): (0.03238, "vCPU-hour"),
        ("fargate", "memory_arm64"): (0.00356, "GB-hour"),
        ("fargate", "ephemeral_storage_above_20gb"): (0.000111, "GB-hour"),
        ("fargate", "spot_vcpu_x86"): (0.0127, "vCPU-hour"),
    }


def test_the_free_tier_of_lambda_is_marked_and_the_tiers_follow_it():
    found = [price for price in part("AWSLambda", LAMBDA).services if price.item == "duration_x86"]
    assert [(price.price, price.above, price.upto, price.note) for price in found] == [
        (0.0, 0.0, 400000.0, "free tier"),
        (1.66667e-05, 400000.0, 6e9, ""),
        (1.5e-05, 6e9, 1.5e10, ""),
        (1.33334e-05, 1.5e10, None, ""),
    ]


def test_the_first_100_gb_of_egress_are_an_ordinary_tier():
    found = [price for price in part("AWSDataTransfer", TRANSFER).services if price.service == "egress_internet"]
    assert [(price.price, price.above, price.upto, price.note) for price in found] == [
        (0.0, 0.0, 100.0, ""),
        (0.09, 100.0, 10240.0, ""),
        (0.085, 10240.0, 51200.0, ""),
        (0.05, 51200.0, None, ""),
    ]


def test_a_service_that_was_not_asked_for_is_left_out():
    found = part("AmazonEC2", EC2, services=["nat_gateway"])
    assert found.machines == () and {price.service for price in found.services} == {"nat_gateway"}


def test_every_item_has_the_unit_and_the_name_that_the_shipped_book_has():
    found = [price for offer, region in LISTS if region == "us-east-1" for price in part(offer, LISTS[offer, region]).services]
    shipped = {(price.service, price.item): price.unit for price in BOOK.services if price.cloud == "aws"}
    same = {(price.service, price.item): price.unit for price in found if (price.service, price.item) in shipped}
    assert len(same) == 18 and all(shipped[key] == unit for key, unit in same.items())


def test_the_shipped_prices_of_us_east_1_come_out_of_the_recorded_list():
    named = {(price.service, price.item, price.above): price for price in part("AWSLambda", LAMBDA).services}
    for price in BOOK.tiers("aws", "lambda", "us-east-1", "duration_x86"):
        found = named[price.service, price.item, price.above]
        assert (found.price, found.upto, found.note) == (price.price, price.upto, price.note)


def test_another_unit_than_expected_is_not_taken_and_said():
    found = part("AmazonECS", (*ECS, usage("USE1-SpotUsage:Fargate-GB-Hours", "1", "Days")))
    assert ("fargate", "spot_memory_x86") not in prices(found)
    assert found.remarks == ("fargate spot_memory_x86 is billed by 'Days' there: not taken",)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (price_list("AmazonEC2", EC2) + "BoxUsage Linux\x0bm\r5\n", "is no CSV|has a line with other columns"),
        (price_list("AmazonEC2", EC2) + f'"Linux BoxUsage{"x" * 140_000}"\n', "is no CSV: field larger than field limit"),
        ("", "is no price list in the form that mlship reads"),
        ("<html>\n<body>\n", "is no price list in the form that mlship reads"),
        (price_list("AmazonECS", ECS), "is no price list in the form that mlship reads"),
        (price_list("AmazonEC2", EC2).replace("PricePerUnit", "Price"), "is no price list in the form that mlship reads"),
        (price_list("AmazonEC2", EC2, published="soon"), "is no price list in the form that mlship reads"),
        (price_list("AmazonEC2", EC2)[:-40] + "\n", "has a line with other columns than its first one names"),
        (price_list("AmazonEC2", ()), "names no price that mlship knows"),
        (price_list("AmazonEC2", [row | {"Currency": "CNY"} for row in EC2]), "names no price that mlship knows"),
    ],
)
def test_what_is_no_price_list_is_refused(text, said):
    usual = csv.field_size_limit(10**7)  # as others in this process may leave it
    try:
        with pytest.raises(MlshipError, match=said):
            aws_rows.part("AmazonEC2", "us-east-1", iter(text.split("\n")[:-1]), KNOWN, aws_rows.SERVICES)
        assert csv.field_size_limit() == 10**7
    finally:
        csv.field_size_limit(usual)
