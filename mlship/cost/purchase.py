"""How a fleet is bought: which of its hours are committed, on demand and spot. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from mlship.cost.candidate import Purchase
from mlship.cost.fleet import Fleet

# Google Cloud's discount for a machine that runs much of a month: nothing in the first quarter, then steps whose mean over a whole
# month is the published discount: n1 0, 20, 40, 60 % (mean 30), n2, n2d and c2 0, 13.3, 26.7, 40 % (mean 20)
# (cloud.google.com/compute/docs/sustained-use-discounts, and `sustained` in the book for the mean).
SUSTAINED_STEPS = (0.0, 2 / 3, 4 / 3, 2.0)


@dataclass(frozen=True)
class Bought:
    """Of a month. on_demand: hours of each replica on demand, one entry a replica. committed: replicas that are paid all month.

    spot: hours of each spot replica. hours: of the month.
    """

    hours: float
    on_demand: tuple[float, ...] = ()
    committed: int = 0
    spot: tuple[float, ...] = ()

    @property
    def on_demand_hours(self) -> float:
        return sum(self.on_demand)

    @property
    def committed_hours(self) -> float:
        return self.committed * self.hours

    @property
    def spot_hours(self) -> float:
        return sum(self.spot)


@dataclass(frozen=True)
class Rates:
    """US dollars an hour of one replica; None is unknown. sustained: of a whole month on demand, None where there is no such."""

    on_demand: float | None
    reserved: float | None = None
    spot: float | None = None
    sustained: float | None = None


def bought(fleet: Fleet, purchase: Purchase, rates: Rates) -> Bought:
    """rates: decide the base of `reserved+on-demand` where none is said; where they are not known it is the least replicas."""
    levels, hours, month = fleet.level_hours, fleet.hours, fleet.month
    peak = len(levels)
    match purchase.name:
        case "fixed":
            return Bought(month, (hours,) * peak)
        case "reserved":
            return Bought(month, committed=peak)
        case "reserved+on-demand":
            base = cheapest_base(fleet, rates) if purchase.base is None else purchase.base
            return Bought(month, levels[base:], committed=base)
        case "reserved+spot":
            base = spot_base(fleet, purchase)
            return Bought(month, committed=base, spot=levels[base:])
        case "on-demand+spot":
            base, share = spot_base(fleet, purchase), purchase.on_demand_share
            above = _shared_levels(levels[base:], share) if share else ()
            return Bought(month, (*levels[:base], *above), spot=tuple(level * (1 - share) for level in levels[base:]))
        case _:
            return Bought(month, levels)


def spot_base(fleet: Fleet, purchase: Purchase) -> int:
    """Replicas that are never spot: as many as are said, else those that always run; none where all of them do."""
    if purchase.base is not None:
        return purchase.base
    return fleet.replicas.min if fleet.replicas.min < fleet.replicas.peak else 0


def _shared_levels(levels: tuple[float, ...], share: float) -> tuple[float, ...]:
    """The share of these levels' hours, as whole replicas and a part of one: a discount for much of a month is of replicas."""
    whole = int(len(levels) * share)
    mean = sum(levels) / len(levels) if levels else 0.0
    part = len(levels) * share - whole
    return (*(mean,) * whole, *((mean * part,) if part > 1e-12 else ()))


def cheapest_base(fleet: Fleet, rates: Rates) -> int:
    """How many replicas are worth a commitment: those that would cost more on demand than all month committed."""
    if rates.on_demand is None or rates.reserved is None:
        return fleet.replicas.min
    committed = fleet.month * rates.reserved
    return sum(on_demand_usd((level,), fleet.month, rates) > committed for level in fleet.level_hours)


def on_demand_usd(used: tuple[float, ...], hours: float, rates: Rates) -> float:
    """US dollars for replicas on demand, each with its hours of a month, with the discount that comes by itself.

    rates.on_demand has to be known.
    """
    assert rates.on_demand is not None
    if rates.sustained is None or rates.sustained >= rates.on_demand:
        return sum(used) * rates.on_demand
    discount = 1 - rates.sustained / rates.on_demand
    return sum(rates.on_demand * hours * _sustained_share(level / hours, discount) for level in used)


def _sustained_share(share: float, discount: float) -> float:
    """What of a month's list price is paid for this share of the month, in [0, 1 - discount]."""
    paid = 0.0
    for step, factor in enumerate(SUSTAINED_STEPS):
        paid += min(max(share - step / 4, 0.0), 0.25) * (1 - discount * factor)
    return paid
