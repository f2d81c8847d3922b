"""Compiled files of a base image's own Python, where it has none: images often leave them out, and every start pays for it."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

from mlship.image.builder import cached, key, written
from mlship.image.bytecode import Compiler, compile_files
from mlship.image.workplace import Workplace, scratch
from mlship.oci.image import Layer
from mlship.oci.layer import entries_of_folder

# What no server imports: tests, tools for people, and other people's packages, of which it is not known what they need.
_NEEDLESS = re.compile(
    r"(.*/)?(test|tests|idlelib|lib2to3|turtledemo|ensurepip|pydoc_data|tkinter|curses|venv|site-packages|dist-packages|config-[^/]+)/"
)


def stdlib_layer(workplace: Workplace, compiler: Compiler) -> tuple[Layer, ...]:
    """A layer for above the base, or none where the base has compiled files."""
    root = compiler.root(workplace)
    sources = stdlib_sources(root, compiler.python)
    if not sources:
        return ()

    def make() -> Layer:
        with scratch(workplace) as compiled:
            compile_files(workplace, root, compiler.python, sources, compiled)
            return written(workplace, entries_of_folder(compiled, "/"), "base", "compiled Python")

    return (cached(workplace, key("base", {"compiled": compiler.key}, workplace.compression), make),)


def stdlib_sources(root: Path, python: str) -> list[tuple[Path, str]]:
    """(file, its absolute path in the image); empty where some are compiled already, or the library lies behind a link."""
    prefix = PurePosixPath(python).parent.parent
    library = root / str(prefix).lstrip("/") / "lib" / PurePosixPath(python).name
    if library.resolve() != root.resolve() / library.relative_to(root) or any(library.glob("__pycache__/*.pyc")):
        return []
    files = (path for path in sorted(library.rglob("*.py")) if path.is_file() and not path.is_symlink())
    inside = ((path, path.relative_to(library).as_posix()) for path in files)
    return [(path, f"/{path.relative_to(root).as_posix()}") for path, name in inside if not _NEEDLESS.match(name)]
