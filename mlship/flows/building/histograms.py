"""model.reference -> histograms in the image's manifest, which live rows are compared with. Costs nothing where no file is named."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mlship.errors import Exit, MlshipError
from mlship.flows.context import Context
from mlship.flows.evidence import ROWS, RowsFile, drawn, evidence_of
from mlship.flows.gather import Gathered
from mlship.flows.training import staged
from mlship.frameworks.base import Described, Loaded, ModelSpec
from mlship.frameworks.child import ChildPython, child_python
from mlship.frameworks.describing import describe_in_child
from mlship.frameworks.engine_choice import REFERENCE
from mlship.image.manifest import model_entry
from mlship.memo import Memo
from mlship.runner import Runner

MOST_ROWS = 20_000  # of a file, evenly spaced: the tenths of 10,000 rows are known to 0.3 %, and more cost time
TIMEOUT_S = 900.0


def reference_files(gathered: Gathered, memo: Memo) -> dict[str, RowsFile]:
    """By the name of the model."""
    models = dict(gathered.project.models)
    found = {}
    for spec in gathered.specs if any(spec.reference for spec in gathered.specs) else ():
        prefix = f"models.{spec.name}" if f"models.{spec.name}" in gathered.project.positions else "model"
        files = evidence_of(gathered.project, prefix, models[spec.name], memo).files
        reference = next((file for file in files if file.kind == REFERENCE), None)
        if reference is not None:
            found[spec.name] = reference
    return found


def described(runner: Runner, child: ChildPython, spec: ModelSpec, root: Path, file: RowsFile) -> Described:
    """As the child's interpreter computes it. root: as in load_in_child. Raises MlshipError with exit 5, at the key of the file."""
    rows = drawn(file, MOST_ROWS)
    try:
        return describe_in_child(runner, child, model_entry(spec), root, spec.sample, rows, timeout_s=TIMEOUT_S)
    except MlshipError as error:
        if error.code == "timeout":
            what = (
                f"{spec.name} needs more than {TIMEOUT_S / 60:g} min for the {len(rows['numbers']):,} rows of {file.path.name}"
            )
            raise MlshipError(
                what, file.where, "name a file with fewer rows", exit=Exit.BUILD_FAILED, code=error.code
            ) from None
        if error.code == f"{ROWS}{REFERENCE}":
            raise MlshipError(error.what, file.where, error.fix, exit=Exit.BUILD_FAILED, code=error.code) from None
        raise


def described_in_training(context: Context, python: Path, spec: ModelSpec, file: RowsFile) -> Described:
    """By the environment that trained the model, for an image whose programs do not run here. Raises MlshipError."""
    with staged(spec) as root:
        child = child_python(python, context.home, context.environ, (root / "code",))
        return described(context.runner, child, spec, root, file)


def reference_checks(loaded: Mapping[str, Loaded]) -> tuple[str, ...]:
    """A line for each model with a reference. Pure."""
    return tuple(_check(name, found.described) for name, found in loaded.items() if found.described)


def _check(name: str, found: Described) -> str:
    refused = f", {found.refused} refused" if found.refused else ""
    if found.reference is None:
        return f"{name} reference {found.rows} rows{refused}: too few to measure drift"
    parts = len(found.reference.features)
    told = ([f"{parts} feature{'s' if parts != 1 else ''}"] if parts else []) + (
        ["predictions"] if found.reference.predictions else []
    )
    return f"{name} reference {found.rows} rows{refused}: drift of {' and '.join(told) or 'nothing that can be counted'}"
