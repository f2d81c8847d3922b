"""Where the records of a file of rows end, and how many go together. Standard library only: the command reads the file with it,
and its processes in the image cut a part with it that holds a wrong row.

A record of JSON Lines is a line. A record of CSV may have line feeds within quotes; it ends where Python's csv ends it, because
that is what the server reads CSV with.
"""

from __future__ import annotations

import csv
import io
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Literal

Form = Literal["csv", "jsonl"]

LONGEST = 16_000_000  # bytes of a record; longer ones are rejected unread
QUOTED = 1_000_000  # bytes that a quote may reach over lines; one that goes on is a mistake in its first line
CHUNK_BYTES = 4_000_000  # of a chunk; whatever its rows are, the memory that they take has an end
BLANK = b"\r\n"


@dataclass(frozen=True)
class TooLong:
    """A record that nobody reads. size: bytes. begins: its first characters."""

    size: int
    begins: bytes


@dataclass(frozen=True)
class Chunk:
    """Records that are answered together.

    first: number of the first row in the file, counted from 0. end: where the file goes on behind them. too_long: the one record
    of a chunk without others.
    """

    first: int
    count: int
    body: bytes
    end: int
    form: Form
    too_long: TooLong | None = None


class Records:
    """The records of a file from where it stands; `position` is behind the last one that was given, `size` of blank lines too."""

    def __init__(self, file: BinaryIO, form: Form, position: int = 0) -> None:
        """position: where the file stands."""
        self._file = file
        self.form = form
        self._is_csv = form == "csv"
        self._again: deque[bytes] = deque()
        self.position = position

    def __iter__(self) -> Iterator[bytes | TooLong]:
        while line := self._line():
            if len(line) >= LONGEST and not line.endswith(b"\n"):
                yield self._rest_of(line)
                continue
            record = self._with_its_lines(line) if self._is_csv and b'"' in line else line
            self.position += len(record)
            if line.strip(BLANK) if self._is_csv else line.strip():
                yield record

    def _line(self) -> bytes:
        return self._again.popleft() if self._again else self._file.readline(LONGEST)

    def _rest_of(self, line: bytes) -> TooLong:
        size = len(line)
        while piece := self._file.readline(LONGEST):
            size += len(piece)
            if piece.endswith(b"\n"):
                break
        self.position += size
        return TooLong(size, line[:200])

    def _with_its_lines(self, line: bytes) -> bytes:
        """The line with those that a quote in it reaches over; alone where the quote is never closed."""
        taken = [line]
        if self._is_closed(taken):
            return b"".join(taken)
        self._again.extendleft(reversed(taken[1:]))
        return line

    def _is_closed(self, taken: list[bytes]) -> bool:
        """Adds the lines that belong to the record. False where it does not end."""
        is_open = False

        def lines() -> Iterator[str]:
            nonlocal is_open
            size = 0
            # one byte a character: what csv looks for is ASCII, and that stands in no other character of UTF-8
            yield taken[0].decode("latin-1")
            while size <= QUOTED and (line := self._line()):
                size += len(line)
                taken.append(line)
                yield line.decode("latin-1")
            is_open = True

        usual = csv.field_size_limit(LONGEST)  # the server's own limit judges the record, and must not end it
        try:
            next(csv.reader(lines(), strict=True), None)
        except csv.Error:
            return not is_open
        finally:
            csv.field_size_limit(usual)
        return True


def chunks(records: Records, rows: int, first: int = 0, limit: int | None = None) -> Iterator[Chunk]:
    """The records, some together. rows: in a chunk at most. first: number of the next row. limit: rows in all, first ones too."""
    gathered: list[bytes] = []
    size, number, end = 0, first, records.position
    for record in records:
        if limit is not None and number >= limit:
            break
        if gathered and (isinstance(record, TooLong) or len(gathered) >= rows or size >= CHUNK_BYTES):
            yield Chunk(number - len(gathered), len(gathered), b"".join(gathered), end, records.form)
            gathered, size = [], 0
        number, end = number + 1, records.position
        if isinstance(record, TooLong):
            yield Chunk(number - 1, 1, b"", end, records.form, record)
        else:
            gathered.append(record if record.endswith(b"\n") else record + b"\n")
            size += len(record)
    if gathered:
        yield Chunk(number - len(gathered), len(gathered), b"".join(gathered), end, records.form)


def cut(body: bytes, form: Form) -> list[bytes]:
    """The records of a part of a file, which is in memory."""
    return [record for record in Records(io.BytesIO(body), form) if isinstance(record, bytes)]
