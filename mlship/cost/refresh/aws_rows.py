"""Rows of an AWS price list -> prices. Pure.

Columns and usage types as in the CSV of the Price List Bulk API, publication of 2026-03-05 and later.
https://docs.aws.amazon.com/awsaccountbilling/latest/aboutv2/reading-service-price-list-file-for-services.html
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

from mlship.cost.book import FREE_TIER, Dated, Machine, ServicePrice
from mlship.cost.refresh.base import VM, Machines, Part, Priced, number, tiers
from mlship.errors import MlshipError

SOURCE = "aws price list"
LONGEST_CELL = 2**17  # characters; a longer one has lost its closing quote
# What a usage type starts with outside us-east-1: `EU-`, `EUW2-`, `APS3-`, `USW2-`; there with nothing, or `USE1-`.
_PREFIX = r"(?:(?:US|UG|EU|AP|CA|SA|ME|AF|IL|MX)[A-Z]{0,2}\d?-)?"
_WORTH_READING = re.compile(r"NatGateway|EBS:VolumeUsage\.gp3|LoadBalancerUsage|LCUUsage")
_CATEGORIES = {
    "General purpose": "general",
    "Compute optimized": "compute",
    "Memory optimized": "memory",
    "GPU instance": "gpu",
    "Machine Learning ASIC Instances": "accelerator",
}
_TERMS = {"1yr": "reserved_1y", "3yr": "reserved_3y"}


@dataclass(frozen=True)
class Rule:
    """Which usage is which item. usage: without the region's prefix. units: as the list may call them. unit: as the book does.

    operation: where the usage type alone does not tell. free: the usage type of what costs nothing, of all regions together.
    """

    offers: tuple[str, ...]
    usage: str
    service: str
    item: str
    unit: str
    units: tuple[str, ...]
    operation: str = ""
    free: str = ""
    note: str = ""


_HOURS = ("hrs", "hours", "hour")
_GB_HOURS = (*_HOURS, "gb-hours", "gb-hour")
_SECONDS = ("lambda-gb-second", "gb-seconds", "gb-second", "second", "seconds", "sec")
_MONTHS = ("gb-mo", "gb-month", "gb-months")
_ECS, _EC2, _ELB = ("AmazonECS",), ("AmazonEC2",), ("AWSELB", "AmazonEC2")  # balancers of some regions stand in AmazonEC2
_ALB = "LoadBalancing:Application"
RULES = (
    Rule(_ECS, "Fargate-vCPU-Hours:perCPU", "fargate", "vcpu_x86", "vCPU-hour", (*_HOURS, "vcpu-hours")),
    Rule(_ECS, "Fargate-GB-Hours", "fargate", "memory_x86", "GB-hour", _GB_HOURS),
    Rule(_ECS, "Fargate-ARM-vCPU-Hours:perCPU", "fargate", "vcpu_arm64", "vCPU-hour", (*_HOURS, "vcpu-hours")),
    Rule(_ECS, "Fargate-ARM-GB-Hours", "fargate", "memory_arm64", "GB-hour", _GB_HOURS),
    Rule(_ECS, "Fargate-EphemeralStorage-GB-Hours", "fargate", "ephemeral_storage_above_20gb", "GB-hour", _GB_HOURS),
    Rule(_ECS, "SpotUsage[:-]Fargate-vCPU-Hours:perCPU", "fargate", "spot_vcpu_x86", "vCPU-hour", (*_HOURS, "vcpu-hours")),
    Rule(_ECS, "SpotUsage[:-]Fargate-GB-Hours", "fargate", "spot_memory_x86", "GB-hour", _GB_HOURS),
    Rule(
        _ECS, "SpotUsage[:-]Fargate-ARM-vCPU-Hours:perCPU", "fargate", "spot_vcpu_arm64", "vCPU-hour", (*_HOURS, "vcpu-hours")
    ),
    Rule(_ECS, "SpotUsage[:-]Fargate-ARM-GB-Hours", "fargate", "spot_memory_arm64", "GB-hour", _GB_HOURS),
    Rule(
        *(("AWSLambda",), "Request", "lambda", "requests", "request", ("requests", "request")),
        free="Global-Request",
        note=FREE_TIER,
    ),
    Rule(
        *(("AWSLambda",), "Lambda-GB-Second", "lambda", "duration_x86", "GB-second", _SECONDS),
        free="Global-Lambda-GB-Second",
        note=FREE_TIER,
    ),
    Rule(
        *(("AWSLambda",), "Lambda-GB-Second-ARM", "lambda", "duration_arm64", "GB-second", _SECONDS),
        free="Global-Lambda-GB-Second",
        note=FREE_TIER,
    ),
    Rule(("AWSLambda",), "Lambda-Provisioned-Concurrency", "lambda", "provisioned_concurrency_x86", "GB-second", _SECONDS),
    Rule(
        ("AWSLambda",), "Lambda-Provisioned-Concurrency-ARM", "lambda", "provisioned_concurrency_arm64", "GB-second", _SECONDS
    ),
    Rule(("AmazonSageMaker",), r"Host:(ml\.[a-z0-9-]+\.[a-z0-9]+)", "sagemaker_realtime", "", "instance-hour", _HOURS),
    Rule(("AmazonSageMaker",), "ServerlessInf:Mem-1GB", "sagemaker_serverless", "compute", "GB-second", _SECONDS),
    Rule(_ELB, "LoadBalancerUsage", "load_balancer", "alb_hour", "hour", _HOURS, _ALB),
    Rule(_ELB, "LCUUsage", "load_balancer", "alb_lcu", "LCU-hour", ("lcu-hrs", "lcu-hours", *_HOURS), _ALB),
    Rule(_EC2, "NatGateway-Hours", "nat_gateway", "hour", "hour", _HOURS, "NatGateway"),
    Rule(_EC2, "NatGateway-Bytes", "nat_gateway", "data", "GB", ("gb",), "NatGateway"),
    Rule(_EC2, r"EBS:VolumeUsage\.gp3", "ebs", "gp3", "GB-month", _MONTHS),
    Rule(("AmazonVPC",), "PublicIPv4:InUseAddress", "public_ipv4", "in_use", "hour", _HOURS),
    Rule(("AmazonECR",), "TimedStorage-ByteHrs", "ecr", "storage", "GB-month", _MONTHS),
    Rule(("AmazonS3",), "TimedStorage-ByteHrs", "s3", "standard_storage", "GB-month", _MONTHS),
    Rule(
        *(("AmazonCloudWatch",), "DataProcessing-Bytes", "cloudwatch_logs", "ingestion", "GB", ("gb",)),
        free="Global-DataProcessing-Bytes",
        note=FREE_TIER,
    ),
    Rule(
        *(("AWSDataTransfer",), "DataTransfer-Out-Bytes", "egress_internet", "out", "GB", ("gb",)),
        free="Global-DataTransfer-Out-Bytes",
    ),
    Rule(("AWSDataTransfer",), "DataTransfer-Regional-Bytes", "egress_inter_az", "out", "GB", ("gb",)),
)
SERVICES = (VM, *dict.fromkeys(rule.service for rule in RULES))


def offers_of(services: Iterable[str]) -> tuple[str, ...]:
    """The price lists to read for these services, AmazonEC2 first."""
    wanted = set(services)
    named = [*_EC2] if VM in wanted else []
    named += [offer for rule in RULES if rule.service in wanted for offer in rule.offers]
    return tuple(dict.fromkeys(named))


def part(offer: str, region: str, lines: Iterator[str], machines: Machines, services: Iterable[str]) -> Part:
    """What one price list of one region says. Raises MlshipError where it is no such list, or names nothing that is known."""
    usual = csv.field_size_limit(LONGEST_CELL)  # of the whole process: whatever others set it to
    try:
        return _part(offer, region, lines, machines, services)
    except csv.Error as error:  # a carriage return within a line, a quote that never ends
        raise MlshipError(f"the price list {offer} of {region} is no CSV: {error}", code="strange-prices") from None
    finally:
        csv.field_size_limit(usual)


def _part(offer: str, region: str, lines: Iterator[str], machines: Machines, services: Iterable[str]) -> Part:
    table = _Table(offer, region, lines)
    gathered = _Gathered(table, [rule for rule in RULES if offer in rule.offers and rule.service in set(services)])
    wants_machines = offer in _EC2 and VM in set(services)
    for row in table.rows(_is_worth_reading if offer in _EC2 else None):
        if not gathered.take(row) and wants_machines:
            gathered.take_machine(row)
    dated = Dated(SOURCE, table.day)
    priced = tuple(gathered.machines(machines))
    found = tuple(gathered.services(dated))
    if not (priced if wants_machines else found):
        raise MlshipError(f"the price list {offer} of {region} names no price that mlship knows", code="strange-prices")
    return Part("aws", f"{region} {offer}", dated, priced, found, tuple(gathered.remarks))


@cache
def _usage(rule: Rule) -> re.Pattern[str]:
    return re.compile(f"{_PREFIX}(?:{rule.usage})")


def _is_worth_reading(line: str) -> bool:
    """AmazonEC2 has a million lines, most of them of dedicated machines, reserved capacity and other systems."""
    return ("BoxUsage" in line and "Linux" in line) or _WORTH_READING.search(line) is not None


class _Table:
    """The CSV of one list: some lines about it, one with the columns' names, then prices."""

    def __init__(self, offer: str, region: str, lines: Iterator[str]) -> None:
        self._what = f"the price list {offer} of {region}"
        self._lines = lines
        about: dict[str, str] = {}
        columns: list[str] = []
        for cells in csv.reader(lines):
            if cells[:1] == ["SKU"]:
                columns = cells
                break
            if len(cells) != 2 or len(about) > 20:
                break
            about[cells[0]] = cells[1]
        self._at = {_plain(name): at for at, name in enumerate(columns)}
        self._width = len(columns)
        self.day = about.get("Publication Date", "")[:10]
        lacking = [name for name in ("termtype", "unit", "priceperunit", "currency", "usagetype") if name not in self._at]
        if about.get("OfferCode") != offer or not re.fullmatch(r"\d{4}-\d\d-\d\d", self.day) or lacking:
            raise self.strange("is no price list in the form that mlship reads")
        self.region = region

    def rows(self, worth: Callable[[str], bool] | None) -> Iterator[Sequence[str]]:
        """worth: other lines are not looked at. All lines have the columns' number of cells."""
        lines = filter(worth, self._lines) if worth else self._lines
        for cells in csv.reader(lines):
            if len(cells) != self._width:
                raise self.strange("has a line with other columns than its first one names")
            yield cells

    def cell(self, row: Sequence[str], column: str) -> str:
        at = self._at.get(column)
        return row[at] if at is not None else ""

    def strange(self, what: str) -> MlshipError:
        return MlshipError(f"{self._what} {what}", code="strange-prices")


def _plain(column: str) -> str:
    """`usageType`, `Usage Type`, `Pre Installed S/W`: lists write them differently."""
    return re.sub("[^a-z0-9]", "", column.lower())


@dataclass
class _Gathered:
    """What was seen so far. _tiers: by rule and item the prices from a number of units on. _free: units that cost nothing."""

    table: _Table
    rules: Sequence[Rule]
    remarks: dict[str, None] = field(default_factory=dict)
    _tiers: dict[tuple[Rule, str], dict[float, float]] = field(default_factory=dict)
    _free: dict[str, float] = field(default_factory=dict)
    _types: dict[str, dict[str, float | None]] = field(default_factory=dict)
    _facts: dict[str, Sequence[str]] = field(default_factory=dict)

    def take(self, row: Sequence[str]) -> bool:
        """Whether the row is one of the rules'."""
        said = self.table.cell
        usage = said(row, "usagetype")
        if said(row, "termtype") != "OnDemand" or said(row, "currency") != "USD":
            return False
        if any(rule.free == usage for rule in self.rules):
            if number(said(row, "priceperunit")) == 0 and (upto := number(said(row, "endingrange"))):
                self._free[usage] = max(upto, self._free.get(usage, 0.0))
            return True
        return any(self._took(row, rule, found) for rule in self.rules if (found := _usage(rule).fullmatch(usage)))

    def _took(self, row: Sequence[str], rule: Rule, found: re.Match[str]) -> bool:
        said = self.table.cell
        if rule.operation and said(row, "operation") != rule.operation:
            return False
        item = rule.item or found[1]
        price, start = number(said(row, "priceperunit")), number(said(row, "startingrange") or "0")
        if said(row, "unit").lower() not in rule.units or price is None or start is None:
            self.remarks[f"{rule.service} {item} is billed by {said(row, 'unit')[:30]!r} there: not taken"] = None
            return True
        if rule.service == "egress_internet" and said(row, "tolocation") not in ("External", ""):
            return True
        if price:
            self._clash(self._tiers.setdefault((rule, item), {}), start, price, f"{rule.service} {item}")
        return True

    def _clash(self, prices: dict[float, float], start: float, price: float, what: str) -> None:
        if prices.setdefault(start, price) != price:
            self.remarks[f"{what} has more than one price there: the highest was taken"] = None
            prices[start] = max(price, prices[start])

    def take_machine(self, row: Sequence[str]) -> None:
        """On demand, and committed for one or three years with nothing upfront: Linux, shared, without further software."""
        said = self.table.cell
        name = said(row, "instancetype")
        if (
            not name
            or said(row, "operatingsystem") != "Linux"
            or said(row, "tenancy") != "Shared"
            or said(row, "preinstalledsw") not in ("NA", "")
            or said(row, "capacitystatus") not in ("Used", "")
            or said(row, "operation") not in ("RunInstances", "")
            or said(row, "unit").lower() not in _HOURS
            or said(row, "currency") != "USD"
        ):
            return
        kind = self._kind(row)
        price = number(said(row, "priceperunit"))
        if not kind or not price:
            return
        prices = self._types.setdefault(name, {})
        if prices.setdefault(kind, price) != price:
            self.remarks[f"{name} has more than one price {kind} there: not taken"] = None
            prices[kind] = None
        if said(row, "vcpu"):  # rows of commitments may lack what the type is
            self._facts.setdefault(name, row)

    def _kind(self, row: Sequence[str]) -> str:
        said = self.table.cell
        if said(row, "termtype") == "OnDemand":
            return "on_demand"
        if said(row, "purchaseoption") == "No Upfront" and said(row, "offeringclass") == "standard":
            return _TERMS.get(said(row, "leasecontractlength"), "")
        return ""

    def machines(self, known: Machines) -> Iterator[Priced]:
        for name, prices in self._types.items():
            machine = known.named("aws", name) or self._machine(name, known)
            if machine is not None and any(prices.values()):
                yield Priced(machine, self.table.region, **_floats(prices))

    def _machine(self, name: str, known: Machines) -> Machine | None:
        """A type that mlship does not know yet, as the list describes it; None where that is too little."""
        row = self._facts.get(name)
        if row is None:
            return None
        said = self.table.cell
        vcpus, memory = number(said(row, "vcpu")), number(said(row, "memory").removesuffix(" GiB").replace(",", ""))
        category = _CATEGORIES.get(said(row, "instancefamily"), "")
        if not vcpus or not category:
            return None
        family = name.partition(".")[0]
        gpus = int(number(said(row, "gpu")) or 0)
        kin = known.sibling("aws", family)
        if kin is None and (gpus or category in ("gpu", "accelerator")):
            return None  # the list does not say which accelerator it has
        arm = "Graviton" in said(row, "physicalprocessor")
        return Machine(
            "aws",
            name,
            family,
            kin.category if kin else category,
            kin.arch if kin else "arm64" if arm else "x86_64",
            vcpus,
            memory,
            kin.accelerator if kin else "",
            gpus,
            kin.has_whole_cores if kin else arm,
        )

    def services(self, dated: Dated) -> Iterator[ServicePrice]:
        for (rule, item), prices in self._tiers.items():
            row = ServicePrice("aws", rule.service, self.table.region, item, rule.unit, None, dated=dated)
            yield from tiers(row, prices.items(), free_upto=self._free.get(rule.free, 0.0), note=rule.note)


def _floats(prices: Mapping[str, float | None]) -> dict[str, float | None]:
    return {kind: price for kind, price in prices.items() if price is not None}
