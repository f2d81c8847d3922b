"""prices: what is known, and what is not."""

from __future__ import annotations

from mlship.cli.views.text import columns, lines
from mlship.cost.book import OLD_SPOT_DAYS, Dated, Offer
from mlship.cost.coverage import Coverage, MachineCoverage, OwnCoverage, ServiceCoverage
from mlship.cost.refresh.base import Missing
from mlship.flows.prices import Imported
from mlship.flows.prices_refresh import Refreshed

_NAMED = 3  # regions or unknown items that are named before they are counted


def coverage_text(found: Coverage) -> str:
    machines = [["machines", "types", "on-demand", "spot", "1 year", "3 years", "prices of", "spot of"]]
    machines += [_region(region) for region in found.machines]
    services = [["services", "regions", "unknown"], *map(_service, found.services)]
    own = _own(found.own) if found.own else ""
    return lines(f"prices as of {found.as_of}", own, columns(machines), columns(services))


def _own(own: OwnCoverage) -> str:
    counted = f"your own book, as of {own.as_of}: {own.offers} prices of machines and {own.services} of services"
    sources = f" ({', '.join(own.sources[:_NAMED])})" if own.sources else ""
    if not own.spot:
        return f"{counted}{sources}"
    old = f"{own.old_spot} of its {own.spot} spot prices are older than {OLD_SPOT_DAYS} days" if own.old_spot else ""
    return lines(f"{counted}{sources}", old)


def _region(region: MachineCoverage) -> list[str]:
    return [
        f"{region.cloud} {region.region}",
        str(region.types),
        *(_share(count, region.types) for count in (region.on_demand, region.spot, region.reserved_1y, region.reserved_3y)),
        _span(*region.days),
        _span(*region.spot_days) if region.spot_days else "-",
    ]


def _share(count: int, of: int) -> str:
    """`100 %`, and never that for less than all, nor `0 %` for some."""
    if count in (0, of):
        return "100 %" if count else "none"
    return f"{min(max(round(100 * count / of), 1), 99)} %"


def _span(first: str, last: str) -> str:
    return first if first == last else f"{first} to {last}"


def _service(service: ServiceCoverage) -> list[str]:
    return [f"{service.cloud} {service.service}", _some(service.regions, "regions"), _some(service.unknown, "items")]


def _some(names: tuple[str, ...], what: str) -> str:
    if not names:
        return "none"
    return ", ".join(names) if len(names) <= _NAMED else f"{len(names)} {what}"


def imported_text(done: Imported) -> str:
    counted = f"{done.offers} prices of machines and {done.services} of services"
    return lines(f"Wrote {done.path}: {counted}, as of {done.as_of}", "Next: mlship prices coverage")


def refreshed_text(done: Refreshed) -> str:
    counted = f"{done.offers} prices of machines and {done.services} of services, as of {done.as_of}"
    missing = [f"missing: {_missing(of)}" for of in done.missing]
    skipped = [f"skipped: {_missing(of)}" for of in done.skipped]
    return lines(
        f"Wrote {done.path}: {counted}",
        *missing,
        *skipped,
        *(f"note: {remark}" for remark in done.remarks),
        "Next: mlship prices coverage",
    )


def _missing(of: Missing) -> str:
    return f"{of.cloud} {of.what}: {of.why}" + (f"; {of.fix}" if of.fix else "")


def offer_text(offer: Offer) -> str:
    machine = offer.machine
    memory = "memory unknown" if machine.memory_gib is None else f"{machine.memory_gib:g} GiB"
    accelerator = f", {machine.accelerators} x {machine.accelerator}" if machine.accelerator else ""
    cores = "whole cores" if machine.has_whole_cores else "hyper-threads"
    size = f"{machine.vcpus:g} vCPU ({cores}), {memory}, {machine.arch}{accelerator}"
    sources = offer.sources
    rows = [
        ["", "USD/hour", "of", "source"],
        _price("on demand", offer.on_demand, sources.on_demand),
        _price("sustained use", offer.sustained, sources.on_demand),
        _price("spot" if offer.spot_is_listed or offer.spot is None else "spot (derived)", offer.spot, sources.spot),
        _price("1 year", offer.reserved_1y, sources.reserved),
        _price("3 years", offer.reserved_3y, sources.reserved),
    ]
    ended = f"interrupted in a month: {offer.interruption} ({sources.interruption.day})" if offer.interruption else ""
    return lines(f"{machine.cloud} {offer.region} {machine.name}: {size}", columns(rows), ended)


def _price(what: str, price: float | None, dated: Dated) -> list[str]:
    return [what, "unknown", "-", "-"] if price is None else [what, f"{price:g}", dated.day or "-", dated.source or "-"]
