"""What an estimate is compared with: another file, the file at a git revision, or what is live."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from mlship.config.load import find_file
from mlship.config.project import Project
from mlship.errors import MlshipError
from mlship.flows.context import Context, Where
from mlship.flows.loading import project_of
from mlship.releases.history import History
from mlship.runner import Command
from mlship.targets.table import MODULES
from mlship.units import Cpu, Duration, Memory, Money

LIVE = "live"


def base_of(context: Context, where: Where, base: str) -> Where:
    """The same question with another file. base: `live`, a path, or whatever git takes for a commit.

    Raises MlshipError where it is none of these, and where what is live cannot be asked.
    """
    if base == LIVE:
        return _live(context, where)
    path = context.cwd / Path(base).expanduser()
    if path.is_file():
        return replace(where, file=path, text=None)
    file = where.file or find_file(context.cwd)
    return replace(where, file=file, text=_at_revision(context, file, base))


def _at_revision(context: Context, file: Path, revision: str) -> str:
    """What stands in the file at a commit."""
    if not revision or revision.startswith("-"):
        raise _no_base(revision)
    folder = file.absolute().parent
    commit = _git(context, folder, "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
    if commit is None:
        raise _no_base(revision)
    text = _git(context, folder, "show", f"{commit.strip()}:./{file.name}")
    if text is None:
        raise MlshipError(
            f"there is no {file.name} at {revision}", f"--diff {revision}", "name a commit that has it", code="no-base"
        )
    return text


def _git(context: Context, folder: Path, *words: str) -> str | None:
    """What it says; None where it fails. Raises MlshipError where there is no git."""
    done = context.runner.run(Command(("git", "-C", str(folder), *words), timeout_s=10))
    return done.stdout.decode(errors="replace") if done.ok else None


def _no_base(said: str) -> MlshipError:
    fix = "name another mlship.yaml, a commit such as main or HEAD~1, or live"
    return MlshipError(f"{said or 'nothing'} is no file, and git knows no such commit here", "--diff", fix, code="no-base")


# -- what is live ---------------------------------------------------------------------------------------------------------


def _live(context: Context, where: Where) -> Where:
    """A file that says what the records say, in place of the one on the disk.

    What is live is asked where the file deploys to; `--target` of a cloud says where it is priced.
    """
    from mlship.flows.opening import history_or_error, open_project

    asked = replace(where, target="") if where.target not in MODULES else where
    project = project_of(context, asked)
    if project.target not in MODULES:
        fix = "name another mlship.yaml, or a commit such as main"
        raise MlshipError(
            f"nothing is live on {project.target}: mlship does not deploy there yet", "--diff live", fix, code="nothing-live"
        )
    place = open_project(context, project)
    history = history_or_error(place, place.target.observe().history)
    return replace(where, file=project.file, environment="", text=json.dumps(live_document(project, history)))


def live_document(project: Project, history: History) -> dict[str, Any]:
    """mlship.yaml as it would be for what is live: size, scale and settings as recorded, all else as in the project. Pure."""
    live = next((release for release in history.releases if release.id == history.live), None)
    if live is None:
        fix = "mlship history shows what was; --diff FILE compares with another mlship.yaml"
        raise MlshipError(f"{project.name} has nothing live to compare with", "--diff live", fix, code="nothing-live")
    operating = history.operating
    document = {
        "name": project.name,
        "model": "live",
        "target": project.target,
        "resources": {**_said(project.resources), **_resources(live.served.resources)},
        "slo": _said(project.slo),
        "cost": {**_said(project.cost), **_plain(operating.get("cost", {}))},
        "targets": {project.target: {**_said(getattr(project.targets, project.target, None)), **_settings(operating)}},
    }
    if replicas := operating.get("replicas"):
        document["scale"] = {"replicas": {"min": replicas["min"], "max": replicas["max"]}, **_scaling(operating)}
    return {key: value for key, value in document.items() if value}


def _resources(served: Mapping[str, int]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if "cpu" in served:
        found["cpu"] = f"{served['cpu']}m"
    if "memory" in served:
        found["memory"] = f"{served['memory']}B"
    if served.get("gpu"):
        found["gpu"] = {"count": served["gpu"]}
    return found


def _scaling(operating: Mapping[str, Any]) -> dict[str, Any]:
    said = operating.get("scale", {})
    found = {key: said[key] for key in ("metric", "per_replica") if said.get(key) is not None}
    return {**found, "down_after": f"{said['down_after_s']:g}s"} if "down_after_s" in said else found


def _settings(operating: Mapping[str, Any]) -> dict[str, Any]:
    """Of the target's section what a price may depend on; certificates and limits are recorded in other forms than they are said."""
    said = operating.get("settings", {})
    return {key: said[key] for key in ("region", "service", "instance") if said.get(key)}


def _said(part: Any) -> dict[str, Any]:
    """A section of the file as it can be written again; keys that nobody said are left out."""
    return _plain(part) or {}


def _plain(value: Any) -> Any:
    """Amounts as they are written (`2GiB`), sections as maps."""
    from msgspec import Struct, structs

    if isinstance(value, Struct):
        return _plain(structs.asdict(value))
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return str(value) if isinstance(value, Cpu | Duration | Memory | Money) else value
