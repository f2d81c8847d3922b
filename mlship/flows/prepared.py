"""A decided change that waits to be carried out: shared by plan, deploy, rollback and render."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from mlship.errors import Exit, Finding, FindingsError, MlshipError
from mlship.flows.context import Context
from mlship.flows.fetching import NEWER
from mlship.flows.hosts import AtHost, endpoint_of
from mlship.flows.opening import Opened, release_view
from mlship.flows.operating_changes import changed_settings
from mlship.flows.results import Deployed, PlanView, Verified
from mlship.flows.takeover import takeover
from mlship.flows.write_back import written_back
from mlship.releases.history import History
from mlship.releases.records import LeaseHeld, LeaseLost
from mlship.releases.release import Release
from mlship.targets.base import Action, BesideImages, Observed
from mlship.targets.durations import expected
from mlship.targets.lease import held
from mlship.targets.plan import DeployPlan
from mlship.targets.rollout import Facts, Paused, RolledOut, Unattended, World, roll_out

DENIED = ("denied", "quota")  # codes of findings that no edit of mlship.yaml mends: somebody has to allow more


@dataclass(frozen=True)
class Prepared:
    """view: for people and machines; the rest is what carries it out. observed: what it was decided from.

    former: the service of the cloud that goes first, where this is a replacement.
    """

    view: PlanView
    opened: Opened
    plan: DeployPlan
    facts: Facts
    observed: Observed
    former: Opened | None = None


def prepared(opened: Opened, plan: DeployPlan, observed: Observed, findings: tuple[Finding, ...], facts: Facts) -> Prepared:
    """Raises FindingsError when a finding is an error: nothing was changed then."""
    refuse_errors(opened, findings)
    return Prepared(_view(opened, plan, observed, findings), opened, plan, facts, observed)


def refuse_errors(opened: Opened, findings: tuple[Finding, ...]) -> None:
    """Raises FindingsError, with all of them, when one is an error: exit 8 where somebody has to allow more, and nothing else."""
    errors = [finding for finding in findings if finding.severity == "error"]
    if not errors:
        return
    count = "a problem" if len(errors) == 1 else f"{len(errors)} problems"
    denied = all(finding.code in DENIED for finding in errors)
    exit = Exit.DENIED if denied else Exit.USAGE
    raise FindingsError(f"{opened.name} cannot go to {opened.target_name}: {count}", findings, exit=exit)


def carry_out(context: Context, prepared: Prepared) -> Deployed:
    """Raises what roll_out raises."""
    if prepared.plan.is_empty:
        return _unchanged(context, prepared)
    return concluded(context, prepared, lambda world: roll_out(prepared.opened.target, prepared.plan, prepared.facts, world))


def concluded(context: Context, prepared: Prepared, roll: Callable[[World], RolledOut]) -> Deployed:
    """roll: the change itself. A pause is raised with the commands that go on, which any machine may run."""
    started = context.clock()
    try:
        rolled = roll(world_of(context, prepared.opened.host))
    except Paused as paused:
        promote, abort = (prepared.opened.command(verb) for verb in ("promote", "abort"))
        paused.fix = f"{promote} goes on, {abort} takes it back; from any machine"
        raise
    except Unattended as unattended:
        unattended.fix = unattended.left.ways_on(prepared.opened.command)
        raise
    done = _deployed(prepared, rolled, context.clock() - started)
    return replace(done, notes=(*done.notes, *written_back(context, prepared.opened, _served(prepared.plan))))


def world_of(context: Context, host: str = "") -> World:
    """host: one of several, which every step names."""
    import time

    return World(context.clock, time.sleep, AtHost(context.progress, host) if host else context.progress)


def _deployed(prepared: Prepared, rolled: RolledOut, seconds: float) -> Deployed:
    release, previous = _to_and_from(prepared.plan)
    view = release_view(release)
    assert release is not None and view is not None
    observed, unseen = seen_after(prepared, rolled.history)
    endpoint = endpoint_of(prepared.opened, observed)
    said = rolled.verification
    return Deployed(
        plan=prepared.view,
        release=view,
        previous=release_view(previous),
        endpoint=endpoint,
        verified=Verified(release.id, endpoint, said.predictions, said.text) if said else None,
        generation=rolled.history.generation,
        unchanged=False,
        seconds=seconds,
        sample_body=_sample_body(prepared),
        notes=(*rolled.notes, *unseen, *superseded(observed, release.id)),
        is_closed=_is_closed(prepared),
    )


def seen_after(prepared: Prepared, history: History) -> tuple[Observed, tuple[str, ...]]:
    """What is there once all is committed, and what to say. A target that is away by then has taken nothing back."""
    try:
        return prepared.opened.target.observe(), ()
    except MlshipError as away:
        asks = prepared.opened.command("status")
        return replace(prepared.observed, history=history), (f"it cannot be looked at again: {away.what}; {asks}",)


def superseded(observed: Observed, release: str) -> tuple[str, ...]:
    """What to say where another release is live by now: a command that was stopped after its commit may end long after it. Pure."""
    live = observed.history.live if observed.history else ""
    if live == release:
        return ()
    return (f"{live or 'nothing'} is live by now: somebody else changed the service since; mlship status",)


def _unchanged(context: Context, prepared: Prepared) -> Deployed:
    view = release_view(prepared.plan.deployment.release)
    assert view is not None
    observed = prepared.opened.target.observe()
    return Deployed(
        plan=prepared.view,
        release=view,
        previous=release_view(prepared.plan.previous),
        endpoint=endpoint_of(prepared.opened, observed),
        verified=None,
        generation=observed.history.generation if observed.history else 0,
        unchanged=True,
        seconds=0.0,
        sample_body=_sample_body(prepared),
        notes=(
            *(f"{finding.what}; {finding.fix}" for finding in prepared.view.findings if finding.code == NEWER),
            *attached(context, prepared.opened, observed),
        ),
        is_closed=_is_closed(prepared),
    )


def attached(context: Context, opened: Opened, observed: Observed) -> tuple[str, ...]:
    """A command that was killed right after its commit left a release without the record beside its image: it is put there now, as the
    history is under the lease. Whoever has that attaches, too.
    """
    import time

    records, history = opened.target.records, observed.history
    if history is None or not isinstance(records, BesideImages) or not records.lacks(history):
        return ()
    if opened.target.records.holder(context.clock()):
        return ()
    try:
        with held(opened.target.records, context.who, context.clock, time.sleep, context.progress) as lease:
            present = opened.target.records.read()
            lease.check()
            return records.attach(present) if present is not None else ()
    except (LeaseHeld, LeaseLost):
        return ()
    except MlshipError as error:
        return (f"a record is not beside its image, and cannot be put there now: {error.what}",)


def _is_closed(prepared: Prepared) -> bool:
    return bool(prepared.plan.deployment.release.served.serving.get("auth"))


def _sample_body(prepared: Prepared) -> dict[str, object] | None:
    """One row to try the service with: of the model that /predict asks."""
    release = prepared.plan.deployment.release
    proof = release.proofs.get(release.served.models[0].name)
    return {"instances": [proof.instances[0]]} if proof and proof.instances else None


def _view(opened: Opened, plan: DeployPlan, observed: Observed, findings: tuple[Finding, ...]) -> PlanView:
    deployment = plan.deployment
    release, previous = _to_and_from(plan)
    same_release = previous is not None and release is not None and previous.id == release.id
    return PlanView(
        project=opened.name,
        environment=opened.environment,
        target=opened.target_name,
        service=opened.service,
        release=release_view(release),
        previous=release_view(previous),
        actions=plan.actions,
        create=() if same_release or plan.is_empty or plan.takes_back else (f"release {deployment.release.id}",),
        update=_updates(plan, observed),
        delete=tuple(f"copy of {action.release}" for action in plan.actions if action.kind == "discard"),
        steps=_steps(opened, plan, observed),
        findings=findings,
        undo=_undo(plan, observed),
        fingerprint=plan.fingerprint,
        takeover=_takeover(opened, plan, observed),
        host=opened.host,
        region=opened.region,
        account=opened.account,
        duration=expected(deployment, plan.actions, is_first=observed.history is None),
    )


def _to_and_from(plan: DeployPlan) -> tuple[Release | None, Release | None]:
    """Which release serves afterwards, and which one gives way. To take one back is to go from it to what is live."""
    if plan.takes_back:
        return plan.previous, plan.deployment.release
    return plan.deployment.release, plan.previous


def _served(plan: DeployPlan) -> Release:
    release = _to_and_from(plan)[0]
    assert release is not None, "a change that was carried out leaves one"
    return release


def _takeover(opened: Opened, plan: DeployPlan, observed: Observed) -> tuple[str, ...]:
    """Said of services with several replicas, of a release that goes further than it is, and of one that does not."""
    underway = observed.history.underway if observed.history else None
    if plan.takes_back and plan.event != "abort" and underway is not None:
        return (f"{underway.release.id} failed: {underway.failed}; it is taken back, and the command ends with exit 6",)
    features = opened.target.features.get(opened.service, {})
    if "rolling" not in features or features["rolling"].support == "absent" or plan.event not in ("deploy", "operate"):
        return ()
    previous = plan.previous
    replaces = previous is not None and previous.id != plan.deployment.release.id
    return takeover(plan.deployment, replaces=replaces) if plan.actions else ()


def _updates(plan: DeployPlan, observed: Observed) -> tuple[str, ...]:
    previous, deployment = plan.previous, plan.deployment
    if plan.is_empty or previous is None or plan.takes_back:
        return ()
    recorded = observed.history.operating if observed.history else {}
    changed = changed_settings(recorded, deployment.operating, deployment.target) if recorded else ()
    if plan.event == "operate":
        return ("how the service is operated: the release stays", *changed)
    goes_on = previous.id == deployment.release.id
    service = f"{previous.id} is started again" if goes_on else f"{previous.id} -> {deployment.release.id}"
    return (f"service {deployment.project}: {service}", *changed)


def _steps(opened: Opened, plan: DeployPlan, observed: Observed) -> tuple[str, ...]:
    """What the target can serve already is not brought there again."""
    is_there = plan.deployment.release.id in observed.restorable
    begun = observed.history.underway if observed.history else None
    steps = [
        _again(action) if begun and action == Action("stage", begun.release.id, begun.before) else _step(action)
        for action in plan.actions
        if not (is_there and action.kind == "deliver")
    ]
    commits = any(action.kind in ("shift", "operate") for action in plan.actions)
    if commits and isinstance(opened.target.records, BesideImages):
        steps.append(f"the record of {plan.deployment.release.id} is attached to its image in the registry")
    return tuple(steps)


def _again(action: Action) -> str:
    """What a rollout that goes on does first: its copies run."""
    return f"{action.release} is asked its release id and the sample again; callers stay where they are meanwhile"


def _step(action: Action) -> str:
    sentences = {
        "deliver": f"the image of {action.release} goes to the target",
        "stage": f"{action.release} starts at 0 % and is asked its release id and the sample",
        "mirror": f"a copy of {action.share * 100:g} % of the requests goes to {action.release}, too; nobody gets its answers",
        "weigh": f"{action.share * 100:g} % of the callers reach {action.release}",
        "shift": f"callers reach {action.release}; it is asked again on their path",
        "restore": f"callers reach {action.before or 'nothing'} as before; the copies of {action.release} go",
        "discard": f"a copy of {action.release} that nobody committed goes",
        "operate": "the operating part changes in place",
    }
    return sentences.get(action.kind, action.kind)


def _undo(plan: DeployPlan, observed: Observed) -> str:
    """The rollback warranty: said before anything is changed."""
    previous = plan.previous
    if plan.is_empty or plan.takes_back or plan.event == "operate":
        return ""
    if previous is None:
        return "nothing served before; mlship destroy takes it away"
    if previous.id == plan.deployment.release.id:
        return ""  # the live release comes back: there is nothing to go back to
    if previous.id in observed.restorable:
        return f"{previous.id} stays restorable: mlship rollback"
    why = observed.lost.get(previous.id, "its image is not on the target any more")
    return f"{previous.id} could NOT be restored: {why}"
