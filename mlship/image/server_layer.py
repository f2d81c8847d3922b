"""The layer of the server: the same blob for every project of one mlship version, Python and platform."""

from __future__ import annotations

from pathlib import Path

import mlship
from mlship.image.builder import Bytecode, bytecode_facts, cached, compile_modules, key, written_and_kept
from mlship.image.bytecode import Compiler, compile_files
from mlship.image.foreign import compiled_sources
from mlship.image.package_layers import stripped
from mlship.image.packages.debug_info import without_debug_info
from mlship.image.packages.strip import RULES
from mlship.image.plan import SERVER
from mlship.image.server_sources import digest_of, server_sources
from mlship.image.workplace import Workplace, scratch
from mlship.oci.image import Layer
from mlship.oci.layer import Entry, entries_of_folder, without_bytecode


def server_layer(
    workplace: Workplace,
    wheels: Path,
    *,
    inputs: str,
    compiler: Compiler | None = None,
) -> Layer:
    """mlship's server and the server's own packages, at /opt/mlship/lib.

    wheels: a folder as `uv pip install --target` leaves it. inputs: a digest over what is in it, such as its lock's.
    """
    sources = tuple(server_sources())
    like = compiled_sources(workplace, SERVER) if workplace.native else None
    bytecode = Bytecode(compiler, _modules(wheels), like) if compiler else None
    facts = {
        "version": mlship.__version__,
        "wheels": inputs,
        "sources": digest_of(sources),
        "bytecode": bytecode_facts(bytecode),
        "strip": RULES,
    }

    def make() -> Layer:
        with scratch(workplace) as compiled, scratch(workplace) as shortened:
            if bytecode:
                root = bytecode.compiler.root(workplace)
                compile_files(workplace, root, bytecode.compiler.python, _python_files(sources), compiled)
                compile_modules(workplace, bytecode, wheels, SERVER, compiled)
            needed = stripped(tuple(without_bytecode(entries_of_folder(wheels, SERVER))), SERVER, ())
            packages = without_debug_info(needed, shortened)
            entries = (*packages, *sources, *entries_of_folder(compiled, "/"))
            return written_and_kept(workplace, entries, "server", "server")

    return cached(workplace, key("server", facts, workplace.compression), make)


def _modules(wheels: Path) -> tuple[str, ...]:
    """The packages at the top of the folder."""
    return tuple(sorted(path.parent.name for path in wheels.glob("*/__init__.py")))


def _python_files(sources: tuple[Entry, ...]) -> list[tuple[Path, str]]:
    return [(entry.source, f"/{entry.path}") for entry in sources if entry.source and entry.source.suffix == ".py"]
