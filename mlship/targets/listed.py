"""A line of `mlship list`, from what a target sees: a project that cannot be told of hides none of the others."""

from __future__ import annotations

from collections.abc import Callable

from mlship.errors import Exit, MlshipError
from mlship.targets.base import Observed, Opening, ServiceRow


def row_of(opening: Opening, target: str, look: Callable[[Opening], Observed]) -> ServiceRow:
    """look: opens the target, and looks. Raises what says that the target does not answer: so would it for the others."""
    try:
        observed = look(opening)
    except MlshipError as error:
        if error.exit is Exit.UNREACHABLE:
            raise
        return untold(opening.project, opening.environment, target, error)
    live = observed.history.live if observed.history else ""
    is_ready = bool(live) and observed.serving == live
    return ServiceRow(opening.project, opening.environment, target, live, observed.endpoint, is_ready)


def untold(project: str, environment: str, target: str, error: MlshipError) -> ServiceRow:
    """One of which nothing else is known. Pure."""
    wrong = f"{error.what} ({error.where})" if error.where else error.what
    return ServiceRow(project, environment, target, "", "", ready=False, wrong=wrong, fix=error.fix, exit=error.exit)
