"""A file falls into the records that the server would see in it, whatever its quotes do, and from any place in it again."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mlship.server import batch_records
from mlship.server.batch_records import Chunk, Records, TooLong, chunks, cut

CELL = st.text('ab",\n ü', max_size=4)


def written(table: list[list[str]]) -> bytes:
    into = io.StringIO()
    csv.writer(into, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows(table)
    return into.getvalue().encode()


@settings(max_examples=50)
@given(st.lists(st.lists(CELL, min_size=1, max_size=3), max_size=6))
@example([["a\n\nb", '"']])
def test_a_record_of_csv_ends_where_csv_ends_it(table: list[list[str]]) -> None:
    body = written(table)
    records = cut(body, "csv")
    assert b"".join(records) == body
    assert [next(csv.reader(io.StringIO(record.decode(), newline=""))) for record in records] == table


@settings(max_examples=50)
@given(
    st.lists(
        st.sampled_from([b"1,2\n", b'"a\nb",1\n', b"\n", b"\r\n", b'"open\n', b'5" x 3",1\n', b'"a"b",1\n', b"1,2"]), max_size=9
    )
)
@example([b'"open\n', b"1,2\n", b'"a\nb",1\n', b"1,2"])
def test_a_file_goes_on_from_the_end_of_any_part_as_if_it_had_not_stopped(lines: list[bytes]) -> None:
    body = b"".join(lines)
    whole = list(chunks(Records(io.BytesIO(body), "csv"), 1))
    for chunk in whole:
        file = io.BytesIO(body)
        file.seek(chunk.end)
        rest = list(chunks(Records(file, "csv", chunk.end), 1, chunk.first + 1))
        assert rest == whole[chunk.first + 1 :]


def test_a_quote_that_is_never_closed_spoils_its_own_line_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    assert cut(b'a,b\n"1,2\n3,4\n5,6\n', "csv") == [b"a,b\n", b'"1,2\n', b"3,4\n", b"5,6\n"]
    monkeypatch.setattr(batch_records, "QUOTED", 5)
    assert cut(b'"1,2\n3,4\n5,6\n7,8\n9",0\n', "csv")[:2] == [b'"1,2\n', b"3,4\n"]


def test_blank_lines_are_no_rows_and_a_last_line_needs_no_end() -> None:
    [chunk] = chunks(Records(io.BytesIO(b'\n{"a": 1}\n  \n\n{"a": 2}'), "jsonl"), 10)
    assert chunk == Chunk(0, 2, b'{"a": 1}\n{"a": 2}\n', 22, "jsonl")


def test_a_record_that_is_too_long_stands_alone_and_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_records, "LONGEST", 8)
    found = list(chunks(Records(io.BytesIO(b"1\n2\n" + b"x" * 30 + b"\n3\n"), "csv"), 10))
    assert found == [
        Chunk(0, 2, b"1\n2\n", 4, "csv"),
        Chunk(2, 1, b"", 35, "csv", TooLong(31, b"x" * 8)),
        Chunk(3, 1, b"3\n", 37, "csv"),
    ]


def test_parts_are_as_many_rows_and_bytes_as_they_may_be_and_end_at_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    file = b"10\n" * 7
    assert [chunk.count for chunk in chunks(Records(io.BytesIO(file), "csv"), 3)] == [3, 3, 1]
    assert [chunk.count for chunk in chunks(Records(io.BytesIO(file), "csv"), 3, limit=4)] == [3, 1]
    monkeypatch.setattr(batch_records, "CHUNK_BYTES", 6)
    assert [chunk.count for chunk in chunks(Records(io.BytesIO(file), "csv"), 3)] == [2, 2, 2, 1]
