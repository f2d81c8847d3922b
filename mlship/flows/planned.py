"""deploy --plan: exactly what a file says, decided anew from what is there now and found to be the same; or nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import mlship
from mlship.config.project import Project
from mlship.errors import MlshipError
from mlship.flows.context import Context, Where
from mlship.flows.hosts import places
from mlship.flows.loading import project_of, with_region
from mlship.flows.plan import Seen, prepare_each
from mlship.flows.plan_file import PlanFile, PlannedHost, SeenThen, configuration, planned_host, read, seen_then
from mlship.flows.prepared import Prepared
from mlship.image.record import BuildRecords
from mlship.oci.layout import Layout, short
from mlship.releases.history import History
from mlship.targets.base import Observed

# In the order in which they are told: what explains the others comes first.
_DECIDED = ("service", "event", "release", "previous", "content", "models", "served", "operating", "actions", "by_steps")


def prepare(context: Context, where: Where, path: Path) -> tuple[tuple[Where, ...], tuple[Prepared, ...]]:
    """The places of the plan, and what is carried out at each.

    Raises MlshipError with exit 14 that names what moved: the world, the image, mlship.yaml, or the file itself.
    """
    file = read(path)
    where = _where(where, file)
    project = with_region(context, project_of(context, where))
    _refuse_other_configuration(file, project)
    _refuse_lost_image(context, file)
    found = places(context, where)
    prepared = prepare_each(
        context,
        found,
        image=file.plan.hosts[0].content,
        again=file.plan.again,
        looked=lambda now: refuse_moved(file, now),
    )
    for host, one in zip(file.plan.hosts, prepared, strict=True):
        _refuse_other_decision(file, host, planned_host(one))
    return found, prepared


def refuse_moved(file: PlanFile, now: Sequence[Seen]) -> None:
    """now: what each place of the command shows, in its order. Raises MlshipError, exit 14, with what is other than it was."""
    hosts = file.plan.hosts
    meant, there = [(host.host, host.engine) for host in hosts], [(one.opened.host, one.opened.engine) for one in now]
    if meant != there:
        then, found = (", ".join(engine or "this machine's engine" for _, engine in some) for some in (meant, there))
        raise file.stale(f"the plan is for {then}, and this command talks to {found}", "world-moved")
    moved = [
        f"{host.host}: {line}" if host.host else line
        for host, one in zip(hosts, now, strict=True)
        for line in moves(host.seen, one.observed)
    ]
    if moved:
        raise file.stale(f"the world moved since the plan was made: {moved[0]}", "world-moved", *moved[1:])


def moves(then: SeenThen, observed: Observed) -> list[str]:
    """What is other than it was when the plan was made, in words; empty when nothing is. Pure."""
    now = seen_then(observed)
    told = [line for name, words in _WORDS.items() for line in words(getattr(then, name), getattr(now, name))]
    if then.generation != now.generation:
        told += _entries_since(then.generation, observed.history)
    if not told and then.fingerprint != now.fingerprint:
        told.append("copies, or how callers reach them, are others than the plan saw")
    return told


def _where(where: Where, file: PlanFile) -> Where:
    """Environment and target as they were planned. Raises MlshipError, exit 2, where the command line says others."""
    plan = file.plan
    for option, said, meant in (("--env", where.environment, plan.environment), ("--target", where.target, plan.target)):
        if said and said != meant:
            raise MlshipError(
                f"{option} is {said}, and the plan is for {meant or 'no environment'}",
                str(file.path),
                f"leave {option} out, or name the plan for {said}",
                code="usage",
            )
    return replace(where, name=plan.project, environment=plan.environment, target=plan.target)


def _refuse_other_configuration(file: PlanFile, project: Project) -> None:
    then, now = file.plan.configuration, configuration(project)
    keys = sorted(key for key in {*then, *now} if then.get(key) != now.get(key))
    if keys:
        others = f" and {len(keys) - 1} more" if len(keys) > 1 else ""
        what = f"{project.file.name} is another one than the plan was made from: {keys[0]}{others}"
        raise file.stale(what, "configuration-moved", *map(project.at, keys))


def _refuse_lost_image(context: Context, file: PlanFile) -> None:
    """What is sent is what was planned: each of its images has to be here whole."""
    layout, records = Layout(context.home.images), BuildRecords(context.home.images)
    for content in sorted({host.content for host in file.plan.hosts}):
        images = [image for image in layout.images() if image.content == content]
        is_whole = any(all(layout.has(layer.blob) for layer in image.layers) for image in images)
        if not is_whole or records.of_content(content) is None:
            lost = "is here in part only" if images and not is_whole else "is not on this machine"
            raise file.stale(
                f"the image {short(content)} of the plan {lost}",
                "image-gone",
                fix=f"mlship cache import FILE brings it from where it was built; or plan again: {file.command}",
            )


def _refuse_other_decision(file: PlanFile, then: PlannedHost, now: PlannedHost) -> None:
    """From the same world the same is decided; what is left is a secret's value, a certificate, or mlship itself."""
    differ = [name for name in _DECIDED if getattr(then, name) != getattr(now, name)]
    if not differ:
        return
    place = f"{then.host}: " if then.host else ""
    secrets = sorted(name for name in {*then.secrets, *now.secrets} if then.secrets.get(name) != now.secrets.get(name))
    if secrets:
        raise file.stale(f"{place}the value of the secret {secrets[0]} is another one than was planned", "secret-moved")
    made_by, this = file.plan.mlship, mlship.__version__
    why = f" (mlship {made_by} made the plan, this is {this})" if made_by != this else ""
    raise file.stale(f"{place}another change would be made now: {', '.join(differ)}{why}", "decision-moved")


def _entries_since(generation: int, history: History | None) -> list[str]:
    entries = [entry for entry in history.entries if entry.generation > generation] if history else []
    told = [f"since then: {entry.action} {entry.release} by {entry.by}" for entry in entries[-3:]]
    return told or ["the records are not those that the plan saw"]


def _one(words: str) -> Callable[[str, str], list[str]]:
    return lambda then, now: [] if then == now else [f"{now or 'nothing'} is {words}, {then or 'nothing'} was"]


def _several(words: str) -> Callable[[Sequence[str], Sequence[str]], list[str]]:
    def lines(then: Sequence[str], now: Sequence[str]) -> list[str]:
        gone, come = sorted({*then} - {*now}), sorted({*now} - {*then})
        return [*(f"{name} no longer {words}" for name in gone), *(f"{name} {words} now" for name in come)]

    return lines


def _callers(then: Mapping[str, float], now: Mapping[str, float]) -> list[str]:
    told = [", ".join(f"{name} {share * 100:g} %" for name, share in some.items()) or "nobody" for some in (then, now)]
    return [] if then == now else [f"callers reach {told[1]}, they reached {told[0]}"]


_WORDS: Mapping[str, Callable[..., list[str]]] = {
    "live": _one("live"),
    "underway": _one("under way"),
    "weights": _callers,
    "staged": _several("waits at 0 %"),
    "restorable": _several("can be restored from here"),
}
