"""check: everything that can be known without building. Writes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from mlship.config.project import Project
from mlship.errors import Finding, MlshipError
from mlship.flows.context import Context, Where
from mlship.flows.engines import with_engines
from mlship.flows.gather import Gathered, gather
from mlship.flows.model_memory import peak_findings
from mlship.flows.opening import project_of
from mlship.flows.reports import spec_report
from mlship.flows.results import Checked
from mlship.flows.secrets import read_secrets
from mlship.flows.training import load_in_training
from mlship.flows.used_keys import impossible
from mlship.frameworks.base import Loaded
from mlship.frameworks.declared import declared_findings
from mlship.frameworks.kinds import KINDS
from mlship.image.packages.closure import version_findings
from mlship.image.packages.requirements_lines import named_packages


def check(context: Context, where: Where, *, python: str = "") -> Checked:
    """Reads the configuration, the model files and the training environment, and loads each model there in a closed child.

    What is wrong stands in `findings`; the command's exit code follows from them.
    """
    project = project_of(context, where)
    gathered = with_engines(context, gather(context, project, python))
    loaded, findings = _load_all(context, gathered)
    return Checked(
        project=gathered.project.name,
        models=tuple(spec_report(spec, loaded.get(spec.name)) for spec in gathered.specs),
        environment=gathered.environment.source,
        python=gathered.environment.version,
        findings=(
            *gathered.findings,
            *impossible(project),
            *read_secrets(context, project).findings,
            *findings,
            *_named(gathered),
            *_weighed(context, gathered),
        ),
    )


def _named(gathered: Gathered) -> tuple[Finding, ...]:
    environment = gathered.environment
    if environment.file is None or environment.pinned is not None or environment.file.suffix not in (".txt", ".in"):
        return ()
    return tuple(
        finding
        for spec in gathered.specs
        for finding in named_findings(
            environment.file, environment.source, spec.versions, reads_older=KINDS[spec.framework].reads_older
        )
    )


def named_findings(file: Path, source: str, recorded: Mapping[str, str], *, reads_older: bool = False) -> tuple[Finding, ...]:
    """What the model was saved with against the names of a requirements file, as far as they tell what a build will find."""
    named = named_packages(file)
    if named is None:
        return ()
    found = version_findings(recorded, named, source, is_file=True, reads_older=reads_older)
    return tuple(_as_named(finding) for finding in found)


def _as_named(finding: Finding) -> Finding:
    """A package that is not named may come with another one."""
    if finding.code != "missing-package":
        return finding
    what = (
        finding.what.removesuffix(" has none") + " does not name it, and a build refuses that unless another package brings it"
    )
    return replace(finding, what=what, severity="warning")


def _weighed(context: Context, gathered: Gathered) -> tuple[Finding, ...]:
    """What resources.gpu makes a build fetch."""
    if gathered.project.resources.gpu is None or any(finding.severity == "error" for finding in gathered.findings):
        return ()
    # here and not above: few projects have a GPU, and what resolves takes long to import
    from mlship.flows.gpu_weight import weighed

    return weighed(context, gathered)


def _load_all(context: Context, gathered: Gathered) -> tuple[dict[str, Loaded], tuple[Finding, ...]]:
    python = gathered.environment.trained_by
    if python is None:
        source = gathered.environment.source
        note = f"models are loaded for the first time at build: {source} names packages, not an interpreter"
        return {}, (Finding(note, severity="note", code="not-loaded"),)
    if any(finding.severity == "error" for finding in gathered.findings):
        return {}, ()
    loaded: dict[str, Loaded] = {}
    findings: list[Finding] = []
    for spec in gathered.specs:
        context.progress.step("check", f"{spec.name} loads in {gathered.environment.source}")
        try:
            loaded[spec.name] = load_in_training(context, python, spec.trained)
        except MlshipError as error:
            findings.append(Finding(error.what, failed_at(gathered.project, spec.name, error), error.fix, code=error.code))
        else:
            signature = loaded[spec.name].signature
            findings += declared_findings(spec.declared, signature, spec.name, gathered.project.at("model.uri"))
    as_they_are = [spec for spec in gathered.specs if spec.original is None]
    return loaded, (*findings, *peak_findings(gathered.project, as_they_are, loaded))


def failed_at(project: Project, name: str, error: MlshipError) -> str:
    """The key that names what the model was asked with, or the model's own; of a disk that refuses, the folder."""
    if error.code == "disk":
        return error.where
    prefix = f"models.{name}" if f"models.{name}" in project.positions else "model"
    is_of_the_sample = error.code in ("sample", "predict") and f"{prefix}.sample" in project.positions
    return project.at(f"{prefix}.{'sample' if is_of_the_sample else 'uri'}")
