"""What plan and deploy are about: a build, an image, what another environment serves, or a plan that was made before."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mlship.errors import MlshipError
from mlship.flows.context import Context, Where
from mlship.flows.hosts import places
from mlship.flows.plan import prepare_each
from mlship.flows.prepared import Prepared

if TYPE_CHECKING:
    from mlship.flows.from_environment import Origin


@dataclass(frozen=True)
class Wishes:
    """At most one of image, source and plan; none: a build, made first where that is needed.

    image: content id. source: an environment whose live release goes here, registry: where its image may be fetched. plan: what
    `plan --out` wrote. again: content that was rejected before may go. python: as of build. replaces: another
    service of the cloud may go first.
    """

    image: str = ""
    source: str = ""
    registry: str = ""
    plan: Path | None = None
    again: bool = False
    python: str = ""
    replaces: bool = False


@dataclass(frozen=True)
class Decided:
    """For each place what would be carried out there. origin: of what comes from another environment."""

    places: tuple[Where, ...]
    prepared: tuple[Prepared, ...]
    origin: Origin | None = None


def decide(context: Context, where: Where, wishes: Wishes) -> Decided:
    """Changes nothing on a target. Raises what `plan.prepare` raises, and what can be wrong with plan or origin."""
    if wishes.plan is not None:
        # here and below, and not above: most deploys need neither
        from mlship.flows import planned

        return Decided(*planned.prepare(context, where, wishes.plan))
    if not wishes.source:
        found = places(context, where)
        made = prepare_each(
            context, found, image=wishes.image, again=wishes.again, python=wishes.python, replaces=wishes.replaces
        )
        return Decided(found, made)
    from mlship.flows.from_environment import origin, prove_same

    there = origin(context, where, wishes.source, wishes.registry)
    found = places(context, where)
    made = prepare_each(context, found, image=there.content, again=wishes.again, replaces=wishes.replaces)
    prove_same(there, made)
    return Decided(found, made, there)


def refuse_misplaced(sources: dict[str, str], others: dict[str, str]) -> None:
    """sources: options that each say what to deploy. others: options that mean something to one of them, or to a build, alone.

    Raises MlshipError, exit 2, where they contradict each other. Pure.
    """
    said = [option for option, value in sources.items() if value]
    if len(said) > 1:
        raise MlshipError(
            f"{said[0]} and {said[1]} both say what to deploy", fix=f"leave {said[0]} or {said[1]} out", code="usage"
        )
    needs = {
        "--registry": ("--from",),
        "--python": ("", "--image"),
        "--again": ("", "--image", "--archive", "--from"),
        "--replace": ("", "--image", "--archive", "--from"),
    }
    chosen = said[0] if said else ""
    for option, value in others.items():
        if value and chosen not in needs[option]:
            beside = f"beside {chosen}" if chosen else f"without {needs[option][0]}"
            raise MlshipError(f"{option} says nothing {beside}", fix=f"leave {option} out", code="usage")
