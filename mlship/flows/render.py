"""render: the documents that deploy would send, and what the vendor's own tool takes. Touches no target."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from mlship.config.project import Project
from mlship.disk import write_atomic
from mlship.errors import FindingsError, MlshipError
from mlship.flows.before_build import said_of_file
from mlship.flows.build import built_records
from mlship.flows.context import Context, Where
from mlship.flows.loading import with_region
from mlship.flows.opening import Opened, open_project, project_of
from mlship.flows.operating import deployment_from
from mlship.flows.plan import recorded_image, release_from
from mlship.flows.results import Rendered
from mlship.flows.secrets import first_versions
from mlship.releases.history import History
from mlship.targets.base import Deployment
from mlship.targets.priced import priced
from mlship.targets.table import ON_THIS_MACHINE


def render(context: Context, where: Where, *, image: str = "", part: str = "", out: Path) -> Rendered:
    """Writes `apply/` and `eject/` below `out`, which must be empty, new, or written by render before.

    The release is the one that a first deploy would make: rendering asks no target what is live, nor what machine it is on. Of a
    build for several platforms it is this machine's. part: only the documents of that part, where the target has parts.
    """
    project = with_region(context, project_of(context, where))
    record = recorded_image(context, project, image) if image else built_records(context, project)[0]
    opened = open_project(context, project)
    history = History(project.name, project.environment, project.target)
    release = release_from(record, project, history, 0.0, first_versions(project))
    deployment = deployment_from(project, release)
    _refuse_impossible(project, opened, deployment)
    documents = of_part(opened.target.render(deployment), part, project.target)
    _make_room(out)
    for name, content in sorted(documents.items()):
        write_atomic(out / PurePosixPath(name), content, other="name another folder with --out")
    return Rendered(out, tuple(sorted(documents)))


def _refuse_impossible(project: Project, opened: Opened, deployment: Deployment) -> None:
    """What a cloud's service cannot do is not written down either. Raises FindingsError."""
    if project.target in ON_THIS_MACHINE:
        return
    found = dict.fromkeys((*said_of_file(project, opened), *priced(project.target).findings(deployment)))
    if wrong := [finding for finding in found if finding.severity == "error"]:
        place = f"{project.target} service {opened.service}"
        raise FindingsError(f"{project.name} cannot be rendered for {place}", wrong, code=wrong[0].code)


def of_part(documents: Mapping[str, bytes], part: str, target: str) -> Mapping[str, bytes]:
    """`apply/foundation/template.json` and `eject/foundation.json` are of the part foundation. Raises MlshipError for none. Pure."""
    if not part:
        return documents
    chosen = {
        name: text for name, text in documents.items() if part in (PurePosixPath(name).parts[1], PurePosixPath(name).stem)
    }
    if not chosen:
        raise MlshipError(f"what is rendered for {target} has no part {part}", fix="leave --part out", code="unknown-part")
    return chosen


def _make_room(out: Path) -> None:
    """Only folders of render itself are replaced."""
    if out.exists() and not out.is_dir():
        raise MlshipError(f"{out} is not a folder", fix="name another one with --out")
    others = sorted(entry.name for entry in out.iterdir() if entry.name not in ("apply", "eject")) if out.exists() else []
    if others:
        raise MlshipError(f"{out} holds other things ({', '.join(others[:3])})", fix="name a new folder with --out")
    for name in ("apply", "eject"):
        shutil.rmtree(out / name, ignore_errors=True)
