"""Rows of the user's own files: evenly drawn, the same ones each time, and whatever is wrong with a file is said at its key."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from pyarrow import parquet

from mlship.config.load import load_project
from mlship.flows.evidence import MOST_ROWS, Evidence, drawn, evidence_of, unused
from mlship.frameworks.engine_choice import REFERENCE
from mlship.memo import FORGETFUL
from mlship.server.compiling.given_rows import given_rows
from mlship.server.manifest import Feature, Signature

TWO = Signature((Feature("size"), Feature("kind", "string")), named=True)


def evidence(folder: Path, said: str) -> Evidence:
    file = folder / "mlship.yaml"
    file.write_text(f"name: shop\nmodel:\n  uri: a.joblib\n{said}")
    project = load_project(file)
    return evidence_of(project, "model", dict(project.models)["shop"], FORGETFUL)


def told(found: Evidence) -> list[tuple[str, str, str]]:
    return [(finding.where, finding.what, finding.fix) for finding in found.findings]


def write_rows(file: Path, rows: list[dict[str, Any]]) -> None:
    if file.suffix == ".parquet":
        parquet.write_table(pyarrow.Table.from_pylist(rows), file, row_group_size=300)
    elif file.suffix == ".csv":
        text = io.StringIO()
        writer = csv.DictWriter(text, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
        file.write_text(text.getvalue(), newline="")
    else:
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_rows_of_any_form_are_drawn_evenly_from_the_whole_file(ending: str, tmp_path: Path) -> None:
    rows = [{"id": f"n{at}", "kind": f'a, "b"\n{at % 3}', "size": at / 2, "label": at % 2} for at in range(1700)]
    write_rows(tmp_path / f"train.{ending}", rows)
    [file] = evidence(tmp_path, f"  reference: train.{ending}\n  holdout: {{data: train.{ending}, label: label}}\n").files[:1]
    request = drawn(file)
    numbers = request["numbers"]
    assert MOST_ROWS[REFERENCE] // 2 <= len(numbers) <= MOST_ROWS[REFERENCE]
    assert numbers == list(range(0, 1700, 8))
    given = given_rows(json.loads(json.dumps(request)), TWO)
    assert given.rows == [[rows[at]["size"], rows[at]["kind"]] for at in numbers]
    assert drawn(file) == request


def test_labels_come_with_their_rows(tmp_path: Path) -> None:
    write_rows(tmp_path / "holdout.csv", [{"label": "yes", "size": 1, "kind": "a"}, {"label": "no", "size": 2.5, "kind": ""}])
    [file] = evidence(tmp_path, "  holdout: {data: holdout.csv, label: label}\n").files
    given = given_rows(drawn(file), TWO)
    assert (given.rows, given.labels) == ([[1, "a"], [2.5, ""]], ["yes", "no"])


def test_what_is_wrong_with_a_file_is_said_at_its_key(tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.csv", [{"size": 1, "churned": 0}])
    (tmp_path / "bare.csv").write_text("1.5,2.5\n3,4\n")
    (tmp_path / "bare.jsonl").write_text("[1, 2]\n")
    (tmp_path / "folder.csv").mkdir()
    assert told(evidence(tmp_path, "  reference: rows.xlsx\n  holdout: {data: rows.csv, label: churnd}\n")) == [
        (
            "mlship.yaml:4:3 model.reference",
            "rows.xlsx is of no form that is known by its name",
            "name a file that ends in .csv, .jsonl or .parquet",
        ),
        ("mlship.yaml:5:29 model.holdout.label", "rows.csv has no column churnd", "did you mean churned?"),
    ]
    for said, what in (
        ("none.csv", "there is no file none.csv"),
        ("folder.csv", "folder.csv is not a regular file"),
        ("bare.csv", "the first line of bare.csv is no header: it has numbers in it"),
        ("bare.jsonl", "the rows of bare.jsonl are no objects, and only these have a column that can be named"),
    ):
        [(where, found, _)] = told(evidence(tmp_path, f"  holdout: {{data: {said}, label: y}}\n"))
        assert (where, found) == ("mlship.yaml:4:13 model.holdout.data", what)


def test_columns_that_pandas_counts_are_a_header(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("0,1,target\n1.5,2.5,1\n")
    assert evidence(tmp_path, "  reference: train.csv\n").files[0].head == "0,1,target\n"


def test_files_that_prove_nothing_are_told(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("size,target\n1.5,1\n")
    both = evidence(tmp_path, "  reference: train.csv\n  holdout: {data: train.csv, label: target}\n")
    [note] = unused(both, "shop", "models of torch have no compiled form")  # drift is measured against reference
    assert (note.severity, note.where) == ("note", "mlship.yaml:5:13 model.holdout.data")
    assert note.what == "model.holdout proves nothing of shop: models of torch have no compiled form"
    tested = evidence(tmp_path, "  holdout: {data: train.csv, label: target, min: {accuracy: 0.9}}\n")
    assert tested.files and not unused(tested, "shop", "model.engine is original")
