"""Parquet as rows: numbers as the CSV that reads to the same numbers, all else as JSON, and from any row on."""

from __future__ import annotations

import json
import os
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from pyarrow import parquet

from mlship.errors import MlshipError
from mlship.flows.batching.input import data_of, open_rows
from mlship.progress import Silent
from mlship.server.batch_records import Chunk


def written(folder: Path, **columns: Any) -> Path:
    parquet.write_table(pyarrow.table(columns), folder / "rows.parquet", row_group_size=3)
    return folder / "rows.parquet"


def parts(path: Path, rows: int = 100, position: int = 0, limit: int | None = None) -> list[Chunk]:
    with open_rows(path, "parquet") as table:
        return list(table.parts(rows, position, position, limit))


def test_numbers_come_as_they_are_read_again(tmp_path: Path) -> None:
    narrow = pyarrow.array([0.1, 2.5, -1e-30], pyarrow.float32())
    [chunk] = parts(written(tmp_path, a=[0.1, 1e300, -0.0], b=[2**62, 0, -3], c=narrow))
    assert (chunk.form, chunk.count, chunk.end) == ("csv", 3, 3)
    read = [[float(cell) for cell in line.split(",")] for line in chunk.body.decode().splitlines()]
    assert repr(read) == repr([[0.1, 2.0**62, narrow[0].as_py()], [1e300, 0.0, 2.5], [-0.0, -3.0, narrow[2].as_py()]])


def test_all_else_comes_as_objects_and_no_number_becomes_another_or_none(tmp_path: Path) -> None:
    when = pyarrow.array([datetime(2026, 11, 22, 15, 0, 1)] * 3, pyarrow.timestamp("ns"))
    columns = {
        "a": [1.5, None, float("nan")],
        "b": [float("inf"), 1.0, None],
        "c": ["x", None, "ü\n"],
        "d": [Decimal("1.10")] * 3,
    }
    [chunk] = parts(written(tmp_path, **columns, when=when))
    assert chunk.form == "jsonl"
    assert [json.loads(line) for line in chunk.body.splitlines()] == [
        {"a": 1.5, "b": "inf", "c": "x", "d": 1.1, "when": "2026-11-22T15:00:01"},
        {"a": None, "b": 1.0, "c": None, "d": 1.1, "when": "2026-11-22T15:00:01"},
        {"a": None, "b": None, "c": "ü\n", "d": 1.1, "when": "2026-11-22T15:00:01"},
    ]


def test_a_table_with_two_columns_of_one_name_is_refused(tmp_path: Path) -> None:
    parquet.write_table(pyarrow.table([[1.0], [2.0], ["x"]], names=["a", "a", "b"]), tmp_path / "rows.parquet")
    with pytest.raises(MlshipError, match='has the column "a" twice'):
        parts(tmp_path / "rows.parquet")


@pytest.mark.parametrize(("position", "limit"), [(0, None), (2, None), (3, 7), (7, None), (8, 8)])
def test_the_rows_go_on_from_any_of_them(tmp_path: Path, position: int, limit: int | None) -> None:
    path = written(tmp_path, a=list(range(8)))
    found = parts(path, 2, position, limit)
    assert b"".join(chunk.body for chunk in found).split() == [str(row).encode() for row in range(position, limit or 8)]
    assert all(chunk.first + chunk.count == chunk.end for chunk in found)


@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
def test_data_that_is_no_file_is_refused_and_not_waited_for(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    {"pipe": lambda: os.mkfifo(path), "device": lambda: path.symlink_to("/dev/zero"), "folder": path.mkdir}[kind]()
    for read in (lambda: data_of(path, Silent()), lambda: open_rows(path, "csv").__enter__()):
        with pytest.raises(MlshipError, match=f"rows.csv is a {kind}: its rows are read twice") as caught:
            read()
        assert "write them into a file first" in caught.value.fix


def test_what_is_no_table_is_refused(tmp_path: Path) -> None:
    (tmp_path / "rows.parquet").write_bytes(b"a,b\n1,2\n")
    with pytest.raises(MlshipError, match="is not Parquet"):
        parts(tmp_path / "rows.parquet")
    with pytest.raises(MlshipError, match="the column a holds bytes"):
        parts(written(tmp_path, a=[b"1"]))
    with pytest.raises(MlshipError, match="has no rows"):
        parts(written(tmp_path, a=[]))
