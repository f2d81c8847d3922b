"""Azure Retail Prices API: questions by region and service, answers in pages. It needs no account."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import quote

from mlship.cost.refresh import azure_items
from mlship.cost.refresh.base import VM, Machines, Missing, Part
from mlship.cost.refresh.reading import Reading, Vendor
from mlship.errors import MlshipError
from mlship.progress import Progress

VENDOR = Vendor("Azure Retail Prices", "prices.azure.com", "MLSHIP_PRICES_AZURE")
PATH = "/api/retail/prices?api-version=2023-01-01-preview&$filter="
MOST_PAGES = 500  # of 100 to 1,000 items; machines of one region have about 10


def parts(
    reading: Reading, regions: Iterable[str], services: Iterable[str], machines: Machines, day: str, progress: Progress
) -> Iterator[Part | Missing]:
    """One question after another; one that fails leaves the others alone. day: on which they are asked."""
    wanted = tuple(services)
    named = tuple(dict.fromkeys(rule.azure for rule in azure_items.RULES if rule.service in wanted))
    for region in regions:
        for azure in ("Virtual Machines", *named) if VM in wanted else named:
            progress.step("prices", f"azure {region} {azure}")
            try:
                yield _part(reading, region, azure, wanted, machines, day)
            except MlshipError as error:
                yield Missing("azure", f"{region} {azure}", error.what, error.fix, error.exit)


def _part(reading: Reading, region: str, azure: str, wanted: tuple[str, ...], machines: Machines, day: str) -> Part:
    place = next((rule.region for rule in azure_items.RULES if rule.azure == azure and rule.region), region)
    asked = f"serviceName eq '{azure}' and armRegionName eq '{place}'"
    if azure != "Virtual Machines":
        found = _items(reading, f"{asked} and priceType eq 'Consumption'", f"{region} {azure}")
        return azure_items.services(region, azure, found, wanted, day)
    every = (
        item
        for kind in ("Consumption", "Reservation")
        for item in _items(reading, f"{asked} and priceType eq '{kind}'", f"{region} machines, {kind.lower()}")
    )
    return azure_items.machines(region, every, machines, day)


def _items(reading: Reading, question: str, what: str) -> Iterator[azure_items.Item]:
    url = f"{reading.base}{PATH}{quote(question)}"
    seen = {url}
    for _ in range(MOST_PAGES):
        page = reading.document(url, what)
        yield from _checked(reading, page, what)
        following = page.get("NextPageLink")
        if not following:
            return
        url = reading.address(str(following))
        if url in seen:
            raise reading.strange(f"leads back to a page of {what} that was read already")
        seen.add(url)
    raise reading.strange(f"has more than {MOST_PAGES} pages for {what}")


def _checked(reading: Reading, page: Any, what: str) -> list[azure_items.Item]:
    items = page.get("Items") if isinstance(page, dict) else None
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise reading.strange(f"answers for {what} in a form that mlship does not know")
    return items
