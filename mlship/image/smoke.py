"""Importing modules with the image's own interpreter: which cannot be, and which shared libraries that tries to load."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mlship.errors import Exit, MlshipError
from mlship.image.system.needs import Installed, missing_to
from mlship.image.workplace import Workplace
from mlship.oci import rootfs

# The image's loader, run outside a container, also looks into this machine's own folders. So the hook refuses what the image
# has not: the import then goes as it will in a container. The events come before the loader is asked (documentation of
# `import` and ctypes.CDLL); a hook that raises stops what it was told of.
_IMPORT = """
import importlib, json, os, sys
job = json.load(sys.stdin)
folder, names, now, tried, failed = job["folder"] + "/", set(job["names"]), "", {}, {}
sys.path.insert(0, job["folder"])
def audit(event, given):
    name = given[1] if event == "import" else given[0] if event == "ctypes.dlopen" else None
    name = os.fsdecode(name) if isinstance(name, bytes) else name
    if not now or not isinstance(name, str):
        return
    path = os.path.realpath(name) if "/" in name else name
    path = path[len(folder):] if path.startswith(folder) else path
    tried[now].append(path)
    lacks = job["broken"].get(path) or ("/" not in path and ".so" in path and path not in names and path)
    if lacks:
        kind = ImportError if event == "import" else OSError
        raise kind(lacks + ": cannot open shared object file: No such file or directory")
sys.addaudithook(audit)
for module in job["modules"]:
    now = module
    tried[module] = []
    try:
        importlib.import_module(module)
    except BaseException as error:
        failed[module] = type(error).__name__ + ": " + str(error)
now = ""
sys.stdout.flush()
os.write(2, ("\\n" + json.dumps([tried, failed])).encode())
os._exit(0)
"""
_TIMEOUT_S = 600


@dataclass(frozen=True)
class Smoke:
    """By module: tried, the shared libraries that importing it asked for (relative to the folder, or as named); failed, the
    reason of those that could not be imported."""

    tried: Mapping[str, tuple[str, ...]]
    failed: Mapping[str, str]


def smoke(workplace: Workplace, root: Path, python: str, tree: Installed, modules: Sequence[str]) -> Smoke:
    """root: the files of a base that this machine can run; python: its interpreter there. tree: the installed packages.

    Raises MlshipError with exit 5 when an import ends the interpreter itself.
    """
    command = rootfs.command(root, (python, "-s", "-P", "-c", _IMPORT), rootfs.IMPORTING)
    job = {
        "folder": str(tree.folder.resolve()),
        "names": sorted({*tree.base_names, *(known.soname for known in tree.files.values())}),
        "broken": {file: lacks[0].library for file in tree.files if (lacks := missing_to(tree, (file,)))},
        "modules": list(modules),
    }
    told = workplace.runner.run(replace(command, stdin=json.dumps(job).encode(), timeout_s=_TIMEOUT_S))
    if not told.ok:
        raise MlshipError(
            f"importing {', '.join(modules)} ends the image's interpreter (exit {told.code})",
            exit=Exit.BUILD_FAILED,
            code="import-crashed",
            details=told.last_lines(),
        )
    said: list[dict[str, Any]] = json.loads(told.stderr.rstrip().rpartition(b"\n")[2])
    return Smoke({module: tuple(names) for module, names in said[0].items()}, said[1])
