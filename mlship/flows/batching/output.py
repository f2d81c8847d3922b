"""Answers as Parquet: made at the end, of the JSON lines in which they were kept, because a Parquet file has no beginning that stands
on its own. Both readings of them are by block, so that memory stays as it is."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from mlship.errors import MlshipError, need

ROWS = 50_000  # in memory, and in a row group


def parquet_of(lines: Path, into: Path) -> None:
    """Raises MlshipError where the answers have no common type, such as numbers beside lists."""
    pyarrow, parquet = need("pyarrow", extra="parquet"), need("pyarrow.parquet", extra="parquet")
    try:
        schema = _schema(pyarrow, lines)
        with parquet.ParquetWriter(into, schema, compression="zstd") as writer:
            for rows in _blocks(lines):
                writer.write_table(pyarrow.Table.from_pylist(rows, schema=schema))
    except (pyarrow.ArrowException, ValueError, TypeError) as error:
        said = str(error).strip().split("\n", 1)[0][:200]
        raise MlshipError(f"the answers make no Parquet table: {said}", fix="name a .jsonl file with --out") from None


def _schema(pyarrow: Any, lines: Path) -> Any:
    """The narrowest types that hold every answer."""
    schema = None
    for rows in _blocks(lines):
        found = _of_rows(pyarrow, rows)
        schema = found if schema is None else pyarrow.unify_schemas([schema, found], promote_options="permissive")
    return schema


def _of_rows(pyarrow: Any, rows: list[dict[str, Any]]) -> Any:
    """Of every name in any of the rows: from_pylist looks at the first one alone."""
    names = dict.fromkeys(name for row in rows for name in row)
    return pyarrow.Table.from_pydict({name: [row.get(name) for row in rows] for name in names}).schema


def _blocks(lines: Path) -> Iterator[list[dict[str, Any]]]:
    import msgspec

    decode = msgspec.json.Decoder().decode
    with lines.open("rb", buffering=2**20) as file:
        while rows := [decode(line) for line in islice(file, ROWS)]:
            yield rows
