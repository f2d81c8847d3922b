"""Bodies to rows: JSON and JSON Lines. CSV has its own file."""

from __future__ import annotations

import json
from typing import Any

import orjson

from mlship.server.core import ServedModel
from mlship.server.problems import InputError, described, near

ENVELOPE = '{"instances": [...]}'


def document(body: bytes) -> Any:
    """The JSON value of a body. Raises InputError(400)."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise _not_json(body, error) from None


def instances(body: bytes, model: ServedModel, bare: bool = False) -> list[Any]:
    """The rows of `{"instances": [...]}`; with bare, of `[...]` too. Raises InputError."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        _name_non_finite(body, model, bare)
        raise _not_json(body, error) from None
    return rows_of(value, bare)


def rows_of(value: Any, bare: bool = False) -> list[Any]:
    """The rows of a decoded body. Raises InputError(400)."""
    if bare and isinstance(value, list):
        return value
    if not isinstance(value, dict):
        raise InputError(400, message=f"the body must be {ENVELOPE}, got {described(value)}{_wrap(value)}")
    if "instances" not in value:
        known = f"; it has {', '.join(_quoted(name) for name in list(value)[:5])}" if value else ""
        raise InputError(400, message=f'the body lacks "instances"{known}; send {ENVELOPE}')
    extra = [name for name in value if name != "instances"]
    if extra:
        raise InputError(
            400, message=f'the body has {_quoted(extra[0])} beside "instances"{near(extra[0], ["instances"])}; send {ENVELOPE}'
        )
    rows: list[Any] = value["instances"]
    return rows


def lines(body: bytes) -> list[Any]:
    """One row a line; `{"features": [...]}` is SageMaker's way to write a row. Raises InputError(400) with the line."""
    rows = []
    for number, line in enumerate(body.split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            row = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise InputError(400, message=f"line {number} is not JSON: {_place(error)}") from None
        rows.append(row["features"] if isinstance(row, dict) and row.keys() == {"features"} else row)
    return rows


def _not_json(body: bytes, error: orjson.JSONDecodeError) -> InputError:
    if not body.strip():
        return InputError(400, message=f"the body is empty; send {ENVELOPE}")
    return InputError(400, message=f"the body is not JSON: {_place(error)}{_number_hint(str(error))}")


def _place(error: orjson.JSONDecodeError) -> str:
    """What orjson says, without the text that it was given."""
    return f"{error.msg} (line {error.lineno}, column {error.colno})"


def _number_hint(said: str) -> str:
    return (
        "; numbers must be finite, write null for a missing value"
        if "infinity" in said or "expected a JSON value" in said
        else ""
    )


def _name_non_finite(body: bytes, model: ServedModel, bare: bool) -> None:
    """Raises the InputError that names row and feature when NaN, Infinity or 1e999 is all that is wrong with the JSON.

    Python's own json.dumps writes NaN, so this is a common mistake: worth a second look by a parser that reads it.
    """
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return
    model.examine(rows_of(value, bare))


def _wrap(value: Any) -> str:
    return f"; wrap it: {ENVELOPE}" if isinstance(value, list) else ""


def _quoted(name: str) -> str:
    return json.dumps(name[:60], ensure_ascii=False).encode("utf-8", "replace").decode()
