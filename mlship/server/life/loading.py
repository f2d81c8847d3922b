"""The models of a manifest, from disk into memory."""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any

from mlship.server.core import ServedModel
from mlship.server.life.collecting import collecting_seldom
from mlship.server.manifest import Manifest, Model
from mlship.server.monitoring import log
from mlship.server.opened_model import OpenedModel
from mlship.server.runtimes.base import LoadError

# Collections of the middle generation before the collector looks at all that is not frozen; Python's own is 10. What there is of it
# are mostly the rows of requests that wait, which go without its help: where many wait with large bodies it took a third of the time.
MIDDLE_COLLECTIONS = 100
USUAL_COLLECTIONS = 10


class LoadFailed(Exception):
    """A model cannot be loaded. reason: for the log, in JSON's types."""

    def __init__(self, reason: dict[str, Any]) -> None:
        self.reason = reason
        super().__init__(reason["message"])


def loaded_models(manifest: Manifest, root: Path, names: Collection[str]) -> dict[str, ServedModel]:
    """The named models of the manifest, in memory. root: the manifest's folder. Raises LoadFailed."""
    code = str(root / manifest.code)
    if code not in sys.path:
        sys.path.insert(0, code)
    with collecting_seldom():
        return {
            entry.name: _loaded(entry, root, Path(code), index, is_one_of_several=len(manifest.models) > 1)
            for index, entry in enumerate(manifest.models)
            if entry.name in names
        }


def settle() -> None:
    """What is loaded stays; the collector need not look at it again, least of all during a request.

    Nor may it before a fork: looking writes to each object, and a page that is written to is no longer shared. What imports and
    loading took and do not need any more goes back, too: 2 MB with scikit-learn.
    """
    gc.collect()
    gc.freeze()
    often, seldom, _ = gc.get_threshold()
    gc.set_threshold(often, seldom, MIDDLE_COLLECTIONS)
    give_back()


def collect_cycles() -> None:
    """The look at all that is not frozen, where Python would have had it by now; called at each tick of a worker.

    Code of a user's own may leave megabytes in each cycle. At a tick the rows that wait are looked at once, not in every request.
    """
    if gc.get_count()[2] >= USUAL_COLLECTIONS:
        gc.collect()


def give_back() -> None:
    """What is free goes back to the system; glibc keeps megabytes of it otherwise (malloc_trim(3)). Takes 0.2 to 1 ms."""
    if (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)) is not None:
        trim(0)


def _loaded(entry: Model, root: Path, code: Path, index: int, is_one_of_several: bool) -> ServedModel:
    if is_one_of_several:  # a process that is killed for its memory says nothing: the last line names the model
        log.event("info", "model_loading", model=entry.name)
    try:
        return OpenedModel(entry, root, code).served(entry, index)
    except LoadError as error:
        raise LoadFailed({"model": entry.name, "error": "LoadError", "message": str(error)}) from None
    except (Exception, SystemExit) as error:
        import traceback

        trace = "".join(traceback.format_exception(error))[-log.TRACE :]
        reason = ": ".join(filter(None, (type(error).__name__, str(error))))
        message = f"the model {entry.name} cannot be loaded: {reason}"
        raise LoadFailed({"model": entry.name, "error": type(error).__name__, "message": message, "trace": trace}) from None
