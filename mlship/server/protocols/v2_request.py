"""A body of the Open Inference Protocol to tensors: JSON, or JSON with binary data behind it.

Sources: the protocol's REST specification (kserve/open-inference-protocol, inference_rest.md) and the binary tensor data extension
(triton-inference-server/server, docs/protocol/extension_binary_data.md). Keys that neither names are passed over, as clients send
some (`model_name`); parameters that would change the answer and are not spoken here are refused.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from mlship.server import decode
from mlship.server.messages import Request
from mlship.server.problems import InputError, described, shown
from mlship.server.tensors import Tensor
from mlship.server.values import near

LENGTH = "inference-header-content-length"
MAX_DIMENSIONS = 8
FLOATS = {"FP16": "<f2", "FP32": "<f4", "FP64": "<f8"}
INTEGERS = {
    **{f"INT{bits}": f"<i{bits // 8}" for bits in (8, 16, 32, 64)},
    **{f"UINT{bits}": f"<u{bits // 8}" for bits in (8, 16, 32, 64)},
}
NUMBERS = {"BOOL": "?", **INTEGERS, **FLOATS}
DATATYPES = (*NUMBERS, "BYTES")
NONE = type(None)
FORM = '{"inputs": [{"name": ..., "shape": [...], "datatype": ..., "data": [...]}]}'


@dataclass(frozen=True, slots=True)
class Inference:
    """What a caller asks. outputs: names with whether each is wanted in binary; None for all. binary: what holds for the others."""

    id: str
    tensors: list[Tensor]
    outputs: dict[str, bool] | None
    binary: bool


def inference(request: Request) -> Inference:
    """Raises InputError: 400 for a body that cannot be read, 415 for one that is compressed."""
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise InputError(415, message="a compressed body is not taken; send it without Content-Encoding")
    document, start = _document(request)
    parameters = _parameters(document, "the request")
    binary = parameters.get("binary_data_output") is True
    return Inference(_id(document), _tensors(document, request.body, start), _outputs(document, binary), binary)


def _document(request: Request) -> tuple[dict[str, Any], int]:
    """The JSON object, and where the binary data begin."""
    body, told = request.body, request.headers.get(LENGTH)
    if told is None:
        document, start = decode.document(body), len(body)
    else:
        if not told.isascii() or not told.isdigit() or len(told) > 15 or int(told) > len(body):
            raise InputError(
                400, message=f"Inference-Header-Content-Length is {shown(told)}, but the body has {len(body)} bytes"
            )
        start = int(told)
        document = decode.document(body[:start])
    if not isinstance(document, dict):
        raise InputError(400, message=f"the body must be {FORM}, got {described(document)}")
    return document, start


def _id(document: dict[str, Any]) -> str:
    given = document.get("id", "")
    if not isinstance(given, str):
        raise InputError(400, message=f"id must be a string, got {described(given)}")
    return given


def _outputs(document: dict[str, Any], binary: bool) -> dict[str, bool] | None:
    wanted = document.get("outputs")
    if wanted is None or wanted == []:
        return None
    if not isinstance(wanted, list):
        raise InputError(400, message=f"outputs must be a list, got {described(wanted)}")
    outputs: dict[str, bool] = {}
    for entry in wanted:
        if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
            raise InputError(400, message='each of outputs must be an object with a "name"')
        parameters = _parameters(entry, f'the output "{shown(entry["name"])}"')
        if "classification" in parameters:
            raise InputError(400, message="the parameter classification is not taken; ask for the probabilities")
        outputs[entry["name"]] = parameters.get("binary_data", binary) is True
    return outputs


def _tensors(document: dict[str, Any], body: bytes, start: int) -> list[Tensor]:
    inputs = document.get("inputs")
    if not isinstance(inputs, list) or not inputs:
        said = "lacks" if "inputs" not in document else "has no tensor in"
        raise InputError(400, message=f'the body {said} "inputs"; send {FORM}')
    tensors: list[Tensor] = []
    for place, entry in enumerate(inputs):
        tensor, start = _tensor(entry, place, body, start)
        tensors.append(tensor)
    if start != len(body):
        raise InputError(400, message=f"the body has {len(body) - start} bytes beyond what its inputs name")
    if len({tensor.name for tensor in tensors}) != len(tensors):
        raise InputError(400, message="two inputs have the same name")
    return tensors


def _tensor(entry: Any, place: int, body: bytes, start: int) -> tuple[Tensor, int]:
    """One input, and where the next one's binary data begin."""
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
        raise InputError(400, message=f'inputs[{place}] must be an object with "name", "shape", "datatype" and its data')
    name = f'the tensor "{shown(entry["name"])}"'
    datatype, shape = _datatype(entry, name), _shape(entry, name)
    parameters = _parameters(entry, name)
    size = parameters.get("binary_data_size")
    if size is None:
        return Tensor(entry["name"], datatype, _from_json(entry, name, datatype, shape)), start
    if "data" in entry:
        raise InputError(400, message=f'{name} has both "data" and binary_data_size; send one of them')
    if type(size) is not int or size < 0 or start + size > len(body):
        raise InputError(400, message=f"{name} has binary_data_size {described(size)}; {len(body) - start} bytes are left")
    return Tensor(entry["name"], datatype, _from_bytes(body, start, size, name, datatype, shape)), start + size


def _parameters(entry: dict[str, Any], name: str) -> dict[str, Any]:
    parameters = entry.get("parameters")
    if parameters is None:
        return {}
    if not isinstance(parameters, dict):
        raise InputError(400, message=f"parameters of {name} must be an object, got {described(parameters)}")
    if "shared_memory_region" in parameters:
        raise InputError(400, message=f"{name} lies in shared memory, which is not read here; send the data")
    return parameters


def _datatype(entry: dict[str, Any], name: str) -> str:
    given = entry.get("datatype")
    if not isinstance(given, str) or given not in DATATYPES:
        hint = near(given, list(DATATYPES)) if isinstance(given, str) else ""
        raise InputError(400, message=f"datatype of {name} is {described(given)}; known: {', '.join(DATATYPES)}{hint}")
    return given


def _shape(entry: dict[str, Any], name: str) -> list[int]:
    shape = entry.get("shape")
    if not isinstance(shape, list) or any(type(size) is not int or size < 0 for size in shape) or not shape:
        raise InputError(400, message=f"shape of {name} must be a list of whole numbers, such as [1, 4]")
    if len(shape) > MAX_DIMENSIONS:
        raise InputError(400, message=f"shape of {name} has more than {MAX_DIMENSIONS} dimensions")
    return shape


def _from_bytes(body: bytes, start: int, size: int, name: str, datatype: str, shape: list[int]) -> Any:
    """An array on the body's own bytes, without a copy; strings are decoded."""
    import numpy

    count = math.prod(shape)
    if datatype == "BYTES":
        return _objects(_strings(body, start, size, name, count), shape)
    dtype = numpy.dtype(NUMBERS[datatype])
    if size != count * dtype.itemsize:
        raise InputError(400, message=f"{name} has {size} bytes; {datatype} of shape {shape} takes {count * dtype.itemsize}")
    if datatype == "BOOL":  # any byte but 0 is true
        return (numpy.frombuffer(body, "u1", count, start) != 0).reshape(shape)
    return numpy.frombuffer(body, dtype, count, start).reshape(shape) if count else numpy.empty(shape, dtype)


def _strings(body: bytes, start: int, size: int, name: str, count: int) -> list[Any]:
    """Each with its length in four bytes before it; what is not UTF-8 stays bytes, for the check of its feature to name."""
    end = start + size
    values: list[Any] = []
    while start < end and len(values) < count:
        length = int.from_bytes(body[start : start + 4], "little")
        start += 4
        if start + length > end:
            raise InputError(400, message=f"{name}: its element {len(values)} is longer than the data that are left")
        raw = body[start : start + length]
        start += length
        try:
            values.append(raw.decode())
        except UnicodeDecodeError:
            values.append(raw)
    if len(values) != count or start != end:
        raise InputError(400, message=f"{name} has another number of elements than its shape says, {count}")
    return values


def _from_json(entry: dict[str, Any], name: str, datatype: str, shape: list[int]) -> Any:
    import numpy

    if "data" not in entry:
        raise InputError(400, message=f'{name} has neither "data" nor the parameter binary_data_size')
    values = _flat(entry["data"])
    count = math.prod(shape)
    if not isinstance(values, list) or len(values) != count:
        held = f"{len(values)} values" if isinstance(values, list) else described(values)
        raise InputError(400, message=f"{name} has {held}; its shape {shape} takes {count}")
    kinds = set(map(type, values))
    if datatype == "BYTES":
        _require(kinds <= {str, NONE}, name, datatype, "strings", values, (str, NONE))
        return _objects(values, shape)
    if datatype == "BOOL":
        _require(kinds <= {bool, NONE}, name, datatype, "true and false", values, (bool, NONE))
        return _objects(values, shape) if NONE in kinds else numpy.array(values, dtype="?").reshape(shape)
    if datatype in FLOATS:
        _require(kinds <= {float, int, NONE}, name, datatype, "numbers", values, (float, int, NONE))
        with numpy.errstate(over="ignore"):
            return numpy.array(_doubles(values, kinds, name), dtype=NUMBERS[datatype]).reshape(shape)
    _require(kinds <= {int, NONE}, name, datatype, "whole numbers", values, (int, NONE))
    return _integers(numpy, values, kinds, name, datatype).reshape(shape)


def _flat(data: Any) -> Any:
    """The values in row-major order; the protocol lets them be nested or not."""
    for _ in range(MAX_DIMENSIONS):
        if not isinstance(data, list) or not data or any(type(item) is not list for item in data):
            return data
        data = list(chain.from_iterable(data))
    return data


def _require(is_so: bool, name: str, datatype: str, held: str, values: Sequence[Any], kinds: tuple[type, ...]) -> None:
    if is_so:
        return
    place, value = next((place, value) for place, value in enumerate(values) if type(value) not in kinds)
    raise InputError(400, message=f"{name} is {datatype} and holds {held}, but element {place} is {described(value)}")


def _doubles(values: list[Any], kinds: set[type], name: str) -> list[Any]:
    """numpy makes NaN of None by itself; an integer that no double can hold is refused."""
    if int in kinds:
        try:
            return [None if value is None else float(value) for value in values]
        except OverflowError:
            raise InputError(400, message=f"{name} holds an integer that no double can hold") from None
    return values


def _integers(numpy: Any, values: list[Any], kinds: set[type], name: str, datatype: str) -> Any:
    """float64 with NaN where null stands between whole numbers."""
    dtype = numpy.dtype(NUMBERS[datatype])
    limits = numpy.iinfo(dtype)
    for place, value in enumerate(values):
        if value is not None and not limits.min <= value <= limits.max:
            raise InputError(400, message=f"{name} is {datatype}, but element {place} is {described(value)}")
    return numpy.array(values, dtype="float64" if NONE in kinds else dtype)


def _objects(values: list[Any], shape: list[int]) -> Any:
    import numpy

    array: Any = numpy.empty(len(values), dtype=object)
    array[:] = values
    return array.reshape(shape)
