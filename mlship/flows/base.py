"""What an image stands on: packages that mlship assembles, or an image that build.base names. Everything above is the same."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from mlship.errors import Finding, FindingsError, MlshipError
from mlship.flows.gather import Gathered
from mlship.image.base_image.fetch import locked_base, newest_base
from mlship.image.base_image.guard import misfits, risks
from mlship.image.base_image.stdlib import stdlib_layer
from mlship.image.builder import base_layer
from mlship.image.bytecode import Compiler
from mlship.image.lock import Lock
from mlship.image.plan import DEBIAN, BaseImage, BasePlan, Interpreter, entrypoint
from mlship.image.system.apt import Archive, LateArchive
from mlship.image.system.base import base_plan, runs_here
from mlship.image.workplace import Workplace
from mlship.oci.image import BASE_DIGEST, BASE_NAME, Layer
from mlship.oci.registry.reference import parse_reference

# What the server reads of its surroundings (server/settings.py)
_SETTINGS = re.compile(r"(MLSHIP|AIP|SAGEMAKER)_.*|PORT|PYTHONHOME", re.DOTALL)


def resolved_base(workplace: Workplace, gathered: Gathered, archive: Archive | None) -> BasePlan:
    """The newest packages, or what the image's name means now.

    Raises MlshipError where neither can be had, and FindingsError with all reasons why an image does not fit.
    """
    build = gathered.project.build
    if build.base != DEBIAN:
        return _of_image(workplace, gathered)
    if archive is None:
        raise MlshipError(
            "there is no package archive to take the base from",
            fix="set build.mirror in mlship.yaml; mlship doctor says more",
            code="no-archive",
        )
    return base_plan(workplace, archive, gathered.minor, platform=gathered.platform, packages=build.packages)


def base_of(lock: Lock, requested: tuple[str, ...]) -> BasePlan:
    """The base as it is locked. requested: build.packages. Pure."""
    if lock.base is not None:
        return BasePlan(lock.base.reference, lock.platform, lock.base.python, (), image=lock.base)
    return BasePlan(
        lock.suite,
        lock.platform,
        f"/usr/bin/python{lock.python}",
        lock.system,
        tuple(sorted(set(requested))),
        diff_id=lock.diff_id,
        blob=lock.blob,
    )


def base_layers(workplace: Workplace, plan: BasePlan, archive: LateArchive) -> tuple[Layer, ...]:
    """Bottom first; made, or taken from the registry, where they are not here."""
    if plan.image is None:
        return (base_layer(workplace, plan, archive),)
    return locked_base(workplace, plan.image, plan.platform).layers


def interpreter_of(plan: BasePlan, layers: Sequence[Layer]) -> Compiler:
    """The base's Python. layers: as `base_layers` gives them."""
    return Compiler(layers[-1], plan.python, tuple(layers[:-1]))


def compiler_of(plan: BasePlan, layers: Sequence[Layer]) -> Compiler | None:
    """The base's Python, where this machine can run it."""
    return interpreter_of(plan, layers) if runs_here(plan.platform) else None


def bytecode_above(workplace: Workplace, plan: BasePlan, layers: Sequence[Layer]) -> tuple[Layer, ...]:
    """What a base image lacks of its Python's compiled files; an assembled base has them."""
    compiler = compiler_of(plan, layers)
    return stdlib_layer(workplace, compiler) if plan.image is not None and compiler is not None else ()


def start_of(workplace: Workplace, plan: BasePlan) -> Interpreter:
    """How the server is started on it: ENV of a base image stays where it is not the server's own."""
    start = entrypoint(plan.python)
    if plan.image is None:
        return start
    return replace(start, environ=joined_environ(locked_base(workplace, plan.image, plan.platform).environ, start.environ))


def joined_environ(base: Mapping[str, str], own: Mapping[str, str]) -> dict[str, str]:
    """Without what the server would take for its own settings. Pure."""
    return {**{name: text for name, text in base.items() if not _SETTINGS.fullmatch(name)}, **own}


def base_risks(workplace: Workplace, gathered: Gathered, lock: Lock) -> tuple[Finding, ...]:
    """What to know of a base that somebody else made."""
    if lock.base is None:
        return ()
    found = locked_base(workplace, lock.base, lock.platform)
    return risks(found.facts, lock.base.reference, gathered.project.at("build.base"))


def base_title(lock: Lock) -> str:
    """For people: `debian bookworm`, or the image's name with the beginning of its digest. Pure."""
    if lock.base is None:
        return f"debian {lock.suite}"
    digest = lock.base.digest.removeprefix("sha256:")[:12]
    return lock.base.reference if digest in lock.base.reference else f"{lock.base.reference} ({digest})"


def base_annotations(base: BaseImage | None) -> Mapping[str, str]:
    """Where an image's base came from, as its manifest says it. Pure."""
    if base is None:
        return {}
    named = parse_reference(base.reference)
    return {BASE_NAME: str(replace(named, digest="") if named.tag else named), BASE_DIGEST: base.digest}


def refuse_docker_builder(builder: str, gathered: Gathered) -> None:
    """Raises MlshipError, exit 2, where the Dockerfile would have to begin with an image. Pure."""
    if builder == "docker" and gathered.project.build.base != DEBIAN:
        raise MlshipError(
            "--builder docker on a base image is not yet built",
            gathered.project.at("build.base"),
            "build without --builder docker: it needs no engine",
            code="not-yet",
        )


def _of_image(workplace: Workplace, gathered: Gathered) -> BasePlan:
    reference, where = gathered.project.build.base, gathered.project.at("build.base")
    found = newest_base(workplace, reference, gathered.platform, where)
    wrong = misfits(found.facts, reference, python_minor=gathered.minor, platform=gathered.platform, where=where)
    if wrong:
        raise FindingsError(f"{reference} cannot be the base of this image", wrong)
    locked = found.locked(gathered.minor)
    workplace.progress.step("base", f"{reference}, {found.facts.system or 'unknown system'}, glibc {locked.glibc}")
    return BasePlan(reference, gathered.platform, locked.python, (), image=locked)
