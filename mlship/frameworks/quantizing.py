"""Has an ONNX graph quantized by the locked-down child of the environment that trained it (server/compiling/quantized.py)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from mlship.disk import scratch_folder, write_atomic
from mlship.errors import Exit, MlshipError
from mlship.frameworks.child import ChildPython, ask
from mlship.runner import Runner
from mlship.server import manifest

FILE = "model.onnx"  # as the child calls it, and the image
LARGEST = 2 * 2**30  # bytes of a graph in one file
LONGEST = 500  # characters of a reason


@dataclass(frozen=True)
class Quantized:
    """What came of it. sha256: of the quantized file. sizes: bytes before and after. measure, before, after, rows: as in Cost.

    step: how far a number of the answer moves when the last 8 bits move by two. seconds: as in Tried. reason: why there is no such
    form.
    """

    sha256: str = ""
    sizes: tuple[int, int] = (0, 0)
    measure: str = ""
    before: float = 0.0
    after: float = 0.0
    rows: int = 0
    step: float = 0.0
    seconds: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    reason: str = ""


def quantize_in_child(
    runner: Runner,
    python: ChildPython,
    entry: manifest.Model,
    root: Path,
    sample: Sequence[Any],
    own: Sequence[Mapping[str, Any]],
    into: Path,
    *,
    timeout_s: float,
    beside: Path | None = None,
) -> Quantized:
    """root: the folder that `entry.path` is relative to. own: rows of the user's files. into: the folder that gets `<sha256>.onnx`.

    beside: packages that the environment lacks. Raises MlshipError (exit 5) where the model does not load, where a package is missing,
    and with the code `rows-reference` or `rows-holdout` where a file of rows does not fit.
    """
    document = manifest.to_json(manifest.Manifest(project="quantize", models=(entry,))).decode()
    asked: dict[str, Any] = {
        "quantize": True,
        "root": str(root.absolute()),
        "manifest": document,
        "sample": list(sample),
        "own": list(own),
        "file_size": LARGEST,
    }
    if beside is not None:
        asked["beside"] = str(beside.absolute())
    with scratch_folder() as folder:
        answer = ask(runner, python, asked, where=entry.path, timeout_s=timeout_s, writable=folder)
        if answer.get("reason"):
            return Quantized(reason=_words(answer["reason"]))
        return _found(answer, _kept(folder / FILE, into))


def quantized_at(into: Path, digest: str) -> Path:
    """Where a quantized graph lies."""
    return into / f"{digest}.onnx"


def _found(answer: Mapping[str, Any], digest: str) -> Quantized:
    """The process ran the model's code: any value may be any other. Raises MlshipError."""
    try:
        found = Quantized(
            sha256=digest,
            sizes=(int(answer["sizes"][0]), int(answer["sizes"][1])),
            measure=_words(answer["measure"]),
            before=float(answer["before"]),
            after=float(answer["after"]),
            rows=int(answer["rows"]),
            step=float(answer["step"]),
            seconds={str(int(rows)): (float(pair[0]), float(pair[1])) for rows, pair in answer["seconds"].items()},
        )
    except (KeyError, TypeError, ValueError, AttributeError, IndexError):
        raise _nothing() from None
    if not all(map(math.isfinite, (found.before, found.after, found.step))):
        raise _nothing()
    return found


def _kept(file: Path, into: Path) -> str:
    """What lies there is bytes, named by their own digest. Raises MlshipError."""
    if file.is_symlink() or not file.is_file() or file.stat().st_size > LARGEST:
        raise _nothing()
    content = file.read_bytes()
    digest = sha256(content).hexdigest()
    into.mkdir(parents=True, exist_ok=True)
    write_atomic(quantized_at(into, digest), content)
    return digest


def _nothing() -> MlshipError:
    return MlshipError("quantizing it gave nothing that can be read", exit=Exit.BUILD_FAILED, code="quantize")


def _words(said: Any) -> str:
    """One line that a terminal can show."""
    return "".join(letter if letter.isprintable() else " " for letter in str(said))[:LONGEST]
