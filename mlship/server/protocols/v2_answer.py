"""A model's answer as tensors of the Open Inference Protocol, in JSON or as binary data behind it."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import orjson

from mlship.server.manifest import Output
from mlship.server.messages import Response
from mlship.server.problems import InputError, near, shown
from mlship.server.protocols.v2_request import Inference

BINARY = "application/octet-stream"
OF_DTYPE = {
    "bool": "BOOL", "float16": "FP16", "float32": "FP32", "float64": "FP64",
    **{f"{sign}int{bits}": f"{sign.upper()}INT{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)},
}  # fmt: skip
PACKED = {"BOOL": "?", "INT64": "q", "FP16": "e", "FP32": "f", "FP64": "d"}
WIDE = {"INT8", "INT16", "INT32", "UINT8", "UINT16", "UINT32"}
NONE = type(None)
LISTS = {list}
NUMBERS = {int, float, NONE}
INT64 = (-(2**63), 2**63 - 1)


@dataclass(slots=True)  # not frozen: that makes it three times as dear, for each answer
class Answered:
    """One output. values: in row-major order, JSON's types."""

    name: str
    datatype: str
    shape: list[int]
    values: list[Any]


def response(asked: Inference, start: dict[str, Any], dtypes: dict[str, str], outcome: dict[str, Any]) -> Response:
    """The answer to a request. start: what every answer of the model begins with. dtypes: of the outputs, as the manifest says.

    outcome: output name -> one entry a row. Raises InputError for an output that there is not.
    """
    outputs: list[dict[str, Any]] = []
    data: list[bytes] = []
    wanted = asked.outputs or dict.fromkeys(outcome, asked.binary)
    for name, is_binary in wanted.items():
        if name not in outcome:
            raise InputError(400, message=_no_output(name, list(outcome)))
        made = tensor(name, outcome[name], dtypes.get(name, "any"))
        told: dict[str, Any] = {"name": name, "datatype": made.datatype, "shape": made.shape}
        if is_binary:
            raw = packed(made)
            data.append(raw)
            told["parameters"] = {"binary_data_size": len(raw)}
        else:
            told["data"] = made.values
        outputs.append(told)
    document = {**start, "id": asked.id, "outputs": outputs} if asked.id else {**start, "outputs": outputs}
    head = orjson.dumps(document)
    if not data:
        return Response(200, head)
    return Response(200, b"".join((head, *data)), BINARY, (("Inference-Header-Content-Length", str(len(head))),))


def tensor(name: str, entries: list[Any], dtype: str) -> Answered:
    """entries: one a row, numbers or lists of them, all of one shape. What makes no tensor becomes BYTES of JSON, one a row.

    dtype: the output's, as the manifest says.
    """
    shape, values = [len(entries)], entries
    while values and type(values[0]) is list:
        if set(map(type, values)) != LISTS or len(set(map(len, values))) != 1:
            return _as_json(name, entries)
        shape.append(len(values[0]))
        values = list(chain.from_iterable(values))
    datatype = _datatype(values, dtype)
    return Answered(name, datatype, shape, values) if datatype else _as_json(name, entries)


def packed(answered: Answered) -> bytes:
    """Little-endian, row-major; undefined numbers are NaN, strings have their length in four bytes before them."""
    values: Sequence[Any] = answered.values
    if answered.datatype == "BYTES":
        return b"".join(len(raw).to_bytes(4, "little") + raw for raw in (value.encode() for value in values))
    if answered.datatype in ("FP16", "FP32", "FP64") and None in values:
        values = [float("nan") if value is None else value for value in values]
    return struct.pack(f"<{len(values)}{PACKED[answered.datatype]}", *values)


def announced(output: Output) -> dict[str, Any]:
    """The output in the model's metadata."""
    return {"name": output.name, "datatype": _declared(output.dtype), "shape": [-1, *output.shape]}


def _datatype(values: list[Any], dtype: str) -> str:
    """The datatype of the values, which are what counts; what the manifest says decides between sizes of floats. Empty: none."""
    kinds = set(map(type, values))
    if not kinds:
        return _declared(dtype)
    is_float = dtype.startswith("float")
    if kinds <= NUMBERS and (float in kinds or NONE in kinds or is_float):
        return _declared(dtype) if is_float else "FP64"
    if len(kinds) > 1:
        return ""
    if int in kinds:
        return "INT64" if INT64[0] <= min(values) and max(values) <= INT64[1] else ""
    return "BOOL" if bool in kinds else "BYTES" if str in kinds else ""


def _declared(dtype: str) -> str:
    known = OF_DTYPE.get(dtype, "BYTES")
    return "INT64" if known in WIDE or known == "UINT64" else known


def _as_json(name: str, entries: list[Any]) -> Answered:
    return Answered(name, "BYTES", [len(entries)], [orjson.dumps(entry).decode() for entry in entries])


def _no_output(name: str, known: list[str]) -> str:
    return f'there is no output "{shown(name)}"{near(name, known)}; the model gives {", ".join(known)}'
