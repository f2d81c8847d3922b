"""AWS Price List Bulk API: from the index of a service to the list of one region, read as a stream.

https://docs.aws.amazon.com/awsaccountbilling/latest/aboutv2/using-price-list-query-api.html (2026-11). The bulk interface
needs no account; index -> region index -> list, each with the path of the next.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from mlship.config.words import nearest
from mlship.cost.refresh import aws_rows
from mlship.cost.refresh.base import Machines, Missing, Part
from mlship.cost.refresh.reading import Reading, Vendor
from mlship.errors import MlshipError
from mlship.progress import Progress

VENDOR = Vendor("the AWS price list", "pricing.us-east-1.amazonaws.com", "MLSHIP_PRICES_AWS")
INDEX = "/offers/v1.0/aws/index.json"


def parts(
    reading: Reading, regions: Iterable[str], services: Iterable[str], machines: Machines, progress: Progress
) -> Iterator[Part | Missing]:
    """One price list after another; one that fails leaves the others alone."""
    regions, services = tuple(regions), tuple(services)
    try:
        index = _entries(reading, reading.base + INDEX, "its index", "offers")
    except MlshipError as error:
        yield Missing("aws", ", ".join(regions), error.what, error.fix, error.exit)
        return
    for offer in aws_rows.offers_of(services):
        try:
            lists = _entries(reading, reading.address(_path(reading, index, offer)), f"the regions of {offer}", "regions")
        except MlshipError as error:
            yield Missing("aws", f"{', '.join(regions)} {offer}", error.what, error.fix, error.exit)
            continue
        for region in regions:
            if offer == "AWSELB" and region not in lists:  # then balancers stand in AmazonEC2
                continue
            progress.step("prices", f"aws {region} {offer}")
            try:
                yield _part(reading, offer, region, lists, machines, services)
            except MlshipError as error:
                yield Missing("aws", f"{region} {offer}", error.what, error.fix, error.exit)


def _entries(reading: Reading, url: str, what: str, key: str) -> dict[str, Any]:
    document = reading.document(url, what)
    entries = document.get(key) if isinstance(document, dict) else None
    if not isinstance(entries, dict) or not all(isinstance(entry, dict) for entry in entries.values()):
        raise reading.strange(f"answers for {what} in a form that mlship does not know")
    return entries


def _path(reading: Reading, index: dict[str, Any], offer: str) -> str:
    path = index.get(offer, {}).get("currentRegionIndexUrl")
    if not isinstance(path, str) or not path.startswith("/"):
        raise reading.strange(f"names no regions of {offer}")
    return path


def _part(
    reading: Reading, offer: str, region: str, lists: dict[str, Any], machines: Machines, services: tuple[str, ...]
) -> Part:
    path = lists.get(region, {}).get("currentVersionUrl")
    if not isinstance(path, str) or not path.endswith(".json"):
        near = nearest(region, lists)
        fix = f"did you mean {near}?" if near else f"known: {', '.join(sorted(lists)[:5])}, ..."
        raise MlshipError(f"{reading.vendor.name} has no {offer} of {region}", fix=fix, code="unknown-region")
    address = reading.address(f"{path.removesuffix('.json')}.csv")

    def take(lines: Iterator[str]) -> Part:
        return aws_rows.part(offer, region, lines, machines, services)

    return reading.lines(address, f"{region} {offer}", take)
