"""Weights of a file into a module: state_dicts, what trainers wrap them in, and safetensors.

Large ones are not copied: the module's tensors become pages of the file, which all workers of a machine have once.
"""

from __future__ import annotations

import gc
import pickle
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mlship.server.runtimes.base import LoadError
from mlship.server.torch_scan import WRAPPERS

# what DataParallel, Lightning and torch.compile put before every name
PREFIXES = ("module.", "model.", "_orig_mod.")
SHOWN = 5
LARGE = 16 * 2**20  # bytes of a file; a copy of less costs each worker less than the look at all objects does


def fill(torch: Any, module: Any, path: Path, format: str) -> Any:
    """The module with the weights of the file. Raises LoadError where names or shapes differ, ImportError."""
    is_mapped = _is_mapped(path, format)
    weights = _weights(torch, _read(torch, path, format, is_mapped))
    wanted = set(module.state_dict())
    for prefix in PREFIXES:
        if wanted.isdisjoint(weights) and all(name.startswith(prefix) for name in weights):
            weights = {name.removeprefix(prefix): value for name, value in weights.items()}
    if is_mapped:
        _lay(torch, module, weights)
    try:
        module.load_state_dict(weights)  # what lies there already is not copied
    except RuntimeError as error:
        raise LoadError(_differs(type(module).__name__, wanted, set(weights), error)) from None
    return module


def _is_mapped(path: Path, format: str) -> bool:
    """Whether the file's tensors may be its pages: where it is large, and nothing in it is compressed."""
    if path.stat().st_size < LARGE:
        return False
    if format == "safetensors":
        return True
    with zipfile.ZipFile(path) as archive:
        return all(info.compress_type == zipfile.ZIP_STORED for info in archive.infolist())


def _lay(torch: Any, module: Any, weights: Mapping[str, Any]) -> None:
    """Puts the file's tensors below those of the module that are alike and lie alone.

    One whose memory another tensor shows, too, is left: a view that the class took of it would keep what was there before.
    """
    own = module.state_dict(keep_vars=True)
    met = Counter(map(id, own.values()))
    known = {id(each) for tensors in (module.parameters(), module.buffers()) for each in tensors}
    kinds = (torch.Tensor, torch.nn.Parameter)  # exactly: one that has no shape yet is of another
    alike = {
        name: each
        for name, each in own.items()
        if met[id(each)] == 1 and id(each) in known and type(each) in kinds and _are_alike(each, weights.get(name))
    }
    places = Counter(_places(torch))
    for name, each in alike.items():
        if places[each.untyped_storage().data_ptr()] == 1:
            each.data = weights[name]


def _are_alike(own: Any, given: Any) -> bool:
    return (
        given is not None
        and (own.device.type, own.dtype, own.shape, own.stride()) == ("cpu", given.dtype, given.shape, given.stride())
        and own.layout == given.layout
    )


def _places(torch: Any) -> Iterator[int]:
    """Where the memory of each tensor of this process begins."""
    for each in gc.get_objects():
        if issubclass(type(each), torch.Tensor):
            try:
                yield each.untyped_storage().data_ptr()
            except (RuntimeError, NotImplementedError):  # one that has no memory
                continue


def _read(torch: Any, path: Path, format: str, is_mapped: bool) -> Any:
    if format == "safetensors":
        from safetensors.torch import load_file

        return load_file(str(path))
    try:
        return torch.load(str(path), map_location="cpu", weights_only=True, mmap=is_mapped)
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
