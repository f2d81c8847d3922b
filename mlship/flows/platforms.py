"""Images for a platform whose programs do not run here: what another one proved for it, and what only a deployment can prove."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from mlship.errors import Finding, MlshipError
from mlship.flows.base import base_layers, base_of
from mlship.flows.building.histograms import described_in_training, reference_files
from mlship.flows.context import Context
from mlship.flows.gather import Gathered
from mlship.flows.layers import Layers
from mlship.flows.training import load_in_training
from mlship.frameworks.base import Loaded, ModelSpec
from mlship.image.lock import Lock
from mlship.image.system.apt import LateArchive
from mlship.image.system.base import runs_here
from mlship.image.workplace import Native, Workplace
from mlship.memo import Memo


@dataclass(frozen=True)
class Proved:
    """What is known of the models without loading them in the image.

    loaded: by model name, as they are elsewhere. place: where, `on linux/amd64` or `in .venv`. native: the layers of the
    platform that runs here, None where none is built.
    """

    loaded: Mapping[str, Loaded]
    place: str
    native: Layers | None = None


def proved_elsewhere(context: Context, gathered: Gathered, native: Layers | None) -> Proved | None:
    """None for a platform that runs here: its models are loaded in the image. native: the layers of such a one, made before.

    Without it the environment that trained the models loads them. Raises MlshipError, exit 2, where nothing can load them.
    """
    if runs_here(gathered.platform):
        return None
    if native is not None:
        return Proved(native.loaded, f"on {native.base.platform}", native)
    python, source = gathered.environment.trained_by, gathered.environment.source
    if python is None:
        raise MlshipError(
            f"no program of {gathered.platform} runs on this machine, and {source} names packages only: nothing can load the model",
            gathered.project.at("build.platforms"),
            "add this machine's platform to build.platforms, or name the environment that trained the model: --python PATH",
            code="no-platform-runs",
        )
    loaded, references = {}, reference_files(gathered, Memo(context.home.memo))
    for spec in gathered.specs:
        context.progress.step("check", f"{spec.name} loads in {source}")
        loaded[spec.name] = load_in_training(context, python, spec)
        if (file := references.get(spec.name)) is not None:
            found = described_in_training(context, python, spec, file)
            loaded[spec.name] = replace(loaded[spec.name], described=found)
    return Proved(loaded, f"in {source}")


def beside_native(workplace: Workplace, gathered: Gathered, lock: Lock, archive: LateArchive) -> Workplace:
    """For what is locked and made after a platform that runs here: its interpreter compiles for the others, too."""
    if not runs_here(lock.platform):
        return workplace
    plan = base_of(lock, gathered.project.build.packages)
    return replace(workplace, native=Native(plan, base_layers(workplace, plan, archive)))


def with_native_layers(workplace: Workplace, native: Layers | None) -> Workplace:
    """Once they are made, they tell which files are compiled."""
    if workplace.native is None or native is None:
        return workplace
    layers = tuple(layer for layer in native.layers if layer.role in ("packages", "server"))
    return replace(workplace, native=replace(workplace.native, layers=layers))


def left_for_deploy(specs: Sequence[ModelSpec], place: str) -> tuple[str, ...]:
    """What `deploy` proves, as every deployment does, before callers reach the release. place: where the answers are from. Pure."""
    loads = [f"{spec.name} loads, with all modules and shared libraries that it imports" for spec in specs]
    answers = [
        f"{spec.name} answers its sample of {len(spec.sample)} as {place} (rtol {spec.tolerance.rtol:g})"
        for spec in specs
        if spec.sample
    ]
    return (*loads, *answers)


def refuse_builder(builder: str, platforms: Sequence[Gathered]) -> None:
    """Raises MlshipError, exit 2, for several platforms by BuildKit. Pure."""
    if builder == "docker" and len(platforms) > 1:
        raise MlshipError(
            "--builder docker makes one platform: its steps run in the image, and for another architecture that needs emulation",
            platforms[0].project.at("build.platforms"),
            "build without --builder docker, or keep one of build.platforms",
            code="one-platform",
        )


def version_differences(locks: Sequence[Lock]) -> tuple[Finding, ...]:
    """Packages that two platforms have in different versions, where one has no wheel of the newest. Pure."""
    if len(locks) < 2:
        return ()
    versions: dict[str, dict[str, str]] = {}
    for lock in locks:
        for wheel in lock.wheels:
            versions.setdefault(wheel.name, {})[lock.platform] = wheel.version
    return tuple(
        Finding(
            f"{name} is " + " and ".join(f"{version} on {platform}" for platform, version in sorted(by_platform.items())),
            "mlship.lock",
            f"require one version of {name} that has a wheel for both",
            "warning",
            "platforms-differ",
        )
        for name, by_platform in sorted(versions.items())
        if len(set(by_platform.values())) > 1
    )
