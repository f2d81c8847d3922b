"""The data of a batch prediction: what it is, by its bytes, and its rows in parts from any place in it.

Parquet is read here and not in the image: few images have pyarrow, and with it the same file gives the same rows whatever the image
is made of. Its rows go to the model as JSON objects by column name.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from math import isinf
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from mlship.errors import MlshipError, need
from mlship.flows.batching.wishes import Form
from mlship.memo import state_of
from mlship.progress import Progress
from mlship.server.batch_records import CHUNK_BYTES, Chunk, Records, chunks
from mlship.server.batch_records import Form as TextForm

BLOCK = 4 * 2**20
PARQUET_ROWS = 10_000  # that are in memory as Python's values


@dataclass(frozen=True)
class Data:
    """A file as it was when it was hashed. state: what would be another one after a change."""

    path: Path
    sha256: str
    size: int
    state: tuple[int, ...]

    def refuse_changed(self) -> None:
        """Raises MlshipError when the file is not what it was when the run began."""
        if state_of(self.path) != self.state:
            raise MlshipError(
                f"{self.path} was changed while it was read", fix="run the command again, with a file that stays as it is"
            )


class Rows(Protocol):
    """An open file of rows."""

    first: bytes
    columns: tuple[str, ...]
    total: int
    unit: str

    def parts(self, rows: int, position: int, first: int, limit: int | None) -> Iterator[Chunk]:
        """From a position on, which is 0 or the `end` of an earlier part. first: number of the row that stands there."""

    def behind_header(self) -> int:
        """Where the rows begin, when the first record is a header."""


def data_of(path: Path, progress: Progress) -> Data:
    """Reads the whole file once. Raises MlshipError."""
    progress.step("data", path.name)
    state = state_of(path)
    digest = hashlib.sha256()
    done = 0
    try:
        with _opened(path) as file:
            size = os.fstat(file.fileno()).st_size
            while block := file.read(BLOCK):
                digest.update(block)
                done += len(block)
                progress.amount("data", done, size)
    except OSError as error:
        raise _unreadable(path, error) from None
    return Data(path, digest.hexdigest(), done, state)


@contextmanager
def open_rows(path: Path, form: Form) -> Iterator[Rows]:
    """Raises MlshipError for a file that is not of its form, or without a row."""
    with ExitStack() as stack:
        try:
            file = stack.enter_context(_opened(path))
        except OSError as error:
            raise _unreadable(path, error) from None
        yield Table(path, stack.enter_context(_parquet(path, file))) if form == "parquet" else Text(path, file, form)


class Text:
    """CSV or JSON Lines. Positions and total are bytes."""

    columns: tuple[str, ...] = ()
    unit = "B"

    def __init__(self, path: Path, file: BinaryIO, form: TextForm) -> None:
        self._file = file
        self._form = form
        self.total = os.fstat(file.fileno()).st_size
        found = next(iter(Records(file, form)), None)
        if found is None:
            raise _empty(path)
        if not isinstance(found, bytes):
            raise MlshipError(f"the first line of {path} has {found.size} bytes", fix=f"name a file of {form}")
        self.first = found if form == "csv" else b""

    def parts(self, rows: int, position: int, first: int, limit: int | None) -> Iterator[Chunk]:
        self._file.seek(position)
        yield from chunks(Records(self._file, self._form, position), rows, first, limit)

    def behind_header(self) -> int:
        self._file.seek(0)
        records = Records(self._file, self._form)
        next(iter(records))
        return records.position


class Table:
    """Parquet. Positions and total are rows."""

    first = b""
    unit = "rows"

    def __init__(self, path: Path, table: Any) -> None:
        self._path = path
        self._table = table
        self.total = int(table.metadata.num_rows)
        self.columns = tuple(table.schema_arrow.names)
        twice = next((name for name, count in Counter(self.columns).items() if count > 1), None)
        if twice is not None:
            raise MlshipError(f'{path} has the column "{twice}" twice', fix="write the file with one column of each name")
        if not self.total:
            raise _empty(path)

    def behind_header(self) -> int:
        return 0

    def parts(self, rows: int, position: int, first: int, limit: int | None) -> Iterator[Chunk]:
        pyarrow = need("pyarrow", extra="parquet")
        stop = self.total if limit is None else min(self.total, limit)
        for start, batch in self._batches(min(rows, PARQUET_ROWS), position):
            taken = batch.slice(0, max(0, stop - start))
            if not taken.num_rows:
                return
            if _is_numbers(pyarrow, taken):
                yield from _in_chunks(_csv_lines(pyarrow, taken), start, "csv")
            else:
                yield from _in_chunks(self._json_lines(pyarrow, taken), start, "jsonl")

    def _batches(self, rows: int, position: int) -> Iterator[tuple[int, Any]]:
        """(number of its first row, batch). Row groups before the position are not read."""
        groups = self._table.metadata.num_row_groups
        begins = 0
        for group in range(groups):
            size = self._table.metadata.row_group(group).num_rows
            if begins + size > position:
                yield from self._of_group(group, begins, rows, position)
            begins += size

    def _of_group(self, group: int, begins: int, rows: int, position: int) -> Iterator[tuple[int, Any]]:
        pyarrow = need("pyarrow", extra="parquet")
        at = begins
        try:
            for batch in self._table.iter_batches(rows, row_groups=[group]):
                skipped = min(max(position - at, 0), batch.num_rows)
                if skipped < batch.num_rows:
                    yield at + skipped, batch.slice(skipped)
                at += batch.num_rows
        except (pyarrow.ArrowException, OSError) as error:
            raise MlshipError(f"{self._path} is damaged: {_first_line(error)}", fix="write the file again") from None

    def _json_lines(self, pyarrow: Any, batch: Any) -> bytes:
        import msgspec

        try:
            rows = _plain(pyarrow, batch)
            return msgspec.json.Encoder(decimal_format="number").encode_lines(rows)
        except (pyarrow.ArrowException, ValueError, TypeError) as error:
            raise MlshipError(f"{self._path} has values that JSON has no form for: {_first_line(error)}") from None


def _opened(path: Path) -> BinaryIO:
    """Raises OSError, and MlshipError for what gives its bytes once, or never ends."""
    if path.exists() and not path.is_file():
        kind = "pipe" if path.is_fifo() else "folder" if path.is_dir() else "device"
        raise MlshipError(
            f"{path} is a {kind}: its rows are read twice, first to know them again after a kill",
            fix="write them into a file first, and name that with --data",
        )
    return path.open("rb", buffering=2**20)


def _unreadable(path: Path, error: OSError) -> MlshipError:
    return MlshipError(f"{path} cannot be read: {error.strerror}", fix="name a file of rows with --data")


@contextmanager
def _parquet(path: Path, file: BinaryIO) -> Iterator[Any]:
    pyarrow, parquet = need("pyarrow", extra="parquet"), need("pyarrow.parquet", extra="parquet")
    try:
        table = parquet.ParquetFile(file, buffer_size=2**20, pre_buffer=False)  # as it is read, not a row group at once
    except (pyarrow.ArrowException, OSError) as error:
        raise MlshipError(f"{path} is not Parquet: {_first_line(error)}", fix="name a file that fits its ending") from None
    with table:
        yield table


def _is_numbers(pyarrow: Any, batch: Any) -> bool:
    """Whether every value is a finite number, and so the same in CSV, which is written and read many times as fast as objects."""
    types = pyarrow.types
    compute = need("pyarrow.compute", extra="parquet")
    return all(
        column.null_count == 0
        and (
            types.is_integer(column.type) or (types.is_floating(column.type) and compute.all(compute.is_finite(column)).as_py())
        )
        for column in batch.columns
    )


def _csv_lines(pyarrow: Any, batch: Any) -> bytes:
    """Doubles as they are read again; narrower numbers as the doubles that they are in Python."""
    types = pyarrow.types
    columns = [column.cast(pyarrow.float64()) if types.is_floating(column.type) else column for column in batch.columns]
    into = pyarrow.BufferOutputStream()
    csv = need("pyarrow.csv", extra="parquet")
    options = csv.WriteOptions(include_header=False, quoting_style="none")
    csv.write_csv(pyarrow.RecordBatch.from_arrays(columns, names=batch.schema.names), into, options)
    lines: bytes = into.getvalue().to_pybytes()
    return lines


def _plain(pyarrow: Any, batch: Any) -> list[dict[str, Any]]:
    """What JSON can hold: times in microseconds, as Python does; infinite numbers as text, which no feature takes for a missing one.

    Raises ValueError.
    """
    types, compute = pyarrow.types, need("pyarrow.compute", extra="parquet")
    columns = []
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        if types.is_binary(column.type) or types.is_large_binary(column.type) or types.is_fixed_size_binary(column.type):
            raise ValueError(f"the column {name} holds bytes")
        if types.is_timestamp(column.type) and column.type.unit == "ns":
            column = column.cast(pyarrow.timestamp("us", column.type.tz), safe=False)
        columns.append(column)
    rows: list[dict[str, Any]] = pyarrow.RecordBatch.from_arrays(columns, names=batch.schema.names).to_pylist()
    endless = [name for name, column in zip(batch.schema.names, columns, strict=True)
               if types.is_floating(column.type) and compute.any(compute.is_inf(column)).as_py()]  # fmt: skip
    for row in rows if endless else ():
        row.update({name: str(row[name]) for name in endless if row[name] is not None and isinf(row[name])})
    return rows


def _in_chunks(lines: bytes, start: int, form: TextForm) -> Iterator[Chunk]:
    """As one part where it is not too large."""
    if len(lines) <= CHUNK_BYTES:
        yield _chunk(start, lines, form)
        return
    gathered, size = [], 0
    for line in lines.splitlines(keepends=True):
        gathered.append(line)
        size += len(line)
        if size >= CHUNK_BYTES:
            yield _chunk(start, b"".join(gathered), form)
            start, gathered, size = start + len(gathered), [], 0
    if gathered:
        yield _chunk(start, b"".join(gathered), form)


def _chunk(start: int, lines: bytes, form: TextForm) -> Chunk:
    count = lines.count(b"\n")
    return Chunk(start, count, lines, start + count, form)


def _empty(path: Path) -> MlshipError:
    return MlshipError(f"{path} has no rows", fix="name a file of rows with --data", code="no-rows")


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n", 1)[0][:200] or type(error).__name__
