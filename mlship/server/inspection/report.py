"""What the locked-down process does: load, learn the signature, answer the sample; every failure in words."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import resource
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from mlship.server import manifest
from mlship.server.inspection.failures import failure
from mlship.server.inspection.needless import needless
from mlship.server.inspection.pace import row_seconds
from mlship.server.opened_model import OpenedModel
from mlship.server.pickle_open import Refused
from mlship.server.problems import InputError, ModelFailed
from mlship.server.runtimes.base import LoadError

# import name -> what to install, where they differ
PACKAGES = {
    "sklearn": "scikit-learn",
    "cv2": "opencv-python-headless",
    "PIL": "pillow",
    "yaml": "pyyaml",
    "skimage": "scikit-image",
}


def inspect_model(request: dict[str, Any]) -> dict[str, Any]:
    """The report on one model. request: see mlship.server.inspect."""
    document = manifest.from_json(request["manifest"].encode())
    entry, root = document.model(), Path(request["root"])
    sample = request["sample"]
    started = time.perf_counter()
    opened = attempt(lambda: OpenedModel(entry, root, root / document.code), "load")
    if isinstance(opened, dict):
        return opened
    loaded = opened.loaded
    load_s = time.perf_counter() - started + request.get("imported_s", 0.0)
    peak = _peak_memory()
    found = attempt(lambda: loaded.signature(tuple(sample or ())), "inspect")
    if isinstance(found, dict):
        return found
    described = replace(entry, signature=found)
    answers: dict[str, Any] = _answers(opened, described, sample) if sample else {"answers": None}
    if "error" in answers:
        return answers
    looks_for_less = request.get("whole_table", False) and sample
    return {
        "signature": asdict(found),
        "title": loaded.title,
        "answers": answers["answers"],
        "row_s": answers.get("row_s"),
        "needless": needless(described, loaded, sample, answers["answers"]) if looks_for_less else (),
        "load_s": load_s,
        "peak_memory": peak,
        "versions": installed_versions(),
        "libraries": mapped_libraries(),
        "modules": imported_modules(root),
    }


def _answers(opened: OpenedModel, entry: manifest.Model, sample: list[Any]) -> dict[str, Any]:
    try:
        served = opened.served(entry)
        return {"answers": served.answer(sample), "row_s": row_seconds(served, sample)}
    except InputError as error:
        return failure("sample", f"the sample does not fit the model: {error.message}", "correct the rows in model.sample")
    except ModelFailed as error:
        return failure(
            "predict", f"the model fails on the sample: {error}", "correct the rows in model.sample, or the model's code"
        )
    except ImportError as error:
        return failed_import(error)


def attempt(step: Callable[[], Any], doing: str) -> Any:
    """What the step gives, or the failure as a dict. doing: `load` or `inspect`."""
    try:
        return step()
    except LoadError as error:
        return _not_loaded(error)
    except Refused as refused:
        return failure(refused.kind, refused.what, refused.fix)
    except ModuleNotFoundError as error:
        return failed_import(error)
    except (ImportError, AttributeError) as error:
        return failure("version", f"the environment does not fit the model: {type(error).__name__}: {error}", _VERSION_FIX)
    except MemoryError:
        return failure(
            "memory", "the model needs more memory than it may take here", "raise resources.memory, or use a larger machine"
        )
    except (Exception, SystemExit) as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(place.filename).name}:{place.lineno}"
        message = f"{type(error).__name__}: {error} ({where})"
        return failure("crash", f"the model fails to {doing}: {message}", _VERSION_FIX if doing == "load" else "")


_VERSION_FIX = "build with the versions that trained the model, or train and save it again with these"


def _not_loaded(error: LoadError) -> dict[str, Any]:
    refused = error.__cause__
    if isinstance(refused, Refused):
        return failure(refused.kind, refused.what, refused.fix)
    return failure("load", str(error))


def failed_import(error: ImportError) -> dict[str, Any]:
    """A missing module, with the package to install."""
    module = (error.name or str(error)).split(".")[0]
    package = PACKAGES.get(module, module)
    return failure(
        "missing-module",
        f"the model needs the module {error.name or module}, which its environment does not have",
        f"pip install {package} in the training environment; if {module} is your own code, write model.code: [{module}/]",
        module=module,
    )


def _peak_memory() -> int:
    """Bytes; Linux counts in KiB, macOS in bytes (getrusage(2))."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def installed_versions() -> dict[str, str]:
    """Versions of Python and of every distribution that was imported."""
    imported = {name.split(".")[0] for name in sys.modules}
    versions = {"python": platform.python_version()}
    for distribution in importlib.metadata.distributions():
        if not imported.isdisjoint(_top_level(distribution)):
            versions.setdefault(distribution.name.lower(), distribution.version)
    return versions


def _top_level(distribution: importlib.metadata.Distribution) -> set[str]:
    """What `import` finds of it: as it says, else as the files of its RECORD are called, whose lines begin with their paths."""
    said = (distribution.read_text("top_level.txt") or "").split()
    if said:
        return set(said)
    record = distribution.read_text("RECORD")
    if record is None:
        return {file.parts[0].removesuffix(".py") for file in distribution.files or () if file.suffix == ".py"}
    paths = (line.partition(",")[0].strip('"').partition("/") for line in record.splitlines() if ".py," in line)
    return {first.removesuffix(".py") for first, _, _ in paths}


def imported_modules(root: Path) -> list[str]:
    """Names of the modules that were read from files outside the model's own folder, in the order of their imports."""
    own = f"{root}{os.sep}"
    specs = ((name, getattr(module, "__spec__", None)) for name, module in tuple(sys.modules.items()))
    named = ((name, spec) for name, spec in specs if spec is not None and spec.name == name and spec.has_location)
    return [name for name, spec in named if spec.origin and not spec.origin.startswith(own)]


def mapped_libraries() -> list[str]:
    """Paths of the shared libraries that this process has loaded (proc(5), maps); none where the system does not tell."""
    try:
        lines = Path("/proc/self/maps").read_text().splitlines()
    except OSError:
        return []
    mapped = {fields[5] for line in lines if len(fields := line.split(None, 5)) == 6}
    return sorted(path for path in mapped if path.startswith("/") and ".so" in Path(path).name)


def read_rows(request: dict[str, Any]) -> dict[str, Any]:
    """Up to `limit` rows of a parquet file as JSON values, spread over the file; only `columns` where they are given."""
    try:
        import pandas

        columns = request["columns"] or None
        frame = pandas.read_parquet(request["path"], columns=columns)
    except ImportError as error:
        return failure(
            "missing-module", f"parquet needs pandas and pyarrow in the training environment ({error})", "pip install pyarrow"
        )
    except (ValueError, OSError, KeyError) as error:
        return failure("table", f"the table cannot be read: {error}", "write it as CSV")
    step = max(1, len(frame) // request["limit"])
    chosen = frame.iloc[::step].head(request["limit"])
    rows = json.loads(chosen.to_json(orient="values", date_format="iso", double_precision=15))
    return {"columns": [str(name) for name in chosen.columns], "rows": rows}
