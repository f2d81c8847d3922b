"""Gathered facts and a lock -> the layers of an image, bottom to top, and the model loaded in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import mlship
from mlship.errors import Exit, MlshipError
from mlship.flows.base import base_layers, base_of, bytecode_above, compiler_of, start_of
from mlship.flows.building.histograms import reference_files
from mlship.flows.gather import Gathered, own_modules
from mlship.flows.model_check import loaded_models
from mlship.flows.packages import packages_folder
from mlship.frameworks.base import Loaded, ModelSpec
from mlship.frameworks.primed import Primed
from mlship.image.builder import Bytecode, files_key, files_layer
from mlship.image.docstrings import folders_without
from mlship.image.foreign import compiled_sources, foreign_compiler
from mlship.image.lock import Lock
from mlship.image.manifest import manifest, model_path
from mlship.image.package_layers import package_layers
from mlship.image.packages.closure import package_name, third_party
from mlship.image.packages.environment import normalised
from mlship.image.packages.wheels import install, missing_from, wheels_key
from mlship.image.plan import CODE, MANIFEST, PACKAGES, ROOT, BasePlan, ImageConfig, Interpreter, LayerFile, LayerPlan
from mlship.image.server_layer import server_layer
from mlship.image.system.apt import LateArchive
from mlship.image.system.base import glibc
from mlship.image.workplace import Workplace
from mlship.memo import Memo
from mlship.oci.image import Layer
from mlship.parallel import side_by_side
from mlship.server.manifest import Manifest, to_json

LARGE = 64 * 2**20  # bytes from which a file of a model has a layer of its own


@dataclass(frozen=True)
class Layers:
    """The finished layers, the first of them the base, with what was learned on the way.

    plans: of the layers above the server's, in their order. loaded: by model name. base: what the first was made of; of a base
    image several come first. start: of the server.
    """

    layers: tuple[Layer, ...]
    plans: tuple[LayerPlan, ...]
    loaded: Mapping[str, Loaded]
    base: BasePlan
    start: Interpreter


def make_layers(
    workplace: Workplace,
    gathered: Gathered,
    lock: Lock,
    archive: LateArchive,
    loaded: Mapping[str, Loaded] | None = None,
    primed: Primed | None = None,
) -> Layers:
    """Makes what is not there yet, then loads every model with the image's own interpreter.

    loaded: the models as they are elsewhere, for a platform whose programs do not run here. primed: as in `loaded_models`.
    Raises MlshipError with exit 5 when a model does not load or predict in the image.
    """
    base = base_of(lock, gathered.project.build.packages)
    lower = _lower_layers(workplace, gathered, lock, base, archive)
    start = start_of(workplace, base)
    workplace.progress.step("model", ", ".join(spec.name for spec in gathered.specs))
    plans = (*(plan for spec in gathered.specs for plan in model_plans(spec)), *code_plans(gathered))
    upper, loaded = side_by_side(
        lambda: [files_layer(workplace, plan) for plan in plans],
        lambda: _loaded(workplace, gathered, lower, plans, base, start, primed) if loaded is None else loaded,
    )
    signatures = {name: found.signature for name, found in loaded.items()}
    references = {name: found.described.reference for name, found in loaded.items() if found.described}
    described = manifest(gathered.project, gathered.specs, signatures, mlship.__version__, references)
    last = configuration_plan(described)
    return Layers((*lower, *upper, files_layer(workplace, last)), (*plans, last), loaded, base, start)


def _loaded(
    workplace: Workplace,
    gathered: Gathered,
    lower: tuple[Layer, ...],
    plans: tuple[LayerPlan, ...],
    base: BasePlan,
    start: Interpreter,
    primed: Primed | None,
) -> Mapping[str, Loaded]:
    rows = reference_files(gathered, Memo(workplace.home.memo))
    changing = (gathered.project.file,)
    return loaded_models(workplace, lower, plans, base.python, start, gathered.specs, rows, primed, changing)


def image_config(gathered: Gathered, start: Interpreter) -> ImageConfig:
    """Pure."""
    models = ",".join(spec.name for spec in gathered.specs)
    labels = {
        "mlship.project": gathered.project.name,
        "org.opencontainers.image.title": gathered.project.name,
        "org.opencontainers.image.description": f"model server for {models}",
    }
    return ImageConfig(entrypoint=start.argv, cmd=("serve",), env=start.environ, labels=labels)


def _lower_layers(
    workplace: Workplace, gathered: Gathered, lock: Lock, base_plan: BasePlan, archive: LateArchive
) -> tuple[Layer, ...]:
    """Base, packages, server: what stays the same while only the model changes."""
    base, packages, own = side_by_side(
        lambda: base_layers(workplace, base_plan, archive),
        lambda: packages_folder(workplace, gathered, lock, base_plan),
        lambda: server_folder(workplace, gathered, lock),
    )
    base = (*base, *bytecode_above(workplace, base_plan, base))
    compiled = compiler_of(base_plan, base) or foreign_compiler(workplace, base_plan)
    refuse_missing(gathered, packages)
    imported = tuple(sorted({module for spec in gathered.specs for module in spec.modules}))
    like = compiled_sources(workplace, PACKAGES) if workplace.native else None
    whole = known_whole(gathered, lock)
    packed = partial(
        package_layers,
        workplace,
        packages,
        PACKAGES,
        lock.wheels,
        inputs=wheels_key(lock.wheels, lock.python, lock.platform),
        bytecode=Bytecode(compiled, imported, like, folders_without(whole)) if compiled else None,
        whole=whole,
    )
    own_key = wheels_key(lock.server, lock.python, lock.platform)
    above, server = side_by_side(packed, lambda: server_layer(workplace, own, inputs=own_key, compiler=compiled))
    return *base, *above, server


def known_whole(gathered: Gathered, lock: Lock) -> tuple[str, ...]:
    """build.whole. Raises MlshipError for a package that the image does not have."""
    names, locked = gathered.project.build.whole, {wheel.name for wheel in lock.wheels}
    for name in names:
        if normalised(name) not in locked:
            raise MlshipError(
                f"the image has no Python package {name}",
                gathered.project.at(f"build.whole.{name}"),
                f"delete it, or write one of: {', '.join(sorted(locked))}",
                exit=Exit.USAGE,
                code="unknown-package",
            )
    return names


def refuse_missing(gathered: Gathered, packages: Path) -> None:
    """A file of requirements may not name all that the model imports. Raises MlshipError with exit 5."""
    needed = third_party({module for spec in gathered.specs for module in spec.modules})
    missing = missing_from(packages, set(needed) - set(own_modules(gathered.specs)))
    if missing:
        names = ", ".join(package_name(module) for module in missing)
        raise MlshipError(
            f"the model imports {', '.join(missing)}, which {gathered.environment.source} does not bring",
            fix=f"add {names} to {gathered.environment.source}",
            exit=Exit.BUILD_FAILED,
            code="missing-modules",
        )


def server_folder(workplace: Workplace, gathered: Gathered, lock: Lock) -> Path:
    """The server's own packages, installed; every file has the hash that is locked."""
    return install(
        lock.server,
        python_minor=lock.python,
        platform=lock.platform,
        glibc=glibc(base_of(lock, gathered.project.build.packages)),
        indexes=gathered.indexes,
        runner=workplace.runner,
        home=workplace.home,
        progress=workplace.progress,
        project_root=gathered.project.root,
    )


def model_plans(spec: ModelSpec) -> tuple[LayerPlan, ...]:
    """The layers of one model: its small files together, every large one alone, so that what did not change does not move. Pure."""
    path = model_path(spec)
    single = len(spec.files) == 1 and not path.endswith(f"/{spec.name}")
    targets = {file.name: f"{ROOT}/{path}" if single else f"{ROOT}/{path}/{file.name}" for file in spec.files}
    small = tuple(file for file in spec.files if file.size < LARGE)
    alone = tuple((file,) for file in spec.files if file.size >= LARGE)
    return tuple(
        LayerPlan(
            "model",
            spec.name if group is small or len(spec.files) == 1 else f"{spec.name} {group[0].name}",
            tuple(LayerFile(targets[file.name], file.path, sha256=file.sha256) for file in group),
            files_key((targets[file.name], file.sha256) for file in group),
        )
        for group in (small, *alone)
        if group
    )


def code_plans(gathered: Gathered) -> tuple[LayerPlan, ...]:
    """One layer for the code of all models; none when there is none. Pure."""
    files = {file.name: file for spec in gathered.specs for file in spec.code}
    if not files:
        return ()
    planned = tuple(LayerFile(f"{CODE}/{name}", file.path, sha256=file.sha256) for name, file in sorted(files.items()))
    key = files_key((f"{CODE}/{name}", file.sha256) for name, file in files.items())
    return (LayerPlan("code", "code", planned, key),)


def configuration_plan(described: Manifest) -> LayerPlan:
    """The manifest's layer: tiny, and on top because it changes most often. Pure."""
    content = to_json(described)
    key = files_key([(MANIFEST, content.decode())])
    return LayerPlan("configuration", "manifest", (LayerFile(MANIFEST, content=content),), key)
