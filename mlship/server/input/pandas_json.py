"""Tables in the JSON forms that pandas writes, as rows: `split`, records, and columns by name."""

from __future__ import annotations

from typing import Any

from mlship.server.problems import InputError, described, near

SPLIT = ("columns", "index", "data")


def rows_of_split(value: Any, name: str) -> list[Any]:
    """The rows of `{"columns": [...], "index": [...], "data": [[...]]}`: objects by column name, lists without columns.

    name: of the key that held the value, for messages. Raises InputError(400), and 422 for a row of another length.
    """
    if not isinstance(value, dict) or not isinstance(value.get("data"), list):
        raise InputError(400, message=f'{name} must be {{"columns": [...], "data": [[...]]}}, got {described(value)}')
    for key in value:
        if key not in SPLIT:
            raise InputError(400, message=f'{name} has a key "{key[:60]}"{near(key, list(SPLIT))}; known: {", ".join(SPLIT)}')
    rows: list[Any] = value["data"]
    columns = value.get("columns")
    return rows if columns is None else _by_column(rows, _names(columns, name))


def rows_of_columns(value: dict[str, Any], name: str) -> list[Any]:
    """The rows of `{"age": [...], "city": [...]}`. Raises InputError(400)."""
    lengths = {len(column) if isinstance(column, list) else None for column in value.values()}
    if len(lengths) != 1 or None in lengths:
        raise InputError(400, message=f"{name} by column must be lists, all of the same length")
    names = list(value)
    return [dict(zip(names, row, strict=True)) for row in zip(*map(_flat, value.values()), strict=True)]


def _names(columns: Any, name: str) -> list[str]:
    if not isinstance(columns, list) or not all(isinstance(column, (str, int)) for column in columns):
        raise InputError(400, message=f"{name}.columns must be a list of names, got {described(columns)}")
    names = [str(column) for column in columns]
    if len(set(names)) != len(names):
        raise InputError(400, message=f"{name}.columns names a column twice")
    return names


def _by_column(rows: list[Any], names: list[str]) -> list[Any]:
    """Columns that pandas only numbered (0, 1, 2, ...) are no names: such rows stay lists."""
    for index, row in enumerate(rows):
        if not isinstance(row, list) or len(row) != len(names):
            held = f"{len(row)} values" if isinstance(row, list) else described(row)
            raise InputError(422, message=f"row {index} has {held}; there are {len(names)} columns")
    if names == [str(index) for index in range(len(names))]:
        return rows
    return [dict(zip(names, row, strict=True)) for row in rows]


def _flat(column: list[Any]) -> list[Any]:
    """A column that came as (rows, 1), as tensors of one feature do."""
    is_nested = all(isinstance(value, list) and len(value) == 1 for value in column)
    return [value[0] for value in column] if is_nested and column else column
