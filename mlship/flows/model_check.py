"""Every model loaded by the image's own interpreter, from the image's own files: what it is, and what it answers to its sample."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from mlship.errors import Exit, MlshipError
from mlship.flows.building.histograms import described
from mlship.flows.evidence import RowsFile
from mlship.frameworks.base import Loaded, ModelSpec
from mlship.frameworks.child import ChildPython, load_in_child, question_for
from mlship.frameworks.primed import Primed, writable_in
from mlship.image.builder import files_layer
from mlship.image.manifest import model_entry
from mlship.image.plan import CODE, ROOT, Interpreter, LayerPlan
from mlship.image.workplace import Workplace, scratch
from mlship.oci.driver import of_the_driver
from mlship.oci.image import Layer
from mlship.oci.rootfs import assemble, command

# A model that needs longer than this to load at build is not served by anything that waits for it.
LOAD_TIMEOUT_S = 600.0


def loaded_models(
    workplace: Workplace,
    lower: Sequence[Layer],
    plans: Sequence[LayerPlan],
    python: str,
    start: Interpreter,
    specs: Sequence[ModelSpec],
    references: Mapping[str, RowsFile],
    primed: Primed | None = None,
    changing: Sequence[Path] = (),
) -> dict[str, Loaded]:
    """By model name. lower: base, packages and server, whose files stay on this machine for the next model; plans: of the models'
    layers and the code's. python: the interpreter's path inside the image. Models are not unpacked: their layers are written from
    files with these very digests, which lie here already. references: model.reference, by model name. primed: is asked of a
    model that is alone; changing: besides its files, those that say whether the next build will have something to ask.

    Raises MlshipError with exit 5 when a model does not load or predict there.
    """
    key = hashlib.sha256(" ".join((*(layer.diff_id for layer in lower), python)).encode()).hexdigest()
    below = assemble(workplace.layout, lower, workplace.home.cache / "roots" / key, workplace.home, python=python)
    with _place(workplace, primed) as folder:
        code = [files_layer(workplace, plan) for plan in plans if plan.role != "model"]
        above = assemble(workplace.layout, code, folder / "rootfs", workplace.home)
        _link_models(plans, above)
        asked = primed if primed is not None and len(specs) == 1 and _may_ask(primed, specs[0]) else None
        loaded = {spec.name: _load(workplace, below, above, spec, start, references.get(spec.name), asked) for spec in specs}
        if primed is not None and len(specs) == 1 and not _hides_modules(specs[0]):
            (spec,) = specs
            question = question_for(_child(below, above, start), writable_in(folder), LOAD_TIMEOUT_S)
            files = (*(file.path for file in spec.files), *(file.path for file in spec.code), *changing)
            primed.keep(question, folder, loaded[spec.name].modules, _needs(spec), files)
        return loaded


@contextmanager
def _place(workplace: Workplace, primed: Primed | None) -> Iterator[Path]:
    """Where the model's files are linked to: the folder that a process knows already, or a new one."""
    if primed is not None and primed.folder is not None:
        yield primed.folder
    else:
        with scratch(workplace) as folder:
            yield folder


def _needs(spec: ModelSpec) -> tuple[str, ...]:
    return model_entry(spec).runtime, *sorted(spec.modules)


def _may_ask(primed: Primed, spec: ModelSpec) -> bool:
    """What began before the code was there has not imported another module in the place of one of it."""
    return not _hides_modules(spec) and primed.is_for(_needs(spec), _own(spec))


def _hides_modules(spec: ModelSpec) -> bool:
    """Whether the user's code is found where Python's own would be: then nothing may be imported before it is there."""
    return not _own(spec).isdisjoint(sys.stdlib_module_names)


def _own(spec: ModelSpec) -> set[str]:
    return {file.name.partition("/")[0].removesuffix(".py") for file in spec.code}


def _child(below: Path, above: Path, start: Interpreter) -> ChildPython:
    run = command(below, start.argv[:3], _with_code(start, above).environ)
    return ChildPython(run.argv, dict(run.environ or {}))


def _link_models(plans: Sequence[LayerPlan], above: Path) -> None:
    for file in (file for plan in plans if plan.role == "model" for file in plan.files):
        if file.source is not None:
            place = above / file.target.lstrip("/")
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(file.source.absolute())


def _load(
    workplace: Workplace,
    below: Path,
    above: Path,
    spec: ModelSpec,
    start: Interpreter,
    reference: RowsFile | None,
    primed: Primed | None,
) -> Loaded:
    workplace.progress.step("check", f"{spec.name} loads in the image")
    child, root = _child(below, above, start), above / ROOT.lstrip("/")
    entry, sample = model_entry(spec), spec.sample or None
    loaded = load_in_child(workplace.runner, child, entry, root, sample, timeout_s=LOAD_TIMEOUT_S, primed=primed)
    refuse_foreign((below.resolve(), above.resolve()), spec.name, loaded.libraries)
    if reference is None:
        return loaded
    workplace.progress.step("reference", f"{spec.name} answers {reference.path.name} in the image")
    return replace(loaded, described=described(workplace.runner, child, spec, root, reference))


def _with_code(start: Interpreter, above: Path) -> Interpreter:
    """The user's own packages are looked for where they lie on this machine."""
    environ: Mapping[str, str] = {name: text.replace(CODE, f"{above}{CODE}") for name, text in start.environ.items()}
    return replace(start, environ=environ)


def refuse_foreign(roots: Sequence[Path], model: str, libraries: Sequence[str]) -> None:
    """The image's loader, outside a container, falls back to this machine's own folders: what it found there, a container lacks,
    unless it is of the driver of GPUs, which a container gets.

    Raises MlshipError with exit 5. Pure.
    """
    outside = {Path(path).name for path in libraries if not any(Path(path).is_relative_to(root) for root in roots)}
    foreign = sorted(name for name in outside if not of_the_driver(name))
    if foreign:
        raise MlshipError(
            f"{model} loads {', '.join(foreign)}, which the image does not have",
            fix="add the operating-system packages that hold them to build.packages (on Debian, dpkg -S names them)",
            exit=Exit.BUILD_FAILED,
            code="missing-libraries",
        )
