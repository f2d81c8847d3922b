"""Small files of several versions of each library, made by tests/server/golden/boosted/make.py: what is read of their bytes."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from mlship.server import boosted_catboost, boosted_lightgbm, boosted_xgboost
from mlship.server.boosted_header import Column, Header, example_rows
from mlship.server.pickle_open import Refused
from mlship.server.skim import skimmed

GOLDEN = Path(__file__).parent / "golden" / "boosted"
READERS: dict[str, Callable[[Path], Header]] = {
    "xgboost": boosted_xgboost.header,
    "lightgbm": boosted_lightgbm.header,
    "catboost": boosted_catboost.header,
}
NAMED = ("age", "dose", "site")
FILES = sorted(path.name for path in GOLDEN.iterdir() if path.suffix != ".py")


def read(name: str) -> Header:
    return READERS[name.partition("-")[0]](GOLDEN / name)


@pytest.mark.parametrize("name", FILES)
def test_a_file_tells_its_columns_its_classes_and_its_version(name: str) -> None:
    library, version, kind = name.rsplit(".", 1)[0].split("-")
    found = read(name)
    assert found.version == ("" if library == "lightgbm" or (library, version) == ("catboost", "1.2") else version)
    if kind == "named":
        assert tuple(column.name for column in found.columns) == NAMED
        assert found.columns[2].kind == "category"
        assert (found.task, found.labels) == ("binary", ("no", "yes") if library == "catboost" else (0, 1))
    else:
        assert [(column.name, column.kind) for column in found.columns] == [(f"x{place}", "number") for place in range(3)]
        assert (found.task, found.labels, found.is_named) == ("multiclass", (0, 1, 2), False)


def test_words_of_categories_are_known_where_the_library_keeps_them() -> None:
    words = {
        name: read(name).columns[2].words
        for name in FILES
        if name.endswith(("named.json", "named.ubj", "named.txt", "named.cbm"))
    }
    known = {name for name, found in words.items() if found == ("left", "mid", "right")}
    assert known == {name for name in words if name.startswith(("xgboost-3.2", "lightgbm"))}
    assert all(words[name] is None for name in words.keys() - known)


def test_numbers_as_categories_keep_their_type() -> None:
    document = {"learner": {"learner_model_param": {"num_feature": "1"}, "objective": {"name": "reg:squarederror"},
                            "feature_types": ["c"], "gradient_booster": {"gbtree": {"model": {"cats": {
                                "enc": [{"type": 15, "values": [10, 11]}]}}}, "name": "dart"}}}  # fmt: skip
    assert boosted_xgboost.header_of(json.dumps(document).encode()).columns == (Column("x0", "category", (10, 11)),)


def test_a_wrapped_regressor_is_none_though_its_objective_has_classes() -> None:
    learner = {"learner_model_param": {"num_feature": "1"}, "objective": {"name": "binary:logistic"},
               "attributes": {"scikit_learn": '{"_estimator_type": "regressor"}'}, "gradient_booster": {"name": "gbtree"}}  # fmt: skip
    assert boosted_xgboost.header_of(json.dumps({"learner": learner}).encode()).task == "value"


def test_categories_that_name_no_columns_are_not_guessed() -> None:
    text = (GOLDEN / next(name for name in FILES if name.startswith("lightgbm") and "named" in name)).read_bytes()
    two = text.replace(b'[["left", "mid", "right"]]', b'[["left", "mid", "right"], ["s", "m"]]')
    found = boosted_lightgbm.header_of(two)
    assert not found.facts["is_told"]
    assert all(column.words is None for column in found.columns)


@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_is_refused_and_never_a_trace(name: str, tmp_path: Path) -> None:
    whole = (GOLDEN / name).read_bytes()
    draw = random.Random(7)
    path = tmp_path / name
    reader = READERS[name.partition("-")[0]]
    for _ in range(30):
        content = bytearray(whole[: draw.randrange(8, len(whole))] if draw.random() < 0.3 else whole)
        for _ in range(draw.randrange(1, 6)):
            content[draw.randrange(4, len(content))] = draw.randrange(256)
        path.write_bytes(content)
        with suppress(Refused):
            reader(path)


@pytest.mark.parametrize(
    "content",
    [
        b"{" * 100_000,
        b'{"learner":' * 1000 + b"1",
        b'{"learner": {"attributes": "' + b"x" * 100,
        b"{L" + (2**62).to_bytes(8, "big") + b"learner",
        b"{L\0\0\0\0\0\0\0\1a[$d#L" + (2**62).to_bytes(8, "big"),
        b"{L\0\0\0\0\0\0\0\1a[$Z#L" + (2**40).to_bytes(8, "big"),
        b"{L\0\0\0\0\0\0\0\1a" + b"[" * 5000,
        b"{L\0\0\0\0\0\0\0\1a[#L" + (-1).to_bytes(8, "big", signed=True),
    ],
)
def test_hostile_documents_end_at_once(content: bytes) -> None:
    with pytest.raises(Refused):
        boosted_xgboost.header_of(content)


@pytest.mark.parametrize(
    "line",
    [
        b"max_feature_idx=99999999999",
        b"max_feature_idx=-7",
        b"num_class=99999999999",
        b"feature_names=a b",
        b"pandas_categorical:" + b"[" * 100_000,
        b"pandas_categorical:{}",
        b"num_class=x",
    ],
)
def test_a_text_that_counts_what_no_model_has_is_refused(line: bytes) -> None:
    text = (GOLDEN / next(name for name in FILES if name.startswith("lightgbm-4") and "plain" in name)).read_bytes()
    key = line[: max(line.find(b"="), line.find(b":")) + 1]
    start = text.index(key)
    with pytest.raises(Refused):
        boosted_lightgbm.header_of(text[:start] + line + text[text.index(b"\n", start) :])


def test_what_is_not_wanted_is_passed_over_whatever_stands_in_it() -> None:
    text = rb'{"a": {"x": "}\"]{", "y": [[1, {"z": "\\"}]]}, "b": 1.5e3, "c": {"d": [1, 2], "e": null}, "f": true}'
    assert skimmed(text, {"b": True, "c": {"d": True}, "f": True}) == {"b": 1500.0, "c": {"d": [1, 2]}, "f": True}


def test_a_text_without_an_end_is_looked_at_once() -> None:
    with pytest.raises(Refused, match="the end is missing"):
        skimmed(b'{"a": ["' + rb"\"" * 100_000, {"b": True})


def test_features_that_share_their_names_and_borders_are_refused() -> None:
    raw = (GOLDEN / next(name for name in FILES if name.endswith("named.cbm"))).read_bytes()
    short = boosted_catboost._Buffer(raw, 8, len(raw))
    short._spend(len(raw) - 8)
    with pytest.raises(ValueError, match="parts that overlap"):
        short._spend(1)


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_tells_enough_makes_rows_of_its_own_for_a_sample(name: str) -> None:
    found = read(name)
    rows = example_rows(found)
    if "named" in name and not name.startswith(("xgboost-3.2", "lightgbm")):
        assert rows == ()  # words of its categories are not in it
        return
    assert len(rows) == 6
    assert all(column.span is None or column.span[0] <= column.span[1] for column in found.columns)
    if found.is_named:
        assert [row["site"] for row in rows] == ["left", "mid", "right", "left", "mid", None]
        assert rows[5]["age"] is None and rows[0]["age"] < rows[4]["age"]
    else:
        assert rows[0][1] < rows[4][1] and rows[5][0] is None
