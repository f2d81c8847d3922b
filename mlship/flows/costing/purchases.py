"""How capacity is bought: as the command line says it, else mlship.yaml."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from mlship.config.project import Project
from mlship.config.words import clipped, nearest
from mlship.cost.candidate import PURCHASES, Purchase, PurchaseName
from mlship.errors import MlshipError
from mlship.flows.costing.amounts import refused, share_said
from mlship.flows.costing.asked import Asked
from mlship.targets.base import Feature
from mlship.targets.priced import MODULES as PRICED
from mlship.targets.priced import priced


def purchase_from(asked: Asked, project: Project | None, possible: tuple[PurchaseName, ...], service: str) -> Purchase:
    """possible: how the service can be bought. Raises MlshipError for another way."""
    name, where = _purchase_name(asked, project, possible)
    if name not in possible:
        known = f"{service} is bought {', '.join(possible)}"
        near = nearest(name, PURCHASES)
        what = (
            f"{clipped(name)} is not possible with {service}" if name in PURCHASES else f"there is no purchase {clipped(name)}"
        )
        fix = f"did you mean {near}?" if near and name not in PURCHASES else f"{known}; or another --service"
        profile = project.cost.profile if project is not None and not asked.purchase else ""
        if why := _why_not(service, profile):
            what, fix = (
                f"cost.profile {profile} is not possible with {service}: {why.reason}",
                f"use {why.instead or 'on-demand'}",
            )
        if service == "gcp cloud-run" and name in ("on-demand", "fixed"):
            fix = "say --billing instance: its replicas are then bought by the hour"
        raise MlshipError(what, where, fix, code="bad-purchase")
    commitment = project.cost.commitment if project is not None else None
    base = asked.base
    if base is None and project is not None and name.startswith("on-demand+"):
        base = project.cost.on_demand_base
    if base is not None and not 0 <= base <= 100_000:
        raise refused("--base", f"{base} is no number of replicas", "write 0 or more")
    return Purchase(
        possible[possible.index(name)] if name in possible else possible[0],
        base=base,
        on_demand_share=share_said("--on-demand-share", asked.on_demand_share),
        term=_term(asked.term) or (commitment.term if commitment else "1y"),
        upfront=commitment.upfront if commitment else "none",
    )


def _why_not(service: str, profile: str) -> Feature | None:
    """What the service's own table says against it. service: `gcp cloud-run`."""
    target, _, name = service.partition(" ")
    feature = priced(target).FEATURES.get(name, {}).get(profile) if target in PRICED else None
    return feature if feature is not None and feature.support == "absent" else None


_PROFILES: Mapping[str, PurchaseName] = {"spot": "on-demand+spot", "reserved": "reserved+on-demand"}


def _purchase_name(asked: Asked, project: Project | None, possible: tuple[PurchaseName, ...]) -> tuple[str, str]:
    """The way to buy, and who says so."""
    if asked.purchase:
        return asked.purchase, "--purchase"
    profile = project.cost.profile if project is not None else "on-demand"
    if project is not None and profile in _PROFILES:
        return _PROFILES[profile], project.at("cost.profile")
    return possible[0], ""


def _term(said: str) -> Literal["1y", "3y"] | None:
    if said not in ("", "1y", "3y"):
        raise refused("--term", f"{clipped(said)} is no term", "write 1y or 3y")
    return "1y" if said == "1y" else "3y" if said == "3y" else None
