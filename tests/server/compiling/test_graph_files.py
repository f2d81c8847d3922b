"""What is written as an ONNX graph: the file itself, and the trees of XGBoost and LightGBM as their own files keep them."""

from __future__ import annotations

import json
from math import nextafter
from pathlib import Path
from typing import Any

import numpy
import pytest

from mlship.frameworks.onnx_file import Value, read_graph
from mlship.server.boosted_header import Header, columns_of
from mlship.server.compiling import graph_bytes
from mlship.server.compiling.columns import Unfit
from mlship.server.compiling.ensembles import LEQ, LT, MEMBER, Ensemble, node_of, with_start
from mlship.server.compiling.lightgbm_trees import lightgbm_trees
from mlship.server.compiling.xgboost_trees import xgboost_trees
from mlship.server.runtimes.boosted import BoosterSource

ZERO = 1.0000000180025095e-35
LIGHTGBM = """tree
num_tree_per_iteration=1
Tree=0
num_leaves=4
num_cat=1
split_feature=0 1 0
threshold=0 0 -1e-36
decision_type=10 1 0
left_child=1 -1 -2
right_child=2 -3 -4
leaf_value=0.5 0.25 -0.125 2
cat_boundaries=0 2
cat_threshold=6 1
is_linear=0

Tree=1
num_leaves=1
num_cat=0
leaf_value=3
is_linear=0

end of trees
"""


class Booster:
    """What of a booster is read."""

    def __init__(self, said: Any) -> None:
        self.said = said

    def model_to_string(self) -> str:
        return str(self.said)

    def save_raw(self, raw_format: str) -> bytearray:
        assert raw_format == "json"
        return bytearray(json.dumps(self.said).encode())


def test_a_written_graph_says_what_it_takes_and_gives(tmp_path: Path):
    trees = with_start(one_leaf(3.0), numpy.array([1.5]))
    content = graph_bytes.model(
        [node_of(trees, "rows", "sums")],
        graph_bytes.value("rows", "float64", "N", 200),
        graph_bytes.value("sums", "float64", "N", 1),
        [graph_bytes.tensor("kept", numpy.arange(300))],
        {"mlship": "said"},
    )
    (tmp_path / "model.onnx").write_bytes(content)
    found = read_graph(tmp_path / "model.onnx")
    assert (found.inputs, found.outputs) == ((Value("rows", "float64", (-1, 200)),), (Value("sums", "float64", (-1, 1)),))
    assert found.producer == "mlship"


def test_numbers_of_any_size_are_written_in_a_row_as_alone():
    numbers = [0, 1, 127, 128, 16_383, 16_384, 2**24, 2**31]
    assert graph_bytes._varints(numbers) == b"".join(map(graph_bytes._varint, numbers))


def test_lightgbm_keeps_doubles_sets_holes_and_what_counts_as_zero():
    found = lightgbm_trees(BoosterSource("lightgbm", Booster(LIGHTGBM)), header("binary", settings="sigmoid:1"))
    trees = found.trees
    assert trees.members == ((1, 2, 32),)
    assert trees.mode[:3].tolist() == [LEQ, MEMBER, LEQ]
    assert trees.split[:3].tolist() == [ZERO, 0, nextafter(-ZERO, -1)]
    assert (trees.yes[:3].tolist(), trees.no[:3].tolist()) == ([1, 3, 4], [2, 5, 6])
    assert trees.holes_yes[:3].tolist() == [True, False, False]
    assert trees.weight[trees.is_leaf].tolist() == [0.5, 0.25, -0.125, 2, 3]
    assert trees.root.tolist() == [0, 7]


def test_xgboost_keeps_floats_sets_holes_and_where_sums_begin():
    found = xgboost_trees(BoosterSource("xgboost", Booster(xgboost_said())), header("binary:logistic"))
    trees = found.trees
    assert trees.dtype == "float32"
    assert trees.members == ((0, 2),)
    assert trees.mode[:2].tolist() == [LT, MEMBER]
    # what is in the set goes right, and a hole where XGBoost says
    assert (trees.yes[:2].tolist(), trees.no[:2].tolist(), trees.holes_yes[:2].tolist()) == ([1, 4], [2, 3], [True, True])
    assert trees.weight[trees.root[0]] == 0  # base_score 0.5 is a sum of 0


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (LIGHTGBM.replace("is_linear=0", "is_linear=1"), "its leaves hold linear models"),
        (LIGHTGBM.replace("decision_type=10", "decision_type=6"), "it takes 0 for a missing value"),
        (LIGHTGBM.replace("cat_threshold=6 1", "cat_threshold=0 0"), "a set of no categories"),
    ],
)
def test_what_no_graph_says_is_told(text: str, reason: str):
    with pytest.raises(Unfit, match=reason):
        lightgbm_trees(BoosterSource("lightgbm", Booster(text)), header("binary"))


def test_an_objective_that_is_not_known_is_told():
    said = xgboost_said()
    said["learner"]["objective"]["name"] = "my:own"
    with pytest.raises(Unfit, match="its objective is my:own"):
        xgboost_trees(BoosterSource("xgboost", Booster(said)), header("my:own"))


def one_leaf(weight: float) -> Ensemble:
    zero = numpy.zeros(1, dtype="int64")
    leaf = numpy.array([True])
    return Ensemble("float64", zero, zero, zero, zero, zero, ~leaf, leaf, zero, numpy.array([weight]), zero, 1)


def header(objective: str, settings: str = "") -> Header:
    return Header(objective, columns_of(("a", "b"), 2), facts={"settings": settings})


def xgboost_said() -> dict[str, Any]:
    tree = {
        "tree_param": {"size_leaf_vector": "1"},
        "left_children": [1, 3, -1, -1, -1],
        "right_children": [2, 4, -1, -1, -1],
        "split_indices": [0, 1, 0, 0, 0],
        "split_conditions": [0.1, 0, 1.5, 2.5, 3.5],
        "default_left": [1, 0, 0, 0, 0],
        "categories": [0, 2],
        "categories_nodes": [1],
        "categories_segments": [0],
        "categories_sizes": [2],
    }
    numbers = {"num_class": "0", "num_target": "1", "base_score": "[5E-1]"}
    model = {"trees": [tree], "tree_info": [0]}
    booster = {"name": "gbtree", "model": model}
    return {"learner": {"learner_model_param": numbers, "objective": {"name": "binary:logistic"}, "gradient_booster": booster}}
