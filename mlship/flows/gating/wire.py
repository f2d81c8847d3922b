"""The same rows in the words of each protocol, and each protocol's answer in ours. Pure.

Sources: mlship/server/protocols, which name theirs.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

OF_ONE_MODEL = ("sagemaker", "vertex", "azureml", "mlflow")  # they know no other than the first
DATATYPES = {
    "bool": "BOOL", "float16": "FP16", "float32": "FP32", "float64": "FP64",
    **{f"{sign}int{bits}": f"{sign.upper()}INT{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)},
}  # fmt: skip
MATRIX = "input-0"  # as server/input/tensors.py names it


def spoken(serving: Mapping[str, Any], is_first: bool) -> tuple[str, ...]:
    """The protocols that a model can be asked in with JSON: where /invocations is MLflow's, SageMaker's is not."""
    said = tuple(serving.get("protocols", ("native",)))
    is_taken = "mlflow" in said and serving.get("invocations") == "mlflow"
    return tuple(
        protocol
        for protocol in said
        if (is_first or protocol not in OF_ONE_MODEL) and not (protocol == "sagemaker" and is_taken)
    )


def asked(protocol: str, model: str, path: str, rows: Sequence[Any], inputs: Sequence[Mapping[str, Any]]) -> tuple[str, bytes]:
    """Path and body. path: of the native protocol. inputs: the features, as /schema tells them."""
    instances = {"instances": list(rows)}
    told: dict[str, tuple[str, Any]] = {
        "native": (path, instances),
        "sagemaker": ("/invocations", instances),
        "vertex": ("/vertex/predict", instances),
        "azureml": ("/score", {"input_data": list(rows)}),
        "mlflow": ("/invocations", _frame(rows)),
        "tfserving": (f"/v1/models/{model}:predict", instances),
    }
    where, body = told[protocol] if protocol in told else (f"/v2/models/{model}/infer", {"inputs": _tensors(rows, inputs)})
    return where, json.dumps(body, ensure_ascii=False).encode()


def answers(protocol: str, body: bytes, expected: Mapping[str, Any]) -> dict[str, Any]:
    """The outputs by name, as far as the protocol tells them. Raises ValueError for what is not its form."""
    document = json.loads(body)
    if protocol in ("native", "sagemaker"):
        return _object(document)
    if protocol == "v2":
        return {output["name"]: _entries(output, expected.get(output["name"])) for output in _object(document)["outputs"]}
    listed = document if protocol == "azureml" else _object(document).get("predictions")
    if not isinstance(listed, list):
        raise ValueError("it has no list of predictions")
    return _columns(listed, expected)


def _object(document: Any) -> dict[str, Any]:
    if not isinstance(document, dict):
        raise ValueError("it is not an object")
    return document


def _columns(listed: list[Any], expected: Mapping[str, Any]) -> dict[str, Any]:
    """One entry a row: the prediction, or an object of all outputs."""
    of_one = set(expected) == {"predictions"} and any(isinstance(entry, dict) for entry in expected["predictions"])
    if not of_one and all(isinstance(entry, dict) and set(expected) <= set(entry) for entry in listed):
        return {name: [entry[name] for entry in listed] for name in expected}
    return {"predictions": listed}


def _frame(rows: Sequence[Any]) -> dict[str, Any]:
    are_named = all(isinstance(row, Mapping) for row in rows)
    return {"dataframe_records" if are_named else "inputs": list(rows)}


def _tensors(rows: Sequence[Any], inputs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    if not inputs:
        return [_tensor(MATRIX, "float64", list(rows))]
    return [
        _tensor(feature["name"], feature["dtype"], column)
        for place, feature in enumerate(inputs)
        for column in [[_cell(row, feature["name"], place) for row in rows]]
    ]


def _cell(row: Any, name: str, place: int) -> Any:
    if isinstance(row, Mapping):
        return row.get(name)
    return row[place] if isinstance(row, list | tuple) and place < len(row) else row


def _datatype(dtype: str, values: Iterable[Any]) -> str:
    """What the feature is; for one of any kind, what its values are."""
    if dtype in DATATYPES:
        return DATATYPES[dtype]
    kinds = {type(value) for value in values if value is not None}
    if kinds == {bool}:
        return "BOOL"
    return "FP64" if kinds and kinds <= {int, float} else "BYTES"


def _tensor(name: str, dtype: str, column: list[Any]) -> dict[str, Any]:
    shape, values = [len(column)], column
    while values and isinstance(values[0], list | tuple):
        shape.append(len(values[0]))
        values = [entry for row in values for entry in row]
    datatype = _datatype(dtype, values)
    if "INT" in datatype:
        values = [int(value) if isinstance(value, float) and value.is_integer() else value for value in values]
    return {"name": name, "datatype": datatype, "shape": shape, "data": values}


def _entries(output: Mapping[str, Any], expected: Any) -> list[Any]:
    """Values by row. What is no tensor comes as JSON in strings."""
    values: list[Any] = list(output["data"])
    for size in reversed(output["shape"][1:]):
        values = [values[at : at + size] for at in range(0, len(values), size)] if size else []
    is_text = isinstance(expected, list | tuple) and all(isinstance(entry, str) for entry in expected)
    return values if output["datatype"] != "BYTES" or is_text else [_read(value) for value in values]


def _read(value: Any) -> Any:
    try:
        return json.loads(value)
    except (TypeError, ValueError):
        return value
