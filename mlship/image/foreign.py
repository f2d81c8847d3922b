"""Compiled files for a platform whose programs do not run here: made by the interpreter of one that does.

Of one source the same version of Python makes the same bytes on every processor (bytecode.py). Which sources are compiled is what
importing them loads where that can be tried. So a layer that is made here has the content that it gets on its own platform.
"""

from __future__ import annotations

import re

from mlship.image.bytecode import Compiler, source_of
from mlship.image.plan import BasePlan
from mlship.image.workplace import Workplace
from mlship.oci.rootfs import unpack_layer


def foreign_compiler(workplace: Workplace, plan: BasePlan) -> Compiler | None:
    """The interpreter of the platform that runs here, where it is of the very version that the plan's base has."""
    native = workplace.native
    if native is None or not interpreter_version(plan) or interpreter_version(plan) != interpreter_version(native.plan):
        return None
    return Compiler(native.base[-1], native.plan.python, native.base[:-1])


def interpreter_version(plan: BasePlan) -> str:
    """`3.11.2-6+deb12u6`, without what says that only the binary was made anew; empty for a base of another kind. Pure."""
    name = f"lib{plan.python.rpartition('/')[2]}-minimal"
    found = next((package.version for package in plan.packages if package.name == name), "")
    return re.sub(r"\+b\d+$", "", found)


def compiled_sources(workplace: Workplace, target: str) -> tuple[str, ...]:
    """Sources below `target`, relative to it, whose compiled files the image of the platform that runs here has; sorted."""
    if workplace.native is None:
        return ()
    below = target.strip("/")
    found: set[str] = set()
    for layer in workplace.native.layers:
        folder = unpack_layer(workplace.layout, layer, workplace.home) / below
        found.update(source_of(path.relative_to(folder).as_posix()) for path in folder.rglob("__pycache__/*.pyc"))
    return tuple(sorted(found))
