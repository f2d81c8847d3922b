"""Which classes a Keras configuration names: those of keras itself are built, others would be imported, or run what they hold.

Asked before a file is loaded, every time. Standard library only.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

# keras 3.15, layers: a Lambda's function is Python bytecode, or a name that is looked up; a TFSMLayer loads a program from any
# path; a TorchModuleWrapper unpickles; the layers of jax call a function that is looked up
_RUNS_CODE = ("Lambda", "TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer")
# a vocabulary that is text is a file, or an address, that keras before 3.12 reads (CVE-2025-12058)
_READS_FILES = ("StringLookup", "IntegerLookup", "IndexLookup", "TextVectorization")


def strange_classes(config: Any) -> tuple[str, ...]:
    """Names, sorted, of the classes that are not keras's own or that run code, wherever they stand (keras 3,
    saving/serialization_lib.py and legacy/saving/serialization.py)."""
    return tuple(sorted(set(_strange(config))))


def _strange(config: Any) -> Iterator[str]:
    waiting = [config]
    while waiting:
        node = waiting.pop()
        if isinstance(node, list):
            waiting += node
        if not isinstance(node, dict):
            continue
        waiting += node.values()
        kind = node.get("class_name")
        if not isinstance(kind, str):
            continue
        module, registered = node.get("module"), node.get("registered_name")
        is_own = module is None and ">" not in kind and not (isinstance(registered, str) and ">" in registered)
        if isinstance(module, str):
            is_own = module == "keras" or module.startswith("keras.") or module == "builtins"
        runs_code = kind in _RUNS_CODE or kind.startswith("__lambda") or not _is_class(kind)
        if runs_code or not is_own or _reads_file(kind, node.get("config")):
            yield f"{module or ''}{'.' if module else ''}{kind}"[:100]


def _is_class(kind: str) -> bool:
    """By its name, as all of keras's own are; keras before 3.11 takes a function for one, `get_file` of its utils among them
    (CVE-2025-8747, CVE-2025-9906)."""
    return kind.isidentifier() and (kind[0].isupper() or kind.startswith("__"))


def _reads_file(kind: str, config: Any) -> bool:
    return kind in _READS_FILES and isinstance(config, dict) and isinstance(config.get("vocabulary"), str)
