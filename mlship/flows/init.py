"""init: a model file, and perhaps its data -> mlship.yaml and sample.json. Writes nothing until everything is known."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mlship.config.addresses import is_address, problem_of
from mlship.config.load import refuse_target
from mlship.config.names import check_dotted_name, check_loader_name, check_region
from mlship.config.project import Project
from mlship.config.schema import Model
from mlship.config.starter import project_name, starter_text
from mlship.disk import write_atomic
from mlship.errors import Finding, FindingsError, MlshipError
from mlship.flows.context import Context
from mlship.flows.fetching import fetched
from mlship.flows.gather import Gathered, gather, specs_of
from mlship.flows.loading import REGION_VARIABLES, region_here
from mlship.flows.reports import spec_report
from mlship.flows.results import Initialised, ModelReport
from mlship.flows.training import introduced
from mlship.frameworks.base import Loaded, ModelSpec, Origin
from mlship.frameworks.detect import models_in
from mlship.frameworks.propose import Proposal, propose, propose_own_class
from mlship.memo import Memo
from mlship.sources.base import Opening
from mlship.sources.table import is_remote

FILE = "mlship.yaml"
SAMPLE = "sample.json"
_REGIONS = {"aws": "us-east-1", "gcp": "us-central1", "azure": "westeurope"}  # for examples
# File names that say nothing about the project: then its folder names it.
_COMMON_STEMS = frozenset({"model", "pipeline", "estimator", "clf", "classifier", "regressor", "best", "final", "trained"})


@dataclass(frozen=True)
class Learned:
    """What the training environment told; loaded is None when it could not be asked, and findings say why."""

    gathered: Gathered | None
    loaded: Loaded | None
    rows: tuple[Any, ...]
    findings: tuple[Finding, ...]


def init(
    context: Context,
    model: Path | str = "",
    *,
    name: str = "",
    data: Path | None = None,
    loader: str = "",
    trust: tuple[str, ...] = (),
    framework: str = "",
    python: str = "",
    force: bool = False,
    target: str = "",
    region: str = "",
) -> Initialised:
    """Writes both files into the current folder. model: where it lies, or its address as a text; empty takes the folder's only one.

    loader: `module:Class` of one's own that loads the model. framework: where the file alone does not say it. region: of a
    target that is a cloud.

    Raises MlshipError for a model that cannot be read or is not safe to load, and for a file that is there and would change
    (unless `force`), naming what to do; nothing is written then.
    """
    _refuse_place(target, region)
    model = model or _only_model(context.cwd, loader)
    uri = model if isinstance(model, str) else _relative(model, context.cwd)
    origin = _origin(context, uri)
    path = origin.path if origin else context.cwd / uri
    proposal = _proposal(context, path, loader, trust, framework)
    _refuse_errors(path, proposal)
    project = _project(context, path, uri, name, proposal, framework, target or _default_target(context))
    (spec,), _ = specs_of(project, origins={project.models[0][0]: origin} if origin else None)
    learned = _learn(context, project, data, python, proposal.rows)
    files = _files(project, learned.rows, region)
    _refuse_overwriting(context.cwd, files, force)
    for path, content in files.items():
        write_atomic(path, content, other="work in another folder with -C")
    return Initialised(
        file=context.cwd / FILE,
        written=tuple(files),
        kept=(),
        model=_report(project, spec, learned),
        findings=(*learned.findings, *_somewhere(context, project.target, region)),
    )


def _refuse_place(target: str, region: str) -> None:
    """Raises MlshipError for a target that there is not, and for a region that it has not."""
    if target:
        refuse_target(target)
    if not region:
        return
    if target not in REGION_VARIABLES:
        fix = f"say one that has: --target {', '.join(REGION_VARIABLES)}"
        raise MlshipError(
            f"the target {target} has no region" if target else "no target is said", "--region", fix, code="usage"
        )
    check_region(target, region)


def _only_model(folder: Path, loader: str) -> Path:
    """Raises MlshipError where there are several, or none. loader: what a class of one's own loads may be any file."""
    names = () if loader else models_in(folder)
    if len(names) == 1:
        return folder / names[0]
    several = f" there are {len(names)} here: {_some(names)}" if names else ""
    fix = f"mlship init --model {shlex.quote(names[0] if names else 'model.joblib')}"
    raise MlshipError(f"which model?{several}", fix=fix, code="usage")


def _somewhere(context: Context, target: str, region: str) -> tuple[Finding, ...]:
    """A note where a cloud is to serve it, and nothing says in which region."""
    if target not in REGION_VARIABLES or region or region_here(context, target):
        return ()
    fix = f"add it to {FILE}, such as targets: {{{target}: {{region: {_REGIONS[target]}}}}}"
    return (Finding(f"nothing says in which region of {target} it is to run", "", fix, "note", "no-region"),)


def _origin(context: Context, uri: str) -> Origin | None:
    """None for a file of this machine. Raises MlshipError."""
    if wrong := problem_of(uri):
        raise MlshipError(wrong[0], "--model", wrong[1], code="bad-address")
    if not is_remote(uri, context.cwd):
        return None
    return fetched(context, Opening(uri, context.cwd, context.environ, context.runner, "--model")).origin


def _proposal(context: Context, model: Path, loader: str, trust: tuple[str, ...], framework: str) -> Proposal:
    if loader:
        return propose_own_class(model, context.cwd, check_loader_name(loader))
    names = tuple(check_dotted_name(name) for name in trust)
    return propose(model, context.cwd, names, Memo(context.home.memo), framework)


def _project(context: Context, model: Path, uri: str, name: str, proposal: Proposal, framework: str, target: str) -> Project:
    file = model.stem if proposal.loader else model.name  # a class's own file may have any ending
    chosen = context.cwd.name if model.stem.lower() in _COMMON_STEMS else file
    described = Model(
        uri=uri,
        framework=proposal.framework if proposal.loader else framework or None,
        code=proposal.code,
        trust=proposal.trust,
        loader=proposal.loader or None,
    )
    final = name or project_name(chosen)
    return Project(file=context.cwd / FILE, name=final, environment="", target=target, models=((final, described),))


def _refuse_errors(model: Path, proposal: Proposal) -> None:
    errors = [finding for finding in proposal.findings if finding.severity == "error"]
    if errors:
        findings = tuple(_with_option(finding) for finding in proposal.findings)
        raise FindingsError(f"{model.name} cannot be served as it is", findings)


def _with_option(finding: Finding) -> Finding:
    """There is no mlship.yaml yet that `model.trust` could be written into."""
    if finding.code != "unknown-name":
        return finding
    return replace(finding, fix=f"{finding.fix}; here: mlship init --trust NAME, once for each")


def _learn(context: Context, project: Project, data: Path | None, python: str, made: tuple[Any, ...]) -> Learned:
    """Loads the model where it was trained: its features choose the columns of the data. made: rows for where there is none."""
    try:
        gathered = gather(context, project, python)
    except MlshipError as error:
        if data is not None or python or project.models[0][1].loader:
            raise
        return Learned(None, None, (), (Finding(error.what, error.where, error.fix, "warning", error.code),))
    errors = tuple(replace(finding, severity="warning") for finding in gathered.findings if finding.severity == "error")
    notes = tuple(finding for finding in gathered.findings if finding.severity != "error")
    interpreter = gathered.environment.trained_by
    if interpreter is None:
        if data is not None:
            raise MlshipError(
                f"{gathered.environment.source} names packages, not an interpreter, and the rows of {data.name} are chosen by it",
                fix="name the Python that trained the model: --python python3; or leave --data out",
                code="no-interpreter",
            )
        return Learned(gathered, None, (), (*errors, *notes))
    context.progress.step("check", f"{project.name} loads in {gathered.environment.source}")
    made = made if data is None and not gathered.specs[0].sample else ()
    spec = replace(gathered.specs[0], sample=made) if made else gathered.specs[0]
    loaded, rows = introduced(context, interpreter, spec, data)
    return Learned(gathered, loaded, rows or made, (*errors, *notes, *_left_out(loaded, data), *_made_up(made)))


def _made_up(rows: tuple[Any, ...]) -> tuple[Finding, ...]:
    if not rows:
        return ()
    what = f"{SAMPLE} holds {len(rows)} rows made up of the values at which the model decides, and of its categories"
    return (Finding(what, "", "mlship init --force --data FILE takes rows of your own", "note", "made-up"),)


def _left_out(loaded: Loaded, data: Path | None) -> tuple[Finding, ...]:
    if data is None or not loaded.needless:
        return ()
    return (
        Finding(
            f"left out of the sample: {_some(loaded.needless)}; the model gives the same answers without",
            data.name,
            f"if callers should send them too, add them to each row of {SAMPLE}",
            "note",
            "needless",
        ),
    )


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")


def _files(project: Project, rows: tuple[Any, ...], region: str) -> dict[Path, bytes]:
    """The sample first: a killed init leaves no configuration that names a missing file."""
    model = project.models[0][1]
    text = starter_text(
        project.name,
        model.uri,
        code=model.code,
        trust=model.trust,
        sample=SAMPLE if rows else "",
        framework=model.framework or "",
        loader=model.loader or "",
        target="" if project.target == "local" else project.target,
        region=region,
    )
    files = {project.root / SAMPLE: _sample_text(rows)} if rows else {}
    return {**files, project.file: text.encode()}


def _sample_text(rows: tuple[Any, ...]) -> bytes:
    lines = ",\n".join(f"  {json.dumps(row, ensure_ascii=False)}" for row in rows)
    return f'{{"instances": [\n{lines}\n]}}\n'.encode()


def _refuse_overwriting(folder: Path, files: dict[Path, bytes], force: bool) -> None:
    changed = [path.name for path, content in files.items() if path.exists() and path.read_bytes() != content]
    if changed and not force:
        raise MlshipError(
            f"{' and '.join(changed)} exist{'s' if len(changed) == 1 else ''} here already and would change",
            str(folder),
            "mlship init --force replaces them, or work in another folder with -C",
            code="exists",
        )


def _default_target(context: Context) -> str:
    """docker where an engine answers, else this machine itself."""
    from mlship.targets.docker.engine import connect

    try:
        connect(context.environ)
    except MlshipError:
        return "local"
    return "docker"


def _relative(model: Path, folder: Path) -> str:
    absolute = model if model.is_absolute() else folder / model
    try:
        inside = absolute.relative_to(folder).as_posix()
    except ValueError:
        return str(model)
    return f"./{inside}" if is_address(inside) else inside


def _report(project: Project, spec: ModelSpec, learned: Learned) -> ModelReport:
    """As the new configuration names things: `churn/` is what its author reads in it."""
    model = project.models[0][1]
    return replace(
        spec_report(spec, learned.loaded), sample=len(learned.rows or spec.sample), code=model.code, trust=model.trust
    )
