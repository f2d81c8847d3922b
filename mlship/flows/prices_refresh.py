"""prices refresh: what the vendors say today, into the user's own book."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from mlship.config.words import clipped, nearest
from mlship.cost.book import CLOUDS, Cloud, PriceBook
from mlship.cost.refresh import aws, aws_rows, azure, azure_items, gcp, gcp_skus
from mlship.cost.refresh.base import Machines, Missing, Part
from mlship.cost.refresh.merge import merged
from mlship.cost.refresh.reading import Reading
from mlship.errors import Exit, Finding, FindingsError, MlshipError
from mlship.flows.context import Context
from mlship.flows.prices import change_own, own_book, shipped_book

SERVICES: Mapping[Cloud, tuple[str, ...]] = {
    "aws": aws_rows.SERVICES,
    "gcp": tuple(gcp_skus.SERVICES),
    "azure": azure_items.SERVICES,
}


@dataclass(frozen=True)
class Wanted:
    """cloud: `` is all. regions, services: none named is all that the book has."""

    cloud: str = ""
    regions: tuple[str, ...] = ()
    services: tuple[str, ...] = ()


@dataclass(frozen=True)
class Refreshed:
    """path: the book. offers, services: how many prices came. skipped: not asked for."""

    path: Path
    as_of: str
    offers: int
    services: int
    read: tuple[str, ...]
    missing: tuple[Missing, ...] = ()
    skipped: tuple[Missing, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def exit(self) -> Exit:
        """13 where something is missing, 8 where all that is was refused."""
        return _exit(self.missing) if self.missing else Exit.OK


def refresh(context: Context, wanted: Wanted, pause: Callable[[float], None] = time.sleep, transport: Any = None) -> Refreshed:
    """Raises MlshipError for names that nobody knows, and where nothing could be read: exit 13, or 8 where it was refused."""
    known = shipped_book().overridden(own_book(context))
    plan = _plan(wanted, known)
    parts: list[Part] = []
    missing: list[Missing] = []
    skipped: list[Missing] = []
    day = datetime.datetime.fromtimestamp(context.clock(), datetime.UTC).date().isoformat()
    for cloud, (regions, services) in plan.items():
        headers = gcp.headers(context.environ) if cloud == "gcp" else {}
        if cloud == "gcp" and not headers:
            (missing if len(plan) == 1 else skipped).append(_without_key())
            continue
        with closing(Reading(_VENDORS[cloud], context.environ, headers, pause, transport, context.progress)) as reading:
            for found in _read(reading, cloud, regions, services, Machines(known), day, context):
                parts.append(found) if isinstance(found, Part) else missing.append(found)
                if reading.is_lost:
                    missing.append(Missing(cloud, f"all else of {', '.join(regions)}", "it was not asked for any more"))
                    break
    if not parts:
        raise FindingsError("no price was read; what stood in the book stays", map(_finding, missing), exit=_exit(missing))
    change_own(context.home.prices, lambda own: merged(own, parts, day))
    return Refreshed(
        context.home.prices,
        day,
        sum(len(part.machines) for part in parts),
        sum(len(part.services) for part in parts),
        tuple(f"{part.cloud} {part.what}" for part in parts),
        tuple(missing),
        tuple(skipped),
        tuple(f"{part.cloud} {part.what}: {remark}" for part in parts for remark in part.remarks),
    )


def _exit(missing: Sequence[Missing]) -> Exit:
    return Exit.DENIED if all(of.exit == Exit.DENIED for of in missing) else Exit.UNREACHABLE


def _finding(of: Missing) -> Finding:
    return Finding(of.why, f"{of.cloud} {of.what}", of.fix, code="missing-prices")


_VENDORS = {"aws": aws.VENDOR, "azure": azure.VENDOR, "gcp": gcp.VENDOR}


def _without_key() -> Missing:
    fix = f"set {gcp.KEY} to an API key that may use the Cloud Billing API"
    return Missing("gcp", "all", f"Google's billing catalog needs an API key, and {gcp.KEY} has none", fix, Exit.DENIED)


def _read(
    reading: Reading,
    cloud: Cloud,
    regions: tuple[str, ...],
    services: tuple[str, ...],
    known: Machines,
    day: str,
    context: Context,
) -> Iterator[Part | Missing]:
    if cloud == "aws":
        return aws.parts(reading, regions, services, known, context.progress)
    ask = azure.parts if cloud == "azure" else gcp.parts
    return ask(reading, regions, services, known, day, context.progress)


def _plan(wanted: Wanted, known: PriceBook) -> dict[Cloud, tuple[tuple[str, ...], tuple[str, ...]]]:
    """Regions and services to ask for, by cloud; without clouds that nothing is asked of."""
    clouds = [cloud for cloud in get_args(Cloud) if wanted.cloud in ("", cloud)]
    regions = {cloud: _regions(wanted, cloud, known) for cloud in clouds}
    services = {cloud: _chosen(wanted.services, SERVICES[cloud]) for cloud in clouds}
    _refuse_unknown("region", wanted.regions, {region for found in regions.values() for region in found}, _every(known, clouds))
    every = tuple(dict.fromkeys(service for cloud in clouds for service in SERVICES[cloud]))
    _refuse_unknown("service", wanted.services, {service for found in services.values() for service in found}, every)
    return {cloud: (regions[cloud], services[cloud]) for cloud in clouds if regions[cloud] and services[cloud]}


def _regions(wanted: Wanted, cloud: Cloud, known: PriceBook) -> tuple[str, ...]:
    """With --cloud any region is taken: the vendor says whether it has it."""
    return wanted.regions if wanted.cloud and wanted.regions else _chosen(wanted.regions, known.regions(cloud))


def _chosen(named: tuple[str, ...], known: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for name in dict.fromkeys(named) if name in known) if named else known


def _every(known: PriceBook, clouds: Iterable[Cloud]) -> tuple[str, ...]:
    return tuple(region for cloud in clouds for region in known.regions(cloud))


def _refuse_unknown(what: str, named: tuple[str, ...], found: set[str], known: tuple[str, ...]) -> None:
    for name in named:
        if name not in found:
            near = nearest(name, known)
            other = f"name its cloud with --cloud {'|'.join(CLOUDS)}" if what == "region" else f"known: {', '.join(known)}"
            raise MlshipError(
                f"no cloud has the {what} {clipped(name)}",
                f"--{what}",
                f"did you mean {near}?" if near else other,
                code=f"unknown-{what}",
            )
