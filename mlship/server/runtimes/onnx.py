"""ONNX graphs: a .onnx file, or a folder of one with its weights beside it; and what a build compiled to one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mlship.server import manifest
from mlship.server.runtimes.base import LoadedModel, LoadError
from mlship.server.runtimes.graph_inputs import Input, Layout, feeds, layout
from mlship.server.runtimes.observed import columns, observed_outputs, with_range
from mlship.server.runtimes.onnx_compiled import ENGINE, compiled_graph
from mlship.server.runtimes.onnx_session import said, session

# NodeArg.type of onnxruntime -> numpy's words
ELEMENTS = {
    "tensor(float)": "float32", "tensor(double)": "float64", "tensor(float16)": "float16", "tensor(bool)": "bool",
    "tensor(string)": "string",
    **{f"tensor({sign}int{bits})": f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)},
}  # fmt: skip
# What skl2onnx and onnxmltools call the two outputs of a classifier, with and without ZipMap.
LABELS = ("output_label", "label")
PROBABILITIES = ("output_probability", "probabilities")


class OnnxRuntime:
    """Runs graphs on the CPU."""

    # with one thread a session starts none; with more, what was started while loading is seen, and each worker loads alone
    fork_safe = True

    def load(self, model: manifest.Model, root: Path) -> LoadedModel:
        """Raises LoadError, ImportError."""
        if model.engine.name == ENGINE:
            return compiled_graph(root / model.path)
        if model.method:
            raise LoadError(
                f"serve.method is {model.method}, and a graph has no methods; delete it, or name outputs in serve.outputs"
            )
        place = root / model.path
        found = sorted(place.glob("*.onnx")) if place.is_dir() else [place]
        if len(found) != 1:
            raise LoadError(f"{place.name} holds {len(found)} .onnx files; keep one")
        return OnnxModel(session(found[0]), has_named_parts=bool(model.outputs))


@dataclass(frozen=True)
class _Output:
    """graph: its name in the graph. names: those in the answer. is_zipped: one dict a row, class -> number."""

    graph: str
    names: tuple[str, ...]
    dtype: str
    shape: tuple[int, ...]
    is_zipped: bool


class OnnxModel:
    """A session behind the interface of the core."""

    def __init__(self, session: Any, has_named_parts: bool = False) -> None:
        """has_named_parts: serve.outputs takes parts of the answer, which may be meant by the names that the graph gives them.

        Raises LoadError for a graph whose first axes do not count rows.
        """
        self._session = session
        self._inputs = [Input(given.name, ELEMENTS.get(given.type, ""), _sizes(given.shape)) for given in session.get_inputs()]
        self._layout: Layout = layout(self._inputs)
        self._outputs = named_outputs(session.get_outputs(), has_named_parts)
        self._asked = [output.graph for output in self._outputs]
        self.is_one_by_one = any(given.shape and given.shape[0] == 1 for given in self._inputs)
        self._refused = _refusal_of(session)

    @property
    def title(self) -> str:
        """Who wrote the graph."""
        producer = self._session.get_modelmeta().producer_name
        return f"graph of {producer}" if producer else "graph"

    def fed(self, rows: Any) -> dict[str, Any]:
        """Input name -> tensor of all rows. rows: as for predict."""
        return feeds(self._layout, rows)

    def predict(self, rows: Any) -> Mapping[str, Any]:
        """rows: an array (rows, features), or one array a feature. Each output under its own name, the first as `predictions`, a
        classifier's as `predictions` and `probabilities` (rows, classes). Raises ValueError for rows that the graph refuses.
        """
        fed = self.fed(rows)
        count = len(next(iter(fed.values())))
        if not self.is_one_by_one or count == 1:
            return self._answered([self._run(fed)])
        return self._answered([self._run({name: each[row : row + 1] for name, each in fed.items()}) for row in range(count)])

    def signature(self, sample: tuple[Any, ...]) -> manifest.Signature:
        """As the graph says; names of features of one tensor, and ranges, as the sample shows them."""
        known = self._layout.signature(sample)
        seen = columns(sample)
        inputs = tuple(feature if feature.shape else _marked(feature, seen.get(feature.name, ())) for feature in known.inputs)
        found = replace(known, inputs=inputs)
        classes = self._classes(found, sample)
        shown = {output.name: output for output in observed_outputs(self, found, sample, classes)} if sample else {}
        return replace(found, outputs=tuple(self._described(shown, classes)))

    def _run(self, fed: Mapping[str, Any]) -> list[Any]:
        try:
            given: list[Any] = self._session.run(self._asked, fed)
        except self._refused as error:
            raise ValueError(said(error)) from error
        return given

    def _answered(self, runs: Sequence[list[Any]]) -> dict[str, Any]:
        import numpy

        answer: dict[str, Any] = {}
        for place, output in enumerate(self._outputs):
            parts = [_unzipped(numpy, run[place]) if output.is_zipped else run[place] for run in runs]
            values = parts[0] if len(parts) == 1 else numpy.concatenate(parts)
            answer.update(dict.fromkeys(output.names, values))
        return answer

    def _classes(self, found: manifest.Signature, sample: tuple[Any, ...]) -> tuple[Any, ...] | None:
        """The keys of a ZipMap; only an answer shows them."""
        zipped = next((output for output in self._outputs if output.is_zipped), None)
        rows = self._layout.blank()
        if zipped is None or rows is None:
            return None
        (row,) = self._session.run([zipped.graph], feeds(self._layout, rows))[0]
        return tuple(row)

    def _described(self, shown: Mapping[str, manifest.Output], classes: tuple[Any, ...] | None) -> list[manifest.Output]:
        found = []
        for output in self._outputs:
            for name in output.names:
                seen = shown.get(name, manifest.Output(name, shape=output.shape))
                labels = classes if name in ("predictions", "probabilities") else None
                shape = (len(classes),) if output.is_zipped and classes else seen.shape or output.shape
                found.append(manifest.Output(name, output.dtype, shape, labels))
        return found


def named_outputs(given: Sequence[Any], also_own: bool = False) -> tuple[_Output, ...]:
    """given: what onnxruntime says of a graph's outputs. also_own: under their own names, too, where they have others.

    Raises LoadError for what has no form in JSON.
    """
    names = [output.name for output in given]
    label = next((name for name in names if name in LABELS), "")
    told = {label: "predictions"} if label else {}
    if label:
        told.update({name: "probabilities" for name in names if name in PROBABILITIES})
    if "predictions" not in names and not label:
        told[names[0]] = "predictions"
    return tuple(_output(output, told.get(output.name, output.name), also_own) for output in given)


def _output(given: Any, name: str, also_own: bool) -> _Output:
    is_zipped = given.type.startswith("seq(map(")
    if not is_zipped and given.type not in ELEMENTS:
        raise LoadError(
            f"the output {given.name} is {given.type}, which has no form in JSON; export the model with tensors alone"
        )
    names = (name, given.name) if also_own and name != given.name else (name,)
    dtype = "float32" if is_zipped else ELEMENTS[given.type]
    return _Output(given.name, names, dtype, () if is_zipped else _sizes(given.shape)[1:], is_zipped)


def _unzipped(numpy: Any, rows: Sequence[Mapping[Any, float]]) -> Any:
    return numpy.array([list(row.values()) for row in rows], dtype="float32")


def _sizes(shape: Sequence[Any] | None) -> tuple[int, ...]:
    return tuple(size if isinstance(size, int) and size > 0 else -1 for size in shape or ())


def _marked(feature: manifest.Feature, values: Sequence[Any]) -> manifest.Feature:
    """A hole in the sample says that holes are taken, where the dtype has room for one."""
    takes_null = None in values and feature.dtype.startswith("float")
    return with_range(replace(feature, nullable=takes_null), values)


def _refusal_of(session: Any) -> type[Exception]:
    """What onnxruntime raises for values that a graph does not take, such as an index beyond a table."""
    import onnxruntime.capi.onnxruntime_pybind11_state as state

    refusal: type[Exception] = state.InvalidArgument
    return refusal
