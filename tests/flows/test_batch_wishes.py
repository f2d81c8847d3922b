"""What a batch is asked for is judged by names alone, before anything is read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from mlship.cli.app import run
from mlship.errors import MlshipError
from mlship.flows.batch import pace_of
from mlship.flows.batching.files import Reached
from mlship.flows.batching.processes import Done, halves, joined, rejected
from mlship.flows.batching.wishes import Wishes, form_of, refuse_same
from mlship.server.batch_records import Chunk, TooLong


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--data", "models:/in/3", "--out", "a.csv"], "--data models:/in/3: models: is not yet read as data"),
        (["--data", "in.csv", "--out", "gs://bucket/a.csv"], "--out gs://bucket/a.csv: gs: is not yet written"),
        (["--data", "s3://", "--out", "a.csv"], "write s3://BUCKET/"),
        (["--data", "s3://bucket/in.csv"], "mlship predict -C {} --data s3://bucket/in.csv --out answers.csv"),
        (["--data", "in.xlsx", "--out", "a.csv"], "--data in.xlsx is of no form that is known by its name"),
        (["--data", "in.csv", "--out", "a"], "name a file that ends in .csv, .jsonl or .parquet"),
        (["--data", "in.parquet"], "mlship predict -C {} --data in.parquet --out answers.csv"),
        (["--data", "in.csv", "--limit", "5"], "--limit is for the rows of a file"),
        (["--out", "a.csv"], "--out is for the rows of a file"),
        (["--data", "in.csv", "--out", "a.csv", "--header", "maybe"], "--header maybe is neither yes nor no"),
        (["--data", "gone.csv", "--out", "a.csv"], "gone.csv cannot be read: No such file or directory"),
        (["--data", "in.csv", "--out", "in.csv"], "in.csv is the data, and would be written over"),
    ],
)
def test_what_cannot_be_is_refused_with_what_to_write(
    words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["predict", "-C", str(tmp_path), *words]) == 2
    assert said.format(tmp_path) in capsys.readouterr().err


def test_rejects_stand_beside_the_answers() -> None:
    wishes = Wishes(Path("/a/in.jsonl"), Path("/a/out.parquet"), "jsonl", "parquet")
    assert wishes.rejects == Path("/a/out.parquet.rejects.jsonl")
    assert wishes.rejects != replace(wishes, out=Path("/a/out.jsonl")).rejects
    with pytest.raises(MlshipError, match="would be written over"):
        refuse_same(Wishes(Path("/a/out.csv.rejects.jsonl"), Path("/a/out.csv"), "jsonl", "csv"))
    assert [form_of(name, "") for name in ("A.CSV", "s3://bucket/a.ndjson")] == ["csv", "jsonl"]
    remote = replace(wishes, out_address="s3://bucket/day/out.parquet")
    assert remote.rejects_address == "s3://bucket/day/out.parquet.rejects.jsonl"


def test_the_pace_is_of_this_run_and_the_time_left_of_what_is_asked() -> None:
    began, now = Reached(position=1_000, rows=10), Reached(position=3_000, rows=4_010)
    assert pace_of(began, now, 2.0, 133_000, None) == "4,010 rows, 2,000 rows/s, 02:10 left"
    assert pace_of(began, now, 2.0, 133_000, limit=6_010) == "4,010 rows, 2,000 rows/s, 00:01 left"


def test_a_chunk_that_ends_a_process_falls_into_halves_and_is_one_again() -> None:
    chunk = Chunk(10, 3, b'1\n"2\n2"\n3\n', 99, "csv")
    first, second = halves(chunk)
    assert (first.first, first.count, first.body) == (10, 1, b"1\n")
    assert (second.first, second.count, second.body) == (11, 2, b'"2\n2"\n3\n')
    lost = rejected(first, "the model's process was killed by signal 11")
    told = {"answered": 2, "rejected": 0, "failed": 0, "heads": ["row\n"], "reason": ""}
    whole = joined(chunk, [lost, Done(second, told, b"11\n12\n")])
    assert whole.told == {
        "answered": 2,
        "rejected": 1,
        "failed": 1,
        "heads": ["row\n"],
        "reason": "row 10: the model's process was killed by signal 11",
    }
    assert (whole.chunk, whole.answers) == (chunk, b"11\n12\n")


def test_a_record_that_nobody_reads_is_no_failure_of_the_model() -> None:
    done = rejected(Chunk(5, 1, b"", 99, "csv", TooLong(20_000_000, b"x" * 9)), "it is long")
    assert (done.told["failed"], done.told["reason"]) == (0, "row 5: it is long")
    assert b'"data": "xxxxxxxxx"' in done.rejects
