"""`python -m mlship.server.inspect`: loads a model in a locked-down process and tells what it is.

stdin: one JSON object {"root", "manifest": text of a manifest with one model, "sample": [...] | null, "whole_table": bool,
"memory", "cpu_s", "writable"}, or {"rows": {"path", "columns", "limit"}, ...} to read a table of examples, or {"compile": true,
"root", "manifest", "sample", "graph", "own", ...} for the model's compiled form, or {"quantize": true, ...} for its form in 8 bits,
or {"describe": rows, ...} for histograms of model.reference and of the model's answers to it (inspection/reference.py).
All of it in one line. A first line {"ahead": {"modules": [...], "runtime"}, "memory", "cpu_s", "writable"} says what the question,
the second line, will need: the process locks itself down and imports these. Without a second line it has nothing to answer.
"beside": a folder of packages that the environment lacks. "own": rows of the user's files to prove it on (compiling/given_rows.py).
stdout: one JSON object, an error as {"error": {"kind", "message", "fix"}}; what the model's code prints goes to stderr.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from mlship.server.inspection.failures import failure

OLDEST = (3, 11)


def main() -> int:
    """The whole program. Returns 0 when an answer was written, also when the answer is an error."""
    from mlship.server.life.collecting import collecting_seldom

    with collecting_seldom():  # as in the worker that will serve the model
        return _answered(_take_stdout())


def _answered(report: int) -> int:
    request = json.loads(sys.stdin.readline())
    took = None
    if "ahead" in request:
        took = _entered(request)
        imported_s = _imported(request["ahead"]["modules"], request["ahead"]["runtime"])
        line = sys.stdin.readline()
        if not line:
            return 0
        request = {**json.loads(line), "imported_s": imported_s}
    answer = _too_old() or _answer(request, took)
    with os.fdopen(report, "w", encoding="utf-8") as stream:
        json.dump(answer, stream)
    return 0


def _take_stdout() -> int:
    """Keeps stdout for the report and points it at stderr for everything else."""
    report = os.dup(1)
    os.dup2(2, 1)
    return report


def _too_old() -> dict[str, Any] | None:
    if sys.version_info[:2] >= OLDEST:
        return None
    version = ".".join(map(str, sys.version_info[:3]))
    return failure(
        "python", f"the environment's Python is {version}; mlship serves with 3.11 or newer", "train with Python 3.11 or newer"
    )


def _entered(request: dict[str, Any]) -> tuple[str, ...]:
    """Behind the walls, with as many threads as a worker has. What the process gave up."""
    from pathlib import Path

    from mlship.server.life.cores import THREADS, set_threads
    from mlship.server.lockdown import Limits, lock_down

    if request.get("compile") or request.get("quantize"):
        os.environ.update(dict.fromkeys(THREADS, "1"))  # what is measured here is what a worker has, whatever else a build sets
    set_threads(1, 1, os.environ)  # as in a worker, one a core; pools that a few rows do not need cost a tenth of the time
    limits = Limits(request["memory"], request["cpu_s"], request.get("file_size", Limits.file_size))
    return lock_down(limits, Path(request["writable"]))


def _imported(modules: Sequence[str], runtime: str) -> float:
    """Seconds that importing them took. What cannot be imported is met again, and told of, when the model loads."""
    from mlship.server.inspection import report  # noqa: F401 -- with all that it imports
    from mlship.server.late_stats import late_stats

    started = time.perf_counter()
    with late_stats(runtime):
        for module in modules:
            with suppress(Exception, SystemExit):
                importlib.import_module(module)
    importlib.invalidate_caches()  # the model's own code comes to its place only now
    return time.perf_counter() - started


def _answer(request: dict[str, Any], took: tuple[str, ...] | None) -> dict[str, Any]:
    """took: by a process that entered before."""
    from mlship.server.inspection.report import inspect_model, read_rows

    took = _entered(request) if took is None else took
    if request.get("beside"):
        sys.path.append(request["beside"])  # behind the environment's own
    if request.get("compile"):
        from mlship.server.compiling.report import compile_model

        return {**compile_model(request), "protections": took}
    if request.get("quantize"):
        from mlship.server.compiling.quantized import quantize_model

        return {**quantize_model(request), "protections": took}
    if request.get("describe"):
        from mlship.server.inspection.reference import described_reference

        return {**described_reference(request), "protections": took}
    answer = read_rows(request["rows"]) if "rows" in request else inspect_model(request)
    return {**answer, "protections": took}


if __name__ == "__main__":
    # the report is written, prints are not buffered: taking a model and its packages apart takes as long as loading them
    os._exit(main())
