"""Weights of a file into a module: state_dicts, what trainers wrap them in, and safetensors."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlship.server.runtimes.base import LoadError
from mlship.server.torch_scan import WRAPPERS

# what DataParallel, Lightning and torch.compile put before every name
PREFIXES = ("module.", "model.", "_orig_mod.")
SHOWN = 5


def fill(torch: Any, module: Any, path: Path, format: str) -> Any:
    """The module with the weights of the file. Raises LoadError where names or shapes differ, ImportError."""
    weights = _weights(torch, _read(torch, path, format))
    wanted = set(module.state_dict())
    for prefix in PREFIXES:
        if wanted.isdisjoint(weights) and all(name.startswith(prefix) for name in weights):
            weights = {name.removeprefix(prefix): value for name, value in weights.items()}
    try:
        module.load_state_dict(weights)
    except RuntimeError as error:
        raise LoadError(_differs(type(module).__name__, wanted, set(weights), error)) from None
    return module


def _read(torch: Any, path: Path, format: str) -> Any:
    if format == "safetensors":
        from safetensors.torch import load_file

        return load_file(str(path))
    try:
        return torch.load(str(path), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        said = str(error).strip().split("\n", 1)[0]
        raise LoadError(
            f"torch.load(weights_only=True) does not take the file: {said}; save model.state_dict() alone"
        ) from None


def _weights(torch: Any, read: Any) -> dict[str, Any]:
    """The names and tensors, also of a checkpoint. Raises LoadError."""
    if isinstance(read, Mapping):
        for found in (read, *(read[name] for name in WRAPPERS if name in read)):
            if isinstance(found, Mapping) and found and all(isinstance(value, torch.Tensor) for value in found.values()):
                return {str(name): value for name, value in found.items()}
    kind = f"a dict with {', '.join(map(str, list(read)[:SHOWN]))}" if isinstance(read, Mapping) else type(read).__name__
    raise LoadError(f"the file holds {kind}, no state_dict; save the weights alone: torch.save(model.state_dict(), 'net.pt')")


def _differs(name: str, wanted: set[str], given: set[str], error: Exception) -> str:
    lacking, unknown = sorted(wanted - given), sorted(given - wanted)
    parts = [
        f"{what} {', '.join(names[:SHOWN])}{', ...' if len(names) > SHOWN else ''}"
        for what, names in (("it lacks", lacking), ("the module does not know", unknown))
        if names
    ]
    lines = [line.strip() for line in str(error).splitlines()[1:]]
    said = "; ".join(parts) or " ".join(lines[:SHOWN])
    return f"the weights are not those of {name}: {said}"
