"""SKUs of the Cloud Billing Catalog become prices of machines and services."""

from __future__ import annotations

import pytest
from recorded_prices import COMPUTE, LOGGING, RUN, VERTEX, sku

from mlship.cost.book import Dated
from mlship.cost.book_file import from_bytes
from mlship.cost.refresh.base import Machines
from mlship.cost.refresh.gcp_skus import SERVICES, cloud_run, disks, logging, machines, rates, vertex
from mlship.errors import MlshipError
from mlship.flows.prices import SHIPPED

BOOK = from_bytes(SHIPPED.read_bytes())
KNOWN = Machines(BOOK)
DATED = Dated("gcp billing catalog", "2026-11-22")
PRICED = {priced.machine.name: priced for priced in machines("us-central1", rates(COMPUTE), KNOWN, DATED).machines}


@pytest.mark.parametrize("family", ["n1", "n2", "n2d", "e2", "c2", "g2"])
def test_a_machine_costs_what_its_cores_memory_and_accelerators_do(family):
    """The shipped prices are of another source of the same catalog: each type of these families comes out of a few SKUs."""
    shipped = [
        offer for offer in BOOK.offers["gcp", "us-central1"].values() if offer.machine.family == family and offer.on_demand
    ]
    right = [offer for offer in shipped if offer.on_demand == pytest.approx(PRICED[offer.machine.name].on_demand, rel=1e-3)]
    assert len(right) >= 0.85 * len(shipped) >= 4


def test_a_machine_has_spot_and_committed_prices_and_the_discount_that_comes_by_itself():
    priced = PRICED["n2-standard-4"]
    assert priced.on_demand == pytest.approx(0.194236) and priced.sustained == pytest.approx(0.194236 * 0.8)
    assert priced.spot == pytest.approx(4 * 0.0077 + 16 * 0.001)
    assert priced.reserved_1y == pytest.approx(4 * 0.019915 + 16 * 0.002669) and priced.reserved_3y is None
    assert PRICED["n1-standard-4"].reserved_1y == pytest.approx(4 * 0.019915 + 15 * 0.002669)
    assert PRICED["e2-standard-4"].sustained is None


def test_machines_that_come_with_disks_have_no_price_from_parts():
    assert not [name for name in PRICED if "lssd" in name or name.startswith("a2-ultragpu")]


def test_another_region_has_its_own_prices_or_none():
    with pytest.raises(MlshipError, match="has no machine of europe-west1"):
        machines("europe-west1", rates(COMPUTE), KNOWN, DATED)


def test_cloud_run_has_both_billing_modes_by_region_and_for_the_regions_that_cost_the_same():
    found = cloud_run(rates(RUN), DATED)
    by = {(price.region, price.item): price.price for price in found.services if price.price}
    assert {item: price for (region, item), price in by.items() if region == "tier1"} == {
        "vcpu_request_based": 2.4e-05,
        "memory_request_based": 2.5e-06,
        "vcpu_request_based_idle": 2.5e-06,
        "vcpu_instance_based": 1.8e-05,
        "memory_instance_based": 2e-06,
        "requests": pytest.approx(0.4),
    }
    assert by["europe-west2", "vcpu_request_based"] == pytest.approx(3.36e-05)
    assert by["europe-west3", "requests"] == pytest.approx(0.4)
    free = [(price.item, price.upto) for price in found.services if price.note == "free tier" and price.region == "tier1"]
    assert free == [("vcpu_request_based", 180000.0), ("memory_request_based", 360000.0), ("requests", 2.0)]


def test_cloud_run_where_regions_of_a_tier_differ_is_taken_by_region_alone():
    dear = sku("Services CPU (Instance-based billing) in europe-west1", 0.00002, unit="s", regions=["europe-west1"])
    found = cloud_run(rates((*RUN, dear)), DATED)
    assert found.remarks == ("cloud_run vcpu_instance_based differs between the regions of tier1: not taken for all of them",)
    prices = {price.region: price.price for price in found.services if price.item == "vcpu_instance_based"}
    assert prices == {"us-central1": 1.8e-05, "europe-west1": 2e-05}


def test_logs_cost_the_same_everywhere_and_the_first_50_gib_nothing():
    free, paid = logging(rates(LOGGING), DATED).services
    assert (free.region, free.price, free.above, free.note) == ("all", 0.0, 0.0, "free tier")
    assert (paid.region, paid.unit, paid.note) == ("all", "GB", "listed by the GiB")
    assert (paid.price, paid.above) == (pytest.approx(0.5 * 1e9 / 2**30), pytest.approx(50 * 2**30 / 1e9))
    with pytest.raises(MlshipError, match="no price of logs"):
        logging(rates(RUN), DATED)


def test_online_prediction_on_spot_is_an_item_of_its_own():
    spot = [
        sku(name, price, "Preemptible", unit)
        for name, price, unit in (
            ("Vertex AI: Online/Batch Prediction Spot N1 Predefined Instance Core running in Americas", 0.01, "h"),
            ("Vertex AI: Online/Batch Prediction Spot N1 Predefined Instance Ram running in Americas", 0.001, "GiBy.h"),
        )
    ]
    found = {price.item: price.price for price in vertex("us-central1", rates((*VERTEX, *spot)), KNOWN, DATED).services}
    assert found["online_prediction_spot n1-standard-4"] == pytest.approx(0.055)
    assert found["online_prediction n1-standard-4"] == pytest.approx(4 * 0.036353 + 15 * 0.004873)


def test_online_prediction_is_priced_by_type_of_machine():
    found = {price.item: price for price in vertex("us-central1", rates(VERTEX), KNOWN, DATED).services}
    price = found["online_prediction n1-standard-4"]
    assert (price.unit, price.price) == ("node-hour", pytest.approx(4 * 0.036353 + 15 * 0.004873))
    (shipped,) = BOOK.tiers("gcp", "vertex_ai", "us-central1", "online_prediction n1-standard-4")
    assert shipped.unit == price.unit and shipped.price is None


def test_disks_of_one_zone_are_items_of_the_book_and_listed_by_the_gib():
    (price,) = disks("us-central1", rates(COMPUTE), SERVICES, DATED).services
    (shipped,) = BOOK.tiers("gcp", "persistent_disk", "us-central1", "disk_balanced")
    assert (price.item, price.unit, price.note) == (shipped.item, shipped.unit, "listed by the GiB")
    assert price.price == pytest.approx(0.1 * 1e9 / 2**30)


def test_every_item_has_the_unit_that_the_shipped_book_has():
    shipped = {(price.service, price.item): price.unit for price in BOOK.services if price.cloud == "gcp"}
    for price in cloud_run(rates(RUN), DATED).services:
        assert shipped.get((price.service, price.item), price.unit) == price.unit


@pytest.mark.parametrize(
    "change",
    [
        {"pricingInfo": []},
        {"pricingInfo": "none"},
        {"category": None},
        {"serviceRegions": None},
        {"pricingInfo": [{"pricingExpression": {"tieredRates": [{"unitPrice": {"currencyCode": "EUR", "units": "1"}}]}}]},
        {"pricingInfo": [{"pricingExpression": {"tieredRates": [{"unitPrice": {"units": "-1"}}]}}]},
        {"pricingInfo": [{"pricingExpression": {"tieredRates": [5]}}]},
    ],
)
def test_a_sku_without_a_price_in_dollars_is_left_out(change):
    assert rates([{**COMPUTE[0], **change}]) == ()
