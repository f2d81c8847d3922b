"""A file of prices of the user's own, from text to values: every finding at once, with its place. Pure."""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar, get_args

from mlship.config.nodes import List, Map, Node, Scalar
from mlship.config.read import compose
from mlship.config.report import Report
from mlship.config.words import either, nearest, unseen
from mlship.cost.book import CLOUDS
from mlship.errors import FindingsError

Kind = Literal["on_demand", "spot", "reserved", "services"]
KINDS: tuple[Kind, ...] = get_args(Kind)
KEYS = ("as_of", "discount", "regions", "instances", "services")
PRICES = ("on_demand", "spot", "reserved_1y", "reserved_3y")
DEAREST = 1e9  # US dollars of a unit: more is a slip of the pen
_SHARE = re.compile(r"(\d{1,3}(?:\.\d{1,6})?) ?%", re.ASCII)
_NAME = r"[A-Za-z0-9][A-Za-z0-9_.-]*"
_REGION = rf"({'|'.join(CLOUDS)})/({_NAME})"
_INSTANCE = re.compile(rf"{_REGION}/({_NAME})", re.ASCII)
_SERVICE = re.compile(rf"{_REGION}/({_NAME})/({_NAME}(?: {_NAME})*)", re.ASCII)

Value = TypeVar("Value")


@dataclass(frozen=True)
class Written:
    """Whose price it is, and where it stands: `prices.yaml:4:3 instances.aws/us-east-1/m7g.large`."""

    cloud: str
    region: str
    where: str


@dataclass(frozen=True)
class Rate:
    """Of one type in one region: US dollars an hour; None is left as the book has it."""

    at: Written
    name: str
    on_demand: float | None = None
    spot: float | None = None
    reserved_1y: float | None = None
    reserved_3y: float | None = None


@dataclass(frozen=True)
class ServiceRate:
    """price: US dollars of a unit, from the first one on. unit: `` is the book's."""

    at: Written
    service: str
    item: str
    price: float
    unit: str = ""


def read(text: str, where: str) -> dict[str, Any]:
    """The fields of Overrides but `where`. Raises FindingsError with all that is wrong."""
    report = Report(where)
    root = compose(text, report)
    if root is None:
        raise _of_prices(report.error())
    fields = _Reader(report, where).fields(root)
    if len(report):
        raise report.error()
    return fields


def _of_prices(error: FindingsError) -> FindingsError:
    """What the reader says of an empty file is meant for mlship.yaml."""
    fix = "start with as_of: 2026-11-01"
    findings = [replace(told, fix=fix) if told.code in ("empty", "not-a-map") else told for told in error.findings]
    return FindingsError(error.what, findings, code=error.code)


class _Reader:
    """Walks the nodes; what is wrong goes into the report and is left out of the values."""

    def __init__(self, report: Report, where: str) -> None:
        self._report = report
        self._where = where

    def fields(self, root: Map) -> dict[str, Any]:
        self._known(root, KEYS)
        found = root.entries
        if "as_of" not in found:
            self._report.add(root.key_place, "as_of", "the key is missing", "write as_of: 2026-11-01", "missing-key")
        return {
            "as_of": self._day(found["as_of"]) if "as_of" in found else "",
            "discounts": dict(self._discounts(found.get("discount"))),
            "regions": frozenset(self._regions(found.get("regions"))),
            "instances": tuple(self._each(found.get("instances"), _INSTANCE, "CLOUD/REGION/TYPE", self._rate)),
            "services": tuple(self._each(found.get("services"), _SERVICE, "CLOUD/REGION/SERVICE/ITEM", self._service)),
        }

    def _day(self, node: Node) -> str:
        text = node.text if isinstance(node, Scalar) else ""
        try:
            if re.fullmatch(r"\d{4}-\d\d-\d\d", text, re.ASCII):
                return datetime.date.fromisoformat(text).isoformat()
        except ValueError:
            pass
        self._wrong(node, f"{node} is not a day", "write it as 2026-11-01")
        return ""

    def _discounts(self, node: Node | None) -> Iterator[tuple[tuple[str, Kind], float]]:
        for cloud, entry in self._entries(node, CLOUDS):
            if isinstance(entry, Map):
                for kind, share in self._entries(entry, KINDS):
                    if (discount := self._share(share)) is not None:
                        yield (cloud, kind), discount
            elif (discount := self._share(entry)) is not None:
                yield from (((cloud, kind), discount) for kind in KINDS)

    def _share(self, node: Node) -> float | None:
        said = _SHARE.fullmatch(node.text) if isinstance(node, Scalar) else None
        if said and float(said[1]) <= 100:
            return float(said[1]) / 100
        fix = f"write {node}%" if isinstance(node, Scalar) and isinstance(node.value, (int, float)) else "write 12%"
        self._wrong(node, f"{node} is not a discount from 0% to 100%", fix)
        return None

    def _regions(self, node: Node | None) -> Iterator[str]:
        if node is None:
            return
        if not isinstance(node, List):
            self._wrong(node, f"{node} stands where a list is wanted", "write [aws/eu-south-2]")
            return
        for item in node.items:
            if isinstance(item, Scalar) and re.fullmatch(_REGION, item.text, re.ASCII):
                yield item.text
            else:
                self._wrong(item, f"{item} is not CLOUD/REGION", "write aws/eu-south-2")

    def _each(
        self, node: Node | None, form: re.Pattern[str], words: str, take: Callable[[re.Match[str], Written, Node], Value | None]
    ) -> Iterator[Value]:
        if node is None:
            return
        if not isinstance(node, Map):
            self._wrong(node, f"{node} stands where a map is wanted", f"write {words}: ... below it")
            return
        for name, entry in node.entries.items():
            said = form.fullmatch(name)
            if said is None:
                self._report.add(entry.key_place, entry.key, f"the key is not {words}", self._cloud_of(name), "value")
                continue
            place = entry.key_place
            where = f"{self._where}:{place.line}:{place.column} {entry.key}"
            if (value := take(said, Written(said[1], said[2], where), entry)) is not None:
                yield value

    def _cloud_of(self, name: str) -> str:
        cloud = name.partition("/")[0]
        return "" if cloud in CLOUDS else f"it starts with {either(CLOUDS)}"

    def _rate(self, said: re.Match[str], at: Written, node: Node) -> Rate | None:
        if not isinstance(node, Map):
            self._wrong(node, f"{node} stands where a map is wanted", "write {on_demand: 0.07}")
            return None
        prices = {name: self._price(entry) for name, entry in self._entries(node, PRICES)}
        if not node.entries:
            self._wrong(node, "the map has no price", "write {on_demand: 0.07}, or delete the line")
        return Rate(at, said[3], **prices)

    def _service(self, said: re.Match[str], at: Written, node: Node) -> ServiceRate | None:
        entries = dict(self._entries(node, ("price", "unit"))) if isinstance(node, Map) else {"price": node}
        if "price" not in entries:
            self._wrong(node, "the map has no price", "write {price: 0.01, unit: hour}")
            return None
        price = self._price(entries["price"])
        unit = self._unit(entries["unit"]) if "unit" in entries else ""
        return None if price is None else ServiceRate(at, said[3], said[4], price, unit)

    def _unit(self, node: Node) -> str:
        if isinstance(node, Scalar) and isinstance(node.value, str) and 0 < len(node.text) <= 40 and not unseen(node.text):
            return node.text
        self._wrong(node, f"{node} is not a unit", "write hour, GB, GB-month, vCPU-second, ...")
        return ""

    def _price(self, node: Node) -> float | None:
        value = node.value if isinstance(node, Scalar) else None
        if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value) and 0 <= value <= DEAREST:
            return float(value)
        self._wrong(node, f"{node} is not a price in US dollars", "write a number from 0 on, without a sign or a currency")
        return None

    def _entries(self, node: Node | None, known: tuple[Any, ...]) -> Iterator[tuple[Any, Node]]:
        if node is None:
            return
        if not isinstance(node, Map):
            self._wrong(node, f"{node} stands where a map is wanted", f"write keys below it: {', '.join(known)}")
            return
        self._known(node, known)
        yield from ((name, entry) for name, entry in node.entries.items() if name in known)

    def _known(self, node: Map, known: tuple[str, ...]) -> None:
        for name, entry in node.entries.items():
            if name not in known:
                near = nearest(name, known)
                fix = f"did you mean {near}?" if near else f"known here: {', '.join(known)}"
                self._report.add(entry.key_place, entry.key, "unknown key", fix, "unknown-key")

    def _wrong(self, node: Node, what: str, fix: str) -> None:
        self._report.add(node.place, node.key, what, fix, "value")
