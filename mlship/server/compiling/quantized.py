"""An ONNX graph with its matrices in 8 bits: made, measured on labelled rows, and what it costs; in the locked-down child of a build.

Static quantization, QDQ: weights QInt8 by channel, activations QUInt8 with ranges from calibration rows. Dynamic quantization has no
kernel for a Conv with signed weights on the CPU (issue 15888 of microsoft/onnxruntime), and it takes a range from all rows of a call: a
row would be answered otherwise together than alone. Weights have 7 bits (reduce_range): with 8, processors without VNNI overflow, and
the same image would answer otherwise there (docstring of quantize_static, onnxruntime 1.32.0).
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mlship.server import manifest
from mlship.server.compiling.given_rows import Given, Unreadable
from mlship.server.compiling.proof_rows import own_given
from mlship.server.compiling.quality import Judge, Unjudged, judge_of
from mlship.server.compiling.timing import SIZES, call_seconds
from mlship.server.core import ServedModel
from mlship.server.hooks import hooks_from
from mlship.server.input.container import container_for
from mlship.server.inspection.failures import failure
from mlship.server.inspection.report import attempt
from mlship.server.problems import InputError, ModelFailed
from mlship.server.runtimes import runtime_for
from mlship.server.runtimes.onnx import OnnxModel
from mlship.server.runtimes.onnx_session import FATAL, NO_TELEMETRY, said

FILE = "model.onnx"
CALIBRATED = 400  # rows that tell the ranges
CALIBRATED_OF_HOLDOUT = 4  # without reference, every fourth row of holdout does, and the others measure
JUDGING_S = 60.0  # of either graph
FEWEST = 200  # rows
TOGETHER = 256  # rows in one call while measuring, 32 while calibrating
MATRICES = frozenset(("Conv", "ConvTranspose", "MatMul", "Gemm"))
# What is computed in 8 bits: matrices and what lies between them. Softmax and other last steps stay as they are.
OPERATORS = (
    *sorted(MATRICES), "Relu", "Clip", "MaxPool", "AveragePool", "GlobalAveragePool", "Add", "Concat", "Flatten", "Reshape",
    "Transpose", "Squeeze", "Unsqueeze",
)  # fmt: skip


def quantize_model(request: dict[str, Any]) -> dict[str, Any]:
    """request: see mlship.server.inspect. Writes FILE into the folder `writable`.

    Answers {"sha256", "sizes": [before, after], "measure", "before", "after", "rows", "step", "seconds": {rows: [before, after]}},
    or {"reason"} where the graph has no form in 8 bits. step: the largest change of a number that two steps of 8 bits make.
    """
    document = manifest.from_json(request["manifest"].encode())
    entry, root = document.model(), Path(request["root"])
    answer: dict[str, Any] = attempt(lambda: _quantized(entry, root, root / document.code, request), "load")
    return answer


def _quantized(entry: manifest.Model, root: Path, code: Path, request: Mapping[str, Any]) -> dict[str, Any]:
    os.environ[NO_TELEMETRY] = "1"
    try:
        import onnx
        import onnxruntime.quantization  # needs onnx, which onnxruntime itself does not
    except ImportError as error:
        what = f"model.quantize needs the packages onnx and onnxruntime in the training environment ({error})"
        return failure("missing-module", what, "pip install onnx onnxruntime", module=(error.name or "onnx").partition(".")[0])
    bare = replace(entry, outputs={}, passthrough=(), hooks="")
    loaded: Any = runtime_for(entry.framework).load(bare, root)
    source = root / entry.path
    file = next(iter(sorted(source.glob("*.onnx")))) if source.is_dir() else source
    graph = onnx.load(file)
    if reason := _unfit({node.op_type for node in graph.graph.node}):
        return {"reason": reason}
    hooks = hooks_from(entry, code) if entry.hooks else None
    sample = list(request["sample"] or ())
    found = loaded.signature(tuple(hooks.before(sample) if hooks else sample))
    original = ServedModel(replace(bare, signature=found), loaded)
    own = {each["kind"]: own_given(each, found, hooks) for each in request["own"]}
    told = next(each for each in request["own"] if each["kind"] == "holdout")
    ranges, judged = _parted(own)
    target = Path(request["writable"]) / FILE
    try:
        batches = _batches(original, ranges, loaded)
    except InputError as error:
        raise Unreadable(f"the model refuses rows that int8's ranges are taken from: {error.message}", told) from None
    try:
        _quantize(onnx, graph, target, batches)
    except MemoryError:
        raise
    except Exception as error:  # onnx and onnxruntime have many ways to say that a graph is beyond them
        return {"reason": f"onnxruntime {onnxruntime.__version__} does not: {type(error).__name__}: {said(error)[:200]}"}
    again = replace(original.entry, path=FILE, format="onnx")
    other = ServedModel(again, runtime_for(entry.framework).load(again, target.parent))
    return {
        "sha256": hashlib.sha256(target.read_bytes()).hexdigest(),
        "sizes": [sum(each.stat().st_size for each in _files(source)), target.stat().st_size],
        **_judged(original, other, judged, told),
        "seconds": {str(size): call_seconds((original, other), judged.rows[:64], size) for size in SIZES},
    }


def _unfit(operators: set[str]) -> str:
    """Why the graph has no form in 8 bits; `` where it has one."""
    if any(operator.startswith("TreeEnsemble") for operator in operators):
        return "its graph is of trees, which compare numbers with what they split at: 8 bits would move the splits"
    if "QuantizeLinear" in operators or "DequantizeLinear" in operators:
        return "its graph is quantized already"
    if not operators & MATRICES:
        return f"nothing in its graph multiplies matrices ({', '.join(sorted(operators)[:6])}): int8 is for neural networks"
    return ""


def _files(path: Path) -> Iterator[Path]:
    return (each for each in path.rglob("*") if each.is_file()) if path.is_dir() else iter((path,))


def _parted(own: Mapping[str, Given]) -> tuple[list[Any], Given]:
    """Rows for the ranges, and labelled ones that have no part in them."""
    holdout = own["holdout"]
    if "reference" in own:
        rows = own["reference"].rows
        return rows[:: -(-len(rows) // CALIBRATED)], holdout
    places = [place for place in range(len(holdout.rows)) if place % CALIBRATED_OF_HOLDOUT]
    kept = Given(
        [holdout.rows[at] for at in places], [holdout.labels[at] for at in places], [holdout.numbers[at] for at in places]
    )
    rows = holdout.rows[::CALIBRATED_OF_HOLDOUT]
    return rows[:: -(-len(rows) // CALIBRATED)], kept if places else holdout


def _batches(model: ServedModel, rows: Sequence[Any], loaded: OnnxModel) -> list[Mapping[str, Any]]:
    """Input name -> tensor, for each batch. Raises InputError."""
    size = 1 if loaded.is_one_by_one else 32
    container = container_for(model.entry.signature)
    parts = (rows[start : start + size] for start in range(0, len(rows), size))
    return [loaded.fed(container.build([model.prepare(list(part)).table])) for part in parts]


class Batches:
    """What onnxruntime's calibration reads: a CalibrationDataReader, which is told by its `get_next` (onnxruntime 1.32)."""

    def __init__(self, batches: Sequence[Mapping[str, Any]]) -> None:
        self._left = iter(batches)

    def get_next(self) -> Mapping[str, Any] | None:
        return next(self._left, None)


def _quantize(onnx: Any, graph: Any, target: Path, batches: Sequence[Mapping[str, Any]]) -> None:
    from onnxruntime.quantization import QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    prepared = target.with_name("prepared.onnx")
    producer = graph.producer_name, graph.producer_version
    quant_pre_process(graph, prepared, skip_symbolic_shape=True)
    onnx.save(_typed(onnx, onnx.load(prepared), batches[0]), prepared)
    quantize_static(
        prepared,
        target,
        Batches(batches),
        op_types_to_quantize=list(OPERATORS),
        per_channel=True,
        reduce_range=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )
    made = onnx.load(target)
    made.producer_name, made.producer_version = producer
    onnx.save(made, target)


def _typed(onnx: Any, model: Any, batch: Mapping[str, Any]) -> Any:
    """With types and ranks as they show in a run: onnx infers none behind operators of ai.onnx.ml, and what has none is not quantized."""
    import onnxruntime

    known = {value.name for each in (model.graph.input, model.graph.output) for value in each}
    names = [name for node in model.graph.node for name in node.output if name and name not in known]
    asked = onnx.ModelProto()
    asked.CopyFrom(model)
    asked.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = FATAL
    session = onnxruntime.InferenceSession(asked.SerializeToString(), options, providers=["CPUExecutionProvider"])
    types = {value.name: value.type for value in session.get_outputs()}
    numbers = [name for name in names if types[name] == "tensor(float)"]
    del model.graph.value_info[:]
    for name, array in zip(numbers, session.run(numbers, dict(batch)), strict=True):
        value = onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [None] * array.ndim)
        model.graph.value_info.append(value)
    return model


def _judged(original: ServedModel, other: ServedModel, holdout: Given, told: Mapping[str, Any]) -> dict[str, Any]:
    """Raises Unreadable where the rows or their labels do not fit the model."""
    try:
        holdout = _affordable(original, holdout)
        answers = _answers(original, holdout.rows)
        judge = judge_of(answers, holdout.labels, _classes(original))
        before = judge.value(answers)
        if before <= judge.guessing:
            what = f"the model is no better there than guessing ({judge.measure} {before:.4f})"
            raise Unjudged(f"{what}; is {told['label']}, such as {holdout.labels[0]!s:.40}, what it predicts?")
    except InputError as error:
        raise Unreadable(f"{told['name']}: the model refuses its rows: {error.message}", told) from None
    except Unjudged as unjudged:
        raise Unreadable(f"{told['name']}: {unjudged}", told) from None
    then = _answers(other, holdout.rows)
    return {
        "measure": judge.measure,
        "before": before,
        "after": _after(judge, then),
        "rows": len(answers),
        "step": _step(original, holdout.rows),
    }


def _affordable(model: ServedModel, holdout: Given) -> Given:
    """So many rows, evenly spaced, as a slow model answers while somebody waits. Raises InputError."""
    began = time.perf_counter()
    model.answer(holdout.rows[:TOGETHER])
    each_s = (time.perf_counter() - began) / len(holdout.rows[:TOGETHER])
    every = -(-len(holdout.rows) // max(FEWEST, int(JUDGING_S / each_s)))
    return Given(holdout.rows[::every], holdout.labels[::every], holdout.numbers[::every])


def _after(judge: Judge, answers: Sequence[Any]) -> float:
    """A model that gives no numbers any more has lost everything."""
    try:
        return judge.value(answers)
    except Unjudged:
        return 0.0


def _classes(model: ServedModel) -> Sequence[Any] | None:
    return next((output.classes for output in model.entry.signature.outputs if output.name == "predictions"), None)


def _answers(model: ServedModel, rows: Sequence[Any]) -> list[Any]:
    found: list[Any] = []
    for start in range(0, len(rows), TOGETHER):
        found += model.answer(list(rows[start : start + TOGETHER]))["predictions"]
    return found


def _step(model: ServedModel, rows: Sequence[Any]) -> float:
    """Two of the 255 steps that 8 bits make of the widest range of numbers in the answers."""
    try:
        answer = model.answer(list(rows[:TOGETHER]))
    except (InputError, ModelFailed):
        return 0.0
    widest = 0.0
    for values in answer.values():
        numbers = list(_floats(values))
        widest = max(widest, max(numbers) - min(numbers) if numbers else 0.0)
    return 2 * widest / 255


def _floats(value: Any) -> Iterator[float]:
    if isinstance(value, list):
        for each in value:
            yield from _floats(each)
    elif isinstance(value, float):
        yield value
