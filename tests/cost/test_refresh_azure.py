"""Items of the Azure Retail Prices API become prices under the names that the book has."""

from __future__ import annotations

import pytest
from recorded_prices import APPS, AZURE_RESERVED, AZURE_VMS, BALANCERS, BANDWIDTH, LOGS, azure_item

from mlship.cost.book_file import from_bytes
from mlship.cost.refresh.azure_items import SERVICES, machines, services
from mlship.cost.refresh.base import Machines
from mlship.errors import MlshipError
from mlship.flows.prices import SHIPPED

BOOK = from_bytes(SHIPPED.read_bytes())
KNOWN = Machines(BOOK)
DAY = "2026-11-22"


def test_a_machine_has_its_prices_with_linux_and_reservations_by_the_hour():
    found = machines("eastus", (*AZURE_VMS, *AZURE_RESERVED), KNOWN, DAY)
    (priced,) = found.machines
    assert (priced.machine.name, priced.on_demand, priced.spot) == ("Standard_D4s_v5", 0.192, 0.0384)
    assert priced.reserved_1y == pytest.approx(992 / 8760) and priced.reserved_3y == pytest.approx(1916 / 26280)
    assert found.remarks == ("1 types of eastus, whose size the interface does not tell, were left out",)


@pytest.mark.parametrize(
    "other",
    [
        {"armRegionName": "westus"},
        {"currencyCode": "EUR"},
        {"unitOfMeasure": "1 Day"},
        {"retailPrice": 0.0},
        {"retailPrice": "free"},
        {"armSkuName": None},
        {"productName": "Cloud Services Dsv5 Series"},
        {"type": "Reservation", "reservationTerm": "5 Years"},
    ],
)
def test_what_is_no_price_of_a_machine_there_is_left_out(other):
    with pytest.raises(MlshipError, match="names no type that mlship knows"):
        machines("eastus", [azure_item(**other)], KNOWN, DAY)


def test_container_apps_have_active_and_idle_rates_and_a_marked_free_tier():
    found = services("westus2", "Azure Container Apps", APPS, SERVICES, DAY).services
    assert [(price.item, price.unit, price.price, price.above, price.upto, price.note) for price in found] == [
        ("vcpu_active", "vCPU-second", 0.0, 0.0, 180000.0, "free tier"),
        ("vcpu_active", "vCPU-second", 0.000034, 180000.0, None, ""),
        ("memory_active", "GiB-second", 0.000004, 0.0, None, ""),
        ("vcpu_idle", "vCPU-second", 0.000004, 0.0, None, ""),
        ("memory_idle", "GiB-second", 0.000004, 0.0, None, ""),
        ("requests", "million requests", 0.4, 0.0, None, ""),
    ]


def test_a_price_of_ten_thousand_is_that_of_a_million_a_hundred_times():
    every = services(
        "westus2", "Azure Container Apps", [{**APPS[5], "unitOfMeasure": "10K", "retailPrice": 0.004}], SERVICES, DAY
    )
    assert every.services[0].price == pytest.approx(0.4)


def test_balancers_are_listed_once_for_all_regions():
    (price,) = services("eastus", "Load Balancer", BALANCERS, SERVICES, DAY).services
    assert (price.region, price.item, price.unit, price.price) == ("eastus", "standard_lb", "hour", 0.025)


def test_logs_have_a_marked_free_tier():
    found = services("eastus", "Log Analytics", LOGS, SERVICES, DAY).services
    assert [(price.item, price.price, price.above, price.note) for price in found] == [
        ("ingestion", 0.0, 0.0, "free tier"),
        ("ingestion", 2.3, 5.0, ""),
    ]


def test_egress_comes_in_the_tiers_of_the_list():
    found = services("eastus", "Bandwidth", BANDWIDTH, SERVICES, DAY).services
    shipped = BOOK.tiers("azure", "egress_internet", "eastus", "out")
    assert [(price.price, price.above) for price in found] == [(price.price, price.above) for price in shipped[:3]]


def test_every_item_has_the_unit_that_the_shipped_book_has():
    shipped = {(price.service, price.item): price.unit for price in BOOK.services if price.cloud == "azure"}
    asked = (
        ("westus2", "Azure Container Apps", APPS),
        ("eastus", "Load Balancer", BALANCERS),
        ("eastus", "Bandwidth", BANDWIDTH),
    )
    for region, azure, items in asked:
        for price in services(region, azure, items, SERVICES, DAY).services:
            assert shipped[price.service, price.item] == price.unit


@pytest.mark.parametrize("other", [{"unitOfMeasure": "a while"}, {"retailPrice": None}, {"tierMinimumUnits": "many"}])
def test_a_meter_that_cannot_be_understood_is_refused(other):
    with pytest.raises(MlshipError, match="has no price, or is billed in an unknown way"):
        services("westus2", "Azure Container Apps", [{**APPS[1], **other}], SERVICES, DAY)


def test_an_answer_without_a_known_meter_is_refused():
    with pytest.raises(MlshipError, match="names no price that mlship knows"):
        services("westus2", "Azure Container Apps", APPS[-1:], SERVICES, DAY)
