"""Rows of a user's data in the types of the features, holes and categories among them."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from mlship.errors import MlshipError
from mlship.frameworks.table import read_table, sample_from_data
from mlship.server.manifest import Feature

AGE, SEX = Feature("age", "float64", nullable=True), Feature("sex", "string", nullable=True)


def written(tmp_path: Path, text: str, name: str = "data.csv") -> Path:
    (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path / name


def test_a_long_cell_is_read_and_the_limit_of_the_process_stays(tmp_path: Path) -> None:
    usual = csv.field_size_limit()
    file = written(tmp_path, f"note\n{'x' * 200_000}\n")
    assert len(read_table(file, (), None, None).rows[0][0]) == 200_000
    assert csv.field_size_limit() == usual


def test_values_get_the_types_of_their_features_and_other_columns_are_left_out(tmp_path: Path) -> None:
    file = written(tmp_path, "id,sex,age,zip,ok\n1,m,30,00123,True\n2,,NaN,00124,False\n")
    features = (AGE, SEX, Feature("zip", "string"), Feature("ok", "any"))
    assert sample_from_data(file, features) == (
        {"age": 30.0, "sex": "m", "zip": "00123", "ok": True},
        {"age": None, "sex": None, "zip": "00124", "ok": False},
    )


def test_columns_of_unknown_type_are_read_as_pandas_would(tmp_path: Path) -> None:
    file = written(tmp_path, "a,b,c,d\n1,1,x,1.5\n2,,y,2\n")
    assert sample_from_data(file) == ({"a": 1, "b": 1.0, "c": "x", "d": 1.5}, {"a": 2, "b": None, "c": "y", "d": 2.0})


@pytest.mark.parametrize("mark", [";", "\t", "|"])
def test_the_delimiter_is_seen(tmp_path: Path, mark: str) -> None:
    file = written(tmp_path, f"\ufeffage{mark}sex\n30{mark}m\n")
    assert sample_from_data(file, (AGE, SEX)) == ({"age": 30.0, "sex": "m"},)


def test_twenty_rows_show_every_category_and_a_hole(tmp_path: Path) -> None:
    lines = [f"{index},{'rare' if index == 777 else 'often'},{'' if index == 900 else 1}" for index in range(1000)]
    file = written(tmp_path, "id,sex,age\n" + "\n".join(lines) + "\n")
    rows = sample_from_data(file, (AGE, SEX))
    assert len(rows) == 20
    assert {row["sex"] for row in rows} == {"often", "rare"} and {row["age"] for row in rows} == {1.0, None}


def test_rows_with_a_hole_where_none_may_be_are_left_out(tmp_path: Path) -> None:
    file = written(tmp_path, "age\n\n1\nNA\n2\n")
    assert sample_from_data(file, (Feature("age", "float64"),)) == ({"age": 1.0}, {"age": 2.0})
    with pytest.raises(MlshipError, match=r"no row of data\.csv has a value in every feature that needs one"):
        sample_from_data(written(tmp_path, "age\nNA\n"), (Feature("age", "float64"),))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("d.json", json.dumps([{"age": 30, "sex": "m"}, {"age": None}])),
        ("d.json", json.dumps({"instances": [{"age": 30, "sex": "m"}, {"age": None}]})),
        ("d.jsonl", '{"age": 30, "sex": "m"}\n\n{"age": null}\n'),
    ],
)
def test_json_is_read_too(tmp_path: Path, name: str, text: str) -> None:
    assert sample_from_data(written(tmp_path, text, name), (AGE, SEX)) == ({"age": 30, "sex": "m"}, {"age": None, "sex": None})


def test_a_model_without_names_takes_the_columns_by_position(tmp_path: Path) -> None:
    file = written(tmp_path, "length,width\n1,2\n")
    assert sample_from_data(file, (Feature("x0"), Feature("x1"))) == ({"x0": 1.0, "x1": 2.0},)


def test_the_target_beside_unnamed_columns_is_named(tmp_path: Path) -> None:
    file = written(tmp_path, "length,width,label\n1,2,0\n")
    with pytest.raises(MlshipError) as caught:
        sample_from_data(file, (Feature("x0"), Feature("x1")))
    assert caught.value.what == (
        "data.csv has 3 columns (length, width, label); the model was trained on 2, without their names"
    ).replace("data.csv", file.name)
    assert "without the target" in caught.value.fix


def test_a_text_model_takes_the_longest_text_as_bare_strings(tmp_path: Path) -> None:
    file = written(tmp_path, 'id,review\n1,"good, really"\n2,bad\n')
    assert sample_from_data(file, (Feature("text", "string"),)) == ("good, really", "bad")


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("d.csv", "agee,sex\n1,m\n", "d.csv lacks age, which the model was trained with; did you mean agee"),
        ("d.csv", "age,sex\nold,m\n", "the column age should be float64: could not convert string"),
        ("d.csv", "age,sex\ninf,m\n", "'inf' is not finite"),
        ("d.csv", "age,sex\n1\n", "row 2 has 1 values under 2 columns"),
        ("d.csv", "age,age\n1,2\n", "the header line is missing, or names a column twice"),
        ("d.csv", "age,sex\n", "d.csv holds no rows"),
        ("d.json", "{", "d.json cannot be read"),
        ("d.json", '{"a": 1}', "it is no list of rows"),
        ("d.json", '[1, {"age": 1}]', "its rows are not all objects"),
        ("d.xlsx", "x", "d.xlsx is of no kind that can be read"),
        ("d.parquet", "x", "d.parquet needs the training environment to be read"),
    ],
)
def test_data_that_cannot_be_used_is_named(tmp_path: Path, name: str, text: str, words: str) -> None:
    with pytest.raises(MlshipError) as caught:
        sample_from_data(written(tmp_path, text, name), (AGE, SEX))
    assert words in caught.value.what


def test_text_that_is_not_utf_8_and_missing_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_bytes("age\nM\xfcller\n".encode("latin-1"))
    with pytest.raises(MlshipError, match=r"d\.csv is not UTF-8 text"):
        sample_from_data(tmp_path / "d.csv")
    with pytest.raises(MlshipError, match="there is no file"):
        sample_from_data(tmp_path / "nothing.csv")


def test_whole_numbers_and_truths_are_read_exactly(tmp_path: Path) -> None:
    file = written(tmp_path, "n,b\n12345678901234567,1\n2.0,false\n")
    assert sample_from_data(file, (Feature("n", "int64"), Feature("b", "bool"))) == (
        {"n": 12345678901234567, "b": True},
        {"n": 2, "b": False},
    )
    for text, words in (("n,b\n2.5,1\n", "'2.5' is no whole number"), ("n,b\n2,maybe\n", "'maybe' is neither true nor false")):
        with pytest.raises(MlshipError, match=words):
            sample_from_data(written(tmp_path, text), (Feature("n", "int64"), Feature("b", "bool")))
