"""prices: what is known, and what is not."""

from __future__ import annotations

from mlship.cli.views.text import columns, lines
from mlship.cost.coverage import Coverage, MachineCoverage, ServiceCoverage
from mlship.flows.prices import Imported

_NAMED = 3  # regions or unknown items that are named before they are counted


def coverage_text(found: Coverage) -> str:
    machines = [["machines", "types", "on-demand", "spot", "1 year", "3 years", "prices of", "spot of"]]
    machines += [_region(region) for region in found.machines]
    services = [["services", "regions", "unknown"], *map(_service, found.services)]
    return lines(f"prices as of {found.as_of}", columns(machines), columns(services))


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
