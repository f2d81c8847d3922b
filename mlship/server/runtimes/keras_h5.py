"""Keras's older format, one HDF5 file: what it names is looked at before keras opens it. Needs h5py, which keras requires."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mlship.server.keras_scan import strange_classes
from mlship.server.runtimes.base import LoadError

MAX_CONFIG = 64 * 2**20


def refuse_strange(path: Path) -> None:
    """Raises LoadError for a file that is no whole model, that names other classes than keras's, or that reads other files."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            config = _config(file, path)
            elsewhere = next(_elsewhere(file), "")
    except (OSError, ValueError, RecursionError, KeyError, RuntimeError) as error:
        raise LoadError(f"{path.name} cannot be read as HDF5: {str(error)[:300]}; save the model again") from error
    if elsewhere:
        raise LoadError(f"{path.name} refers to another file at {elsewhere}; save the model again: a whole one does not")
    found = strange_classes(config)
    if found:
        raise LoadError(
            f"{path.name} has {', '.join(found[:5])}, which is no layer of keras or runs code: loading it would run that; "
            "save the model with layers of keras alone, or as a program: model.export(folder)"
        )


def conversion(path: Path) -> str:
    """The two lines that save such a file in the format of today, for where it was trained (keras 2 and 3 alike)."""
    return f'import keras\nkeras.models.load_model("{path.name}", compile=False).save("{path.stem}.keras")'


def _config(file: Any, path: Path) -> Any:
    """As keras 3.15 reads it (legacy/saving/legacy_h5_format.py). Raises LoadError, ValueError."""
    text = file.attrs.get("model_config")
    if text is None:
        what = (
            "weights without the model that they belong to" if "layer_names" in file.attrs or "layers" in file else "no model"
        )
        raise LoadError(
            f'{path.name} holds {what}; save the model as a whole: model.save("{path.name.partition(".")[0]}.keras")'
        )
    if len(text) > MAX_CONFIG:
        raise ValueError("its configuration is too large")
    return json.loads(text)


def _elsewhere(file: Any) -> Iterator[str]:
    """Places whose content lies in other files: HDF5 follows such links and layouts without a word."""
    import h5py

    waiting, seen = [file], {h5py.h5o.get_info(file.id).addr}
    while waiting:
        group = waiting.pop()
        for name in group:
            link = group.get(name, getlink=True)
            if not isinstance(link, h5py.HardLink):
                yield f"{group.name}/{name}"
                continue
            found = group[name]
            if isinstance(found, h5py.Group):
                address = h5py.h5o.get_info(found.id).addr  # groups may hold each other
                waiting += [found] if address not in seen else []
                seen.add(address)
            elif isinstance(found, h5py.Dataset) and (found.external or found.is_virtual):
                yield str(found.name)
