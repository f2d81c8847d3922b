"""SKUs of Google's Cloud Billing Catalog -> prices. Pure.

Machines have no price of their own there: it is that of their cores, their memory and their accelerators. Names of SKUs as in
https://cloud.google.com/skus (2026-11), fields as in
https://cloud.google.com/billing/docs/reference/rest/v1/services.skus/list.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from msgspec.structs import replace

from mlship.cost.book import ANY_REGION, FREE_TIER, Dated, Machine, ServicePrice
from mlship.cost.refresh.base import VM, Machines, Part, Priced, number, tiers
from mlship.errors import MlshipError

SOURCE = "gcp billing catalog"
COMPUTE, RUN, VERTEX, STORAGE = "6F81-5844-456A", "152E-C115-5142", "C7E2-9256-1C43", "95FF-2EF5-5EA1"
LOGGING = "5490-F7B7-8DF6"
# Of a whole month, with the discount that comes by itself:
# https://cloud.google.com/compute/docs/sustained-use-discounts (2026-11)
SUSTAINED = {"n1": 0.7, "n2": 0.8, "n2d": 0.8, "c2": 0.8}
_KINDS = {"OnDemand": "on_demand", "Preemptible": "spot", "Commit1Yr": "reserved_1y", "Commit3Yr": "reserved_3y"}
_OTHER = re.compile(
    "Custom|Sole Tenan|Extended|Reserved|Upgrade Premium|DWS|Flex Start|Calendar Mode|Premium for", re.IGNORECASE
)
_VENDOR = "(?:AMD |Arm |Predefined |Instance )*"
_RUNNING = re.compile(rf"(?:Spot Preemptible |Preemptible )?(.+?) {_VENDOR}(Core|Ram) running in .+", re.IGNORECASE)
_COMMITTED = re.compile(
    rf"Commitment(?: v1)?: (?:(.+?) )?{_VENDOR}(Cpu|Core|Ram)(?: running)? in .+ for [13] Years?", re.IGNORECASE
)
_GPU = re.compile(r"(?:Spot Preemptible |Preemptible |Commitment(?: v1)?: )?Nvidia (.+?) GPU .*running in .+", re.IGNORECASE)
_FAMILIES = {"compute optimized": "c2", "": "n1"}  # commitments of N1 name no family
_GPUS = {"L4": "L4", "Tesla A100": "A100-40GB"}  # others come with disks, that have SKUs of their own
_DISKS = {"Storage PD": "disk_standard", "SSD backed PD": "disk_ssd", "Balanced PD": "disk_balanced"}

_GB_OF_GIB = 2**30 / 1e9

Sku = Mapping[str, Any]


@dataclass(frozen=True)
class Rate:
    """kind: of purchase, `on_demand`. prices: from a number of units on, US dollars. regions: where the SKU holds."""

    name: str
    kind: str
    unit: str
    prices: tuple[tuple[float, float], ...]
    regions: tuple[str, ...]

    @property
    def first(self) -> float:
        """The price of the first unit that costs something."""
        return next((price for _, price in self.prices if price), 0.0)


SERVICES: Mapping[str, str] = {
    VM: COMPUTE,
    "persistent_disk": COMPUTE,
    "nat": COMPUTE,
    "cloud_run": RUN,
    "vertex_ai": VERTEX,
    "cloud_storage": STORAGE,
    "cloud_logging": LOGGING,
}


def rates(skus: Iterable[Sku]) -> tuple[Rate, ...]:
    """Those in US dollars that can be read. Raises MlshipError where a price of a known form has none."""
    return tuple(rate for sku in skus if (rate := _rate(sku)) is not None)


def _rate(sku: Sku) -> Rate | None:
    category, listed = sku.get("category"), sku.get("pricingInfo")
    kind = _KINDS.get(str(category.get("usageType"))) if isinstance(category, dict) else None
    latest = listed[-1] if isinstance(listed, list) and listed else None
    expression = latest.get("pricingExpression") if isinstance(latest, dict) else None
    if kind is None or not isinstance(expression, dict):
        return None
    steps = expression.get("tieredRates")
    prices = [_step(step) for step in steps] if isinstance(steps, list) else []
    regions = sku.get("serviceRegions")
    if not prices or None in prices or not isinstance(regions, list):
        return None
    known = tuple(price for price in prices if price is not None)
    return Rate(str(sku.get("description", "")), kind, str(expression.get("usageUnit")), known, tuple(map(str, regions)))


def _step(step: Any) -> tuple[float, float] | None:
    money = step.get("unitPrice") if isinstance(step, dict) else None
    if not isinstance(money, dict) or money.get("currencyCode", "USD") != "USD":
        return None
    units, nanos = number(money.get("units", 0)), number(money.get("nanos", 0))
    start = number(step.get("startUsageAmount", 0))
    return None if units is None or nanos is None or start is None else (start, units + nanos / 1e9)


@dataclass
class _Components:
    """What a core, a GiB and an accelerator cost an hour: by family or accelerator, part and kind of purchase."""

    prices: dict[tuple[str, str, str], float] = field(default_factory=dict)

    def add(self, rate: Rate) -> None:
        if _OTHER.search(rate.name) or rate.unit not in ("h", "GiBy.h") or not rate.first:
            return
        if found := _GPU.fullmatch(rate.name):
            self.prices.setdefault((_GPUS.get(found[1], found[1]), "gpu", rate.kind), rate.first)
        elif found := _COMMITTED.fullmatch(rate.name) or _RUNNING.fullmatch(rate.name):
            family = (found[1] or "").lower()
            part = "ram" if found[2].lower() == "ram" else "core"
            self.prices.setdefault((_FAMILIES.get(family, family), part, rate.kind), rate.first)

    def price(self, machine: Machine, kind: str) -> float | None:
        core, ram = (self.prices.get((machine.family, part, kind)) for part in ("core", "ram"))
        gpu = self.prices.get((machine.accelerator, "gpu", kind)) if machine.accelerators else 0.0
        if core is None or ram is None or gpu is None or machine.memory_gib is None:
            return None
        return round(machine.vcpus * core + machine.memory_gib * ram + machine.accelerators * gpu, 9)


def machines(region: str, listed: Iterable[Rate], known: Machines, dated: Dated) -> Part:
    """Raises MlshipError where no machine of the region can be put together."""
    components = _Components()
    for rate in listed:
        if region in rate.regions:
            components.add(rate)
    priced = tuple(_priced(machine, region, components) for machine in known.of("gcp") if _is_sum(machine))
    found = tuple(price for price in priced if price.on_demand is not None)
    if not found:
        raise MlshipError(f"the catalog has no machine of {region} that mlship knows", code="strange-prices")
    return Part("gcp", f"{region} machines", dated, found)


def _is_sum(machine: Machine) -> bool:
    """Whether its price is that of cores, memory and accelerators alone: not where disks come with it (`-lssd`)."""
    with_disks = "lssd" in machine.name or machine.name.startswith("a2-ultragpu")
    return not with_disks and (not machine.accelerator or (machine.accelerators > 0 and machine.accelerator in _GPUS.values()))


def _priced(machine: Machine, region: str, components: _Components) -> Priced:
    prices = {kind: components.price(machine, kind) for kind in _KINDS.values()}
    on_demand, share = prices["on_demand"], SUSTAINED.get(machine.family)
    sustained = round(on_demand * share, 9) if on_demand is not None and share else None
    return Priced(machine, region, **prices, sustained=sustained)


def disks(region: str, listed: Iterable[Rate], wanted: Iterable[str], dated: Dated) -> Part:
    """Persistent disks and NAT. Raises MlshipError where the region has none."""
    wanted = set(wanted)
    found: list[ServicePrice] = []
    for rate in listed:
        if region not in rate.regions or rate.kind != "on_demand" or "Regional" in rate.name:
            continue
        disk = re.fullmatch(r"(.+ PD) Capacity(?: in .+)?", rate.name)
        if disk and disk[1] in _DISKS and rate.unit == "GiBy.mo" and "persistent_disk" in wanted:
            row = ServicePrice("gcp", "persistent_disk", region, _DISKS[disk[1]], "GB-month", None, dated=dated)
            found += _tiers(rate, row)
        elif "nat" in wanted and rate.unit == "GiBy" and re.search("NAT Gateway: Data processing", rate.name, re.IGNORECASE):
            found += _tiers(rate, ServicePrice("gcp", "nat", region, "data", "GB", None, dated=dated))
    if not found:
        raise MlshipError(f"the catalog has no disk of {region} that mlship knows", code="strange-prices")
    return Part("gcp", f"{region} disks", dated, (), tuple(found))


def storage(region: str, listed: Iterable[Rate], dated: Dated) -> Part:
    """Objects. Raises MlshipError where the region has none."""
    for rate in listed:
        is_plain = re.fullmatch(r"Standard Storage .+", rate.name) and not re.search("Multi|Dual|Class|Early", rate.name)
        if is_plain and region in rate.regions and rate.kind == "on_demand" and rate.unit == "GiBy.mo":
            row = ServicePrice("gcp", "cloud_storage", region, "standard", "GB-month", None, dated=dated)
            return Part("gcp", f"{region} storage", dated, (), tuple(_tiers(rate, row)))
    raise MlshipError(f"the catalog has no storage of {region} that mlship knows", code="strange-prices")


RUN_ITEMS = (
    (r"Services CPU(?: Tier 2)? +\(Request-based billing\)", "vcpu_request_based", "vCPU-second", "s"),
    (r"Services Memory(?: Tier 2)? +\(Request-based billing\)", "memory_request_based", "GiB-second", "GiBy.s"),
    (r"Services Min Instance CPU(?: Tier 2)? +\(Request-based billing\)", "vcpu_request_based_idle", "vCPU-second", "s"),
    (
        r"Services Min Instance Memory(?: Tier 2)? +\(Request-based billing\)",
        "memory_request_based_idle",
        "GiB-second",
        "GiBy.s",
    ),
    (r"Services CPU \(Instance-based billing\) in .+", "vcpu_instance_based", "vCPU-second", "s"),
    (r"Services Memory \(Instance-based billing\) in .+", "memory_instance_based", "GiB-second", "GiBy.s"),
)


def cloud_run(listed: Iterable[Rate], dated: Dated) -> Part:
    """By region, and once more for all regions of `tier1`, which cost the same. Raises MlshipError without any price."""
    listed = [rate for rate in listed if rate.kind == "on_demand" and rate.first]
    first = [rate for rate in listed if re.fullmatch(RUN_ITEMS[0][0], rate.name)]
    tier1 = frozenset(region for rate in first if "Tier 2" not in rate.name for region in rate.regions)
    found: list[ServicePrice] = []
    remarks: list[str] = []
    for form, item, unit, theirs in RUN_ITEMS:
        prices = {
            region: rate.prices
            for rate in listed
            if re.fullmatch(form, rate.name) and rate.unit == theirs
            for region in rate.regions
        }
        row = ServicePrice("gcp", "cloud_run", "", item, unit, None, dated=dated)
        found += _everywhere(row, prices)
        different = {price for region, price in prices.items() if region in tier1}
        if len(different) == 1:
            found += tiers(replace(row, region="tier1"), *different, note=FREE_TIER)
        elif different:
            remarks.append(f"cloud_run {item} differs between the regions of tier1: not taken for all of them")
    regions = sorted({"tier1", *(region for rate in first for region in rate.regions)})
    found += _requests(listed, regions, dated)
    if not found:
        raise MlshipError("the catalog has no price of Cloud Run that mlship knows", code="strange-prices")
    return Part("gcp", "Cloud Run", dated, (), tuple(found), tuple(remarks))


def _everywhere(row: ServicePrice, prices: Mapping[str, tuple[tuple[float, float], ...]]) -> Iterator[ServicePrice]:
    for region, listed in sorted(prices.items()):
        yield from tiers(replace(row, region=region), listed, note=FREE_TIER)


def _requests(listed: Iterable[Rate], regions: Iterable[str], dated: Dated) -> Iterator[ServicePrice]:
    """Listed by the single one, for all regions together."""
    for rate in listed:
        if rate.name in ("Requests", "Services Requests") and rate.unit in ("count", "1"):
            million = tuple((start / 1e6, price * 1e6) for start, price in rate.prices)
            row = ServicePrice("gcp", "cloud_run", "", "requests", "million requests", None, dated=dated)
            yield from _everywhere(row, dict.fromkeys(regions, million))
            return


def logging(listed: Iterable[Rate], dated: Dated) -> Part:
    """Logs cost the same everywhere. Raises MlshipError where the catalog does not say what."""
    for rate in listed:
        if rate.name == "Log Storage cost" and rate.kind == "on_demand" and rate.unit == "GiBy" and rate.first:
            row = ServicePrice("gcp", "cloud_logging", ANY_REGION, "ingestion", "GB", None, dated=dated)
            return Part("gcp", "Cloud Logging", dated, (), tuple(_tiers(rate, row)))
    raise MlshipError("the catalog has no price of logs that mlship knows", code="strange-prices")


def vertex(region: str, listed: Iterable[Rate], known: Machines, dated: Dated) -> Part:
    """Online prediction by type of machine, without accelerators. Raises MlshipError where no type can be put together."""
    components = _Components()
    for rate in listed:
        name = re.fullmatch(r"Vertex AI: Online/Batch Prediction (?:Spot )?(.+?)(?: for Model Deployment)?", rate.name)
        if name and region in rate.regions:
            components.add(Rate(name[1], rate.kind, rate.unit, rate.prices, rate.regions))
    found = tuple(
        ServicePrice("gcp", "vertex_ai", region, f"{item} {machine.name}", "node-hour", price, dated=dated)
        for machine in known.of("gcp")
        for item, kind in (("online_prediction", "on_demand"), ("online_prediction_spot", "spot"))
        if not machine.accelerator and _is_sum(machine) and (price := components.price(machine, kind))
    )
    if not found:
        raise MlshipError(f"the catalog has no price of online prediction in {region}", code="strange-prices")
    return Part("gcp", f"{region} Vertex AI", dated, (), found)


def _tiers(rate: Rate, row: ServicePrice) -> Iterator[ServicePrice]:
    """Of what is listed by the GiB: bytes are counted in GB everywhere else, images and logs, too."""
    by_gb = tuple((start * _GB_OF_GIB, price / _GB_OF_GIB) for start, price in rate.prices)
    yield from tiers(replace(row, note="listed by the GiB"), by_gb, note=FREE_TIER)
