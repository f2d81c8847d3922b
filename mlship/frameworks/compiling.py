"""Has a model compiled by the locked-down child of the environment that trained it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from mlship.disk import scratch_folder, write_atomic
from mlship.frameworks.child import ChildPython, ask
from mlship.frameworks.engine_choice import GRAPH, Tried
from mlship.runner import Runner
from mlship.server import manifest

FILE = "model.compiled"  # as the child calls it
LARGEST = 2 * 2**30  # bytes of a compiled file
LONGEST = 500  # characters of a reason


def compile_in_child(
    runner: Runner,
    python: ChildPython,
    entry: manifest.Model,
    root: Path,
    sample: Sequence[Any],
    into: Path,
    *,
    timeout_s: float,
    beside: Path | None = None,
    own: Sequence[Mapping[str, Any]] = (),
) -> Tried:
    """What came of it. root: the folder that `entry.path` is relative to. into: the folder that gets the file, see `kept_at`.

    beside: packages for an ONNX graph that the environment lacks; a graph is what is asked for then, else what numpy computes.

    own: rows of the user's files, for the proof. Raises MlshipError (exit 5) where the model does not even load, and with the code
    `rows-reference` or `rows-holdout` where such a file does not fit.
    """
    document = manifest.to_json(manifest.Manifest(project="compile", models=(entry,))).decode()
    asked = {"compile": True, "root": str(root.absolute()), "manifest": document, "sample": list(sample), "own": list(own)}
    if beside is not None:
        asked |= {"graph": True, "beside": str(beside.absolute())}
    with scratch_folder() as folder:
        answer = ask(runner, python, asked, where=entry.path, timeout_s=timeout_s, writable=folder)
        tried = _tried(answer)
        return tried if tried.reason else _kept(tried, folder / FILE, into)


def kept_at(into: Path, engine: str, sha256: str) -> Path:
    """Where a compiled model lies: under its digest, and as what it is."""
    return into / f"{sha256}.{'onnx' if engine == GRAPH else 'plan'}"


def _tried(answer: Mapping[str, Any]) -> Tried:
    """What a process says that ran the model's code: any value may be any other."""
    try:
        return Tried(
            engine=_words(answer["engine"]),
            sha256=_words(answer["sha256"]),
            rows=int(answer["rows"]),
            refused=int(answer["refused"]),
            difference=float(answer["difference"]),
            seconds={str(int(rows)): (float(pair[0]), float(pair[1])) for rows, pair in answer["seconds"].items()},
            reason=_words(answer["reason"]),
            gains=bool(answer["gains"]),
            kinds={_words(kind): int(count) for kind, count in answer["kinds"].items()},
        )
    except (KeyError, TypeError, ValueError, AttributeError, IndexError):
        return Tried(reason="compiling it gave no answer that can be read")


def _words(said: Any) -> str:
    """One line that a terminal can show."""
    return "".join(letter if letter.isprintable() else " " for letter in str(said))[:LONGEST]


def _kept(tried: Tried, file: Path, into: Path) -> Tried:
    """The child ran the model's code, which may have written anything: what lies there is bytes, named by their own digest."""
    if file.is_symlink() or not file.is_file() or file.stat().st_size > LARGEST:
        return replace(tried, engine="", reason="its compiled file is none, or too large")
    content = file.read_bytes()
    digest = sha256(content).hexdigest()
    into.mkdir(parents=True, exist_ok=True)
    write_atomic(kept_at(into, tried.engine, digest), content)
    return replace(tried, sha256=digest)
