"""Compiled files as mlship's images have them, for packages installed in an environment: without docstrings, not checked."""

from __future__ import annotations

import importlib._bootstrap_external as external
import importlib.util
from pathlib import Path
from typing import Any

from mlship.image.docstrings import SCRIPT, folders_without


def compile_as_images_do(installed: Path) -> None:
    """installed: a folder of packages for the Python that runs this."""
    script: dict[str, Any] = {}
    exec(SCRIPT, script)
    for folder in folders_without(()):
        for source in (installed / folder).rglob("*.py"):
            data = source.read_bytes()
            try:
                code = compile(data, str(source), "exec", dont_inherit=True)
            except SyntaxError:  # a template
                continue
            target = Path(importlib.util.cache_from_source(str(source)))
            target.parent.mkdir(exist_ok=True)
            target.write_bytes(external._code_to_hash_pyc(script["bare"](code), importlib.util.source_hash(data), False))  # type: ignore[attr-defined]
