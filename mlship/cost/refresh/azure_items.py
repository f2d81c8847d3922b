"""Items of the Azure Retail Prices API -> prices. Pure.

Fields and meters as in https://learn.microsoft.com/rest/api/cost-management/retail-prices/azure-retail-prices (2026-11).
A reservation's price is that of its whole term.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mlship.cost.book import FREE_TIER, Dated, ServicePrice
from mlship.cost.refresh.base import VM, Machines, Part, Priced, number, tiers
from mlship.errors import MlshipError

SOURCE = "azure retail prices"
HOURS_PER_YEAR = 8760.0
_YEARS = {"1 Year": 1, "3 Years": 3}

Item = Mapping[str, Any]


@dataclass(frozen=True)
class Rule:
    """Which meter is which item. azure: the vendor's name of the service. units: how many of theirs are one of ours.

    region: where the vendor lists it, `` in the region itself. note: of a tier that costs nothing.
    """

    azure: str
    product: str
    meter: str
    service: str
    item: str
    unit: str
    units: float = 1.0
    region: str = ""
    note: str = ""


_APPS = ("Azure Container Apps", "Azure Container Apps")
RULES = (
    Rule(*_APPS, "Standard vCPU Active Usage", "container_apps", "vcpu_active", "vCPU-second", note=FREE_TIER),
    Rule(*_APPS, "Standard Memory Active Usage", "container_apps", "memory_active", "GiB-second", note=FREE_TIER),
    Rule(*_APPS, "Standard vCPU Idle Usage", "container_apps", "vcpu_idle", "vCPU-second", note=FREE_TIER),
    Rule(*_APPS, "Standard Memory Idle Usage", "container_apps", "memory_idle", "GiB-second", note=FREE_TIER),
    Rule(*_APPS, "Standard Requests", "container_apps", "requests", "million requests", 1e6, note=FREE_TIER),
    Rule(
        *("Load Balancer", "Load Balancer", "Standard Included LB Rules and Outbound Rules"),
        *("load_balancer", "standard_lb", "hour"),
        region="Global",
    ),
    Rule("Bandwidth", "Rtn Preference: MGN", "Standard Data Transfer Out", "egress_internet", "out", "GB"),
    Rule("Log Analytics", "Log Analytics", "Analytics Logs Data Ingestion", "log_analytics", "ingestion", "GB", note=FREE_TIER),
)
SERVICES = (VM, *dict.fromkeys(rule.service for rule in RULES))


def machines(region: str, items: Iterable[Item], known: Machines, day: str) -> Part:
    """Virtual machines with Linux: on demand, spot and reserved. Raises MlshipError where no type is one that mlship knows."""
    prices: dict[str, dict[str, float]] = {}
    unknown: set[str] = set()
    for item in items:
        name = item.get("armSkuName")
        kind, price = _kind(item), number(item.get("retailPrice"))
        if not isinstance(name, str) or not kind or not price or item.get("armRegionName") != region:
            continue
        if known.named("azure", name) is None:
            unknown.add(name)
            continue
        years = _YEARS.get(str(item.get("reservationTerm")), 0)
        price = price / (HOURS_PER_YEAR * years) if years else price
        if price != (before := prices.setdefault(name, {}).setdefault(kind, price)):
            prices[name][kind] = min(price, before)  # the same machine within a newer product, or with a promotion
    priced = [Priced(machine, region, **found) for name, found in prices.items() if (machine := known.named("azure", name))]
    if not priced:
        raise MlshipError(f"the answer for machines of {region} names no type that mlship knows", code="strange-prices")
    remarks = (f"{len(unknown)} types of {region}, whose size the interface does not tell, were left out",) if unknown else ()
    return Part("azure", f"{region} machines", Dated(SOURCE, day), tuple(priced), (), remarks)


def _kind(item: Item) -> str:
    """Which price of a machine with Linux this is; `` for all others."""
    product, meter = str(item.get("productName", "")), str(item.get("meterName", ""))
    sku = str(item.get("skuName", ""))
    if item.get("currencyCode") != "USD" or "Windows" in product or not product.startswith("Virtual Machines"):
        return ""
    if item.get("unitOfMeasure") != "1 Hour" and item.get("type") != "Reservation":
        return ""
    if item.get("type") == "Reservation":
        years = _YEARS.get(str(item.get("reservationTerm")))
        return f"reserved_{years}y" if years else ""
    if item.get("type") != "Consumption" or "Low Priority" in f"{meter} {sku}" or number(item.get("tierMinimumUnits")):
        return ""
    return "spot" if "Spot" in f"{meter} {sku}" else "on_demand"


def services(region: str, azure: str, items: Iterable[Item], wanted: Iterable[str], day: str) -> Part:
    """azure: the vendor's name of the service. Raises MlshipError without any meter, or with a strange unit."""
    rules = [rule for rule in RULES if rule.azure == azure and rule.service in set(wanted)]
    listed = [item for item in items if item.get("type") == "Consumption" and item.get("currencyCode") == "USD"]
    dated = Dated(SOURCE, day)
    found = tuple(price for rule in rules for price in _priced(rule, region, listed, dated))
    if not found:
        raise MlshipError(f"the answer for {azure} of {region} names no price that mlship knows", code="strange-prices")
    return Part("azure", f"{region} {azure}", dated, (), found)


def _priced(rule: Rule, region: str, items: Iterable[Item], dated: Dated) -> Iterator[ServicePrice]:
    listed: dict[float, float] = {}
    for item in items:
        if item.get("meterName") != rule.meter or item.get("armRegionName") != (rule.region or region):
            continue
        if item.get("productName") != rule.product:
            continue
        price, start, amount = number(item.get("retailPrice")), number(item.get("tierMinimumUnits", 0)), _amount(item)
        if price is None or start is None or amount is None:
            raise MlshipError(f"{rule.meter} of {region} has no price, or is billed in an unknown way", code="strange-prices")
        listed[start * amount / rule.units] = price / amount * rule.units
    if listed and any(listed.values()):
        row = ServicePrice("azure", rule.service, region, rule.item, rule.unit, None, dated=dated)
        yield from tiers(row, listed.items(), note=rule.note)


def _amount(item: Item) -> float | None:
    """How many units one price is of: `1 Second` 1, `10K` 10,000, `1M` a million; None for what is not understood."""
    said = re.fullmatch(r"(\d{1,6})\s?([KM]?)(?:[ /].*)?", str(item.get("unitOfMeasure", "")))
    return float(said[1]) * {"": 1.0, "K": 1e3, "M": 1e6}[said[2]] if said and float(said[1]) else None
