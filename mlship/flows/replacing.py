"""A live project that goes to another service of its cloud: what was there goes first, and only when somebody said so."""

from __future__ import annotations

from dataclasses import replace

from mlship.errors import Exit, MlshipError
from mlship.flows.context import Context
from mlship.flows.opening import Opened, as_recorded
from mlship.flows.prepared import Prepared, carry_out
from mlship.flows.results import Deployed
from mlship.releases.history import History
from mlship.targets.base import Action
from mlship.targets.lease import held
from mlship.targets.plan import plan


def former_service(context: Context, opened: Opened, *, is_wanted: bool) -> Opened | None:
    """The service that the project runs on now, where that is another one than `opened`; None where it is not.

    Raises MlshipError, exit 2, where there is one and nobody said that it may be replaced.
    """
    former = as_recorded(context, opened)
    if former is opened or not _has_something(former.target.records.read()):
        return None
    if not is_wanted:
        raise MlshipError(
            f"{opened.name} runs on {opened.target_name} service {former.service}, and {opened.service} is wanted: that is a replacement,"
            " with a time in which nobody is served",
            _place(opened),
            f"mlship deploy --replace, or an environment of its own for {opened.service}",
            code="other-service",
        )
    return former


def carry_out_anew(context: Context, prepared: Prepared, former: Opened) -> Deployed:
    """Everything of the former service goes, and then the release comes as a first one.

    Raises MlshipError with exit 7 where not everything could be removed: the same command goes on with it.
    """
    import time

    with held(former.target.records, context.who, context.clock, time.sleep, context.progress) as lease:
        lease.check()
        gone = former.target.apply(Action("destroy"), None)
    if not gone.ok:
        raise MlshipError(
            f"not everything of {former.name} on {former.service} could be removed: {gone.cause}",
            fix="run the same command again",
            exit=Exit.NOT_RESTORED,
            code="destroy-incomplete",
            details=gone.evidence,
        )
    observed = prepared.opened.target.observe()
    decided = plan("deploy", prepared.plan.deployment, observed)
    return carry_out(context, replace(prepared, plan=decided, observed=observed, former=None))


def _has_something(history: History | None) -> bool:
    return history is not None and bool(history.live or history.underway)


def _place(opened: Opened) -> str:
    return opened.project.at(f"targets.{opened.target_name}.service") if opened.project else ""
