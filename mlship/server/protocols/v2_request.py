"""A body of the Open Inference Protocol to tensors: JSON, or JSON with binary data behind it.

Sources: the protocol's REST specification (kserve/open-inference-protocol, inference_rest.md) and the binary tensor data extension
(triton-inference-server/server, docs/protocol/extension_binary_data.md). Keys that neither names are passed over, as clients send
some (`model_name`); parameters that would change the answer and are not spoken here are refused.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import chain
from typing import Any

from mlship.server.input import jsontext
from mlship.server.input.tensors import Tensor
from mlship.server.messages import Request
from mlship.server.problems import InputError, described, near, shown

LENGTH = "inference-header-content-length"
MAX_DIMENSIONS = 8
FLOATS = {"FP16": "<f2", "FP32": "<f4", "FP64": "<f8"}
INTEGERS = {
    **{f"INT{bits}": f"<i{bits // 8}" for bits in (8, 16, 32, 64)},
    **{f"UINT{bits}": f"<u{bits // 8}" for bits in (8, 16, 32, 64)},
}
NUMBERS = {"BOOL": "?", **INTEGERS, **FLOATS}
SIZES = {name: int(dtype[-1]) if dtype != "?" else 1 for name, dtype in NUMBERS.items()}
LIMITS = {
    name: (0, 2 ** int(name[4:]) - 1) if name[0] == "U" else (-(2 ** (int(name[3:]) - 1)), 2 ** (int(name[3:]) - 1) - 1)
    for name in INTEGERS
}
NONE = type(None)
# what stands in `data` for each datatype, null aside
HELD: dict[str, tuple[frozenset[type], str]] = {
    "BOOL": (frozenset((bool,)), "true and false"),
    **{name: (frozenset((int,)), "whole numbers") for name in INTEGERS},
    **{name: (frozenset((int, float)), "numbers") for name in FLOATS},
    "BYTES": (frozenset((str,)), "strings"),
}
FORM = '{"inputs": [{"name": ..., "shape": [...], "datatype": ..., "data": [...]}]}'


@dataclass(slots=True)  # not frozen: that makes it three times as dear, for each request
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
    binary = "parameters" in document and _parameters(document).get("binary_data_output") is True
    outputs = _outputs(document["outputs"], binary) if document.get("outputs") not in (None, []) else None
    return Inference(_id(document), _tensors(document, request.body, start), outputs, binary)


def _document(request: Request) -> tuple[dict[str, Any], int]:
    """The JSON object, and where the binary data begin."""
    body, told = request.body, request.headers.get(LENGTH)
    if told is None:
        raw, start = body, len(body)
    else:
        if not told.isascii() or not told.isdigit() or len(told) > 15 or int(told) > len(body):
            raise InputError(
                400, message=f"Inference-Header-Content-Length is {shown(told)}, but the body has {len(body)} bytes"
            )
        start = int(told)
        raw = body[:start]
    if not raw:
        raise InputError(400, message=f"the body has no JSON; send {FORM}")
    document = jsontext.document(raw)
    if not isinstance(document, dict):
        raise InputError(400, message=f"the body must be {FORM}, got {described(document)}")
    return document, start


def _id(document: dict[str, Any]) -> str:
    given = document.get("id", "")
    if not isinstance(given, str):
        raise InputError(400, message=f"id must be a string, got {described(given)}")
    return given


def _outputs(wanted: Any, binary: bool) -> dict[str, bool]:
    if not isinstance(wanted, list):
        raise InputError(400, message=f"outputs must be a list, got {described(wanted)}")
    outputs: dict[str, bool] = {}
    for entry in wanted:
        if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
            raise InputError(400, message='each of outputs must be an object with a "name"')
        parameters = _parameters(entry)
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
        if type(entry) is not dict or type(entry.get("name")) is not str:
            raise InputError(400, message=f'inputs[{place}] must be an object with "name", "shape", "datatype" and its data')
        tensor, start = _tensor(entry, body, start)
        tensors.append(tensor)
    if start != len(body):
        raise InputError(400, message=f"the body has {len(body) - start} bytes beyond what its inputs name")
    if len(tensors) > 1 and len({tensor.name for tensor in tensors}) != len(tensors):
        raise InputError(400, message="two inputs have the same name")
    return tensors


def _tensor(entry: dict[str, Any], body: bytes, start: int) -> tuple[Tensor, int]:
    """One input, and where the next one's binary data begin."""
    datatype, shape = entry.get("datatype"), entry.get("shape")
    if type(datatype) is not str or datatype not in HELD:
        raise _no_datatype(entry)
    if type(shape) is not list or not shape or len(shape) > MAX_DIMENSIONS:
        raise _no_shape(entry)
    for size in shape:
        if type(size) is not int or size < 0:
            raise _no_shape(entry)
    size = _parameters(entry).get("binary_data_size") if "parameters" in entry else None
    if size is None:
        return _from_json(entry, datatype, shape), start
    if "data" in entry:
        raise InputError(400, message=f'{_name(entry)} has both "data" and binary_data_size; send one of them')
    if type(size) is not int or size < 0 or start + size > len(body):
        raise InputError(
            400, message=f"{_name(entry)} has binary_data_size {described(size)}; {len(body) - start} bytes are left"
        )
    return _from_bytes(entry, datatype, shape, body, start, size), start + size


def _parameters(entry: dict[str, Any]) -> dict[str, Any]:
    parameters = entry.get("parameters")
    if parameters is None:
        return {}
    if not isinstance(parameters, dict):
        raise InputError(400, message=f"parameters must be an object, got {described(parameters)}")
    if "shared_memory_region" in parameters:
        raise InputError(400, message="a tensor lies in shared memory, which is not read here; send the data")
    return parameters


def _no_datatype(entry: dict[str, Any]) -> InputError:
    given = entry.get("datatype")
    hint = near(given, list(HELD)) if isinstance(given, str) else ""
    return InputError(400, message=f"datatype of {_name(entry)} is {described(given)}; known: {', '.join(HELD)}{hint}")


def _no_shape(entry: dict[str, Any]) -> InputError:
    if isinstance(entry.get("shape"), list) and len(entry["shape"]) > MAX_DIMENSIONS:
        return InputError(400, message=f"shape of {_name(entry)} has more than {MAX_DIMENSIONS} dimensions")
    return InputError(400, message=f"shape of {_name(entry)} must be a list of whole numbers, such as [1, 4]")


def _from_bytes(entry: dict[str, Any], datatype: str, shape: list[int], body: bytes, start: int, size: int) -> Tensor:
    """A tensor on the body's own bytes, without a copy; strings are decoded."""
    count = math.prod(shape)
    if datatype == "BYTES":
        values = _strings(entry, body, start, size, count)
        return Tensor(entry["name"], datatype, shape, None, lambda: _objects(values, shape))
    if size != count * SIZES[datatype]:
        raise InputError(
            400, message=f"{_name(entry)} has {size} bytes; {datatype} of shape {shape} takes {count * SIZES[datatype]}"
        )
    return Tensor(entry["name"], datatype, shape, None, lambda: _view(datatype, shape, body, start, count))


def _view(datatype: str, shape: list[int], body: bytes, start: int, count: int) -> Any:
    import numpy

    if not count:
        return numpy.empty(shape, NUMBERS[datatype])
    if datatype == "BOOL":  # any byte but 0 is true
        return (numpy.frombuffer(body, "u1", count, start) != 0).reshape(shape)
    return numpy.frombuffer(body, NUMBERS[datatype], count, start).reshape(shape)


def _strings(entry: dict[str, Any], body: bytes, start: int, size: int, count: int) -> list[Any]:
    """Each with its length in four bytes before it; what is not UTF-8 stays bytes, for the check of its feature to name."""
    end = start + size
    values: list[Any] = []
    while start < end and len(values) < count:
        length = int.from_bytes(body[start : start + 4], "little")
        start += 4
        if start + length > end:
            raise InputError(400, message=f"{_name(entry)}: its element {len(values)} is longer than the data that are left")
        raw = body[start : start + length]
        start += length
        try:
            values.append(raw.decode())
        except UnicodeDecodeError:
            values.append(raw)
    if len(values) != count or start != end:
        raise InputError(400, message=f"{_name(entry)} has another number of elements than its shape says, {count}")
    return values


def _from_json(entry: dict[str, Any], datatype: str, shape: list[int]) -> Tensor:
    if "data" not in entry:
        raise InputError(400, message=f'{_name(entry)} has neither "data" nor the parameter binary_data_size')
    values = _flat(entry["data"])
    count = math.prod(shape)
    if type(values) is not list or len(values) != count:
        held = f"{len(values)} values" if isinstance(values, list) else described(values)
        raise InputError(400, message=f"{_name(entry)} has {held}; its shape {shape} takes {count}")
    kinds = set(map(type, values))
    has_null = NONE in kinds
    kinds.discard(NONE)
    if not kinds <= HELD[datatype][0]:
        raise _held_otherwise(entry, datatype, values)
    if datatype in LIMITS and kinds:
        _require_range(entry, datatype, values, has_null)
    numbers = None if has_null or datatype in ("BYTES", "BOOL") else values
    return Tensor(entry["name"], datatype, shape, numbers, lambda: _array(entry, datatype, shape, values, has_null))


def _flat(data: Any) -> Any:
    """The values in row-major order; the protocol lets them be nested or not."""
    for _ in range(MAX_DIMENSIONS):
        if type(data) is not list or not data or type(data[0]) is not list or set(map(type, data)) != {list}:
            return data
        data = list(chain.from_iterable(data))
    return data


def _held_otherwise(entry: dict[str, Any], datatype: str, values: list[Any]) -> InputError:
    kinds, held = HELD[datatype]
    place, value = next((place, value) for place, value in enumerate(values) if type(value) not in kinds and value is not None)
    return InputError(400, message=f"{_name(entry)} is {datatype} and holds {held}, but element {place} is {described(value)}")


def _require_range(entry: dict[str, Any], datatype: str, values: list[Any], has_null: bool) -> None:
    low, high = LIMITS[datatype]
    given = [value for value in values if value is not None] if has_null else values
    if low <= min(given) and max(given) <= high:
        return
    place, value = next((place, value) for place, value in enumerate(values) if value is not None and not low <= value <= high)
    raise InputError(400, message=f"{_name(entry)} is {datatype}, but element {place} is {described(value)}")


def _array(entry: dict[str, Any], datatype: str, shape: list[int], values: list[Any], has_null: bool) -> Any:
    """numpy makes NaN of null among floats; whole numbers with null become float64."""
    import numpy

    if datatype == "BYTES" or (datatype == "BOOL" and has_null):
        return _objects(values, shape)
    dtype = "float64" if has_null and datatype in INTEGERS else NUMBERS[datatype]
    try:
        with numpy.errstate(over="ignore"):
            return numpy.array(values, dtype=dtype).reshape(shape)
    except OverflowError:
        raise InputError(400, message=f"{_name(entry)} holds an integer that no double can hold") from None


def _objects(values: list[Any], shape: list[int]) -> Any:
    import numpy

    array: Any = numpy.empty(len(values), dtype=object)
    array[:] = values
    return array.reshape(shape)


def _name(entry: dict[str, Any]) -> str:
    return f'the tensor "{shown(entry["name"])}"'
