"""What graphs and modules take, as features of a row, and rows as their tensors; no framework is needed to tell."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mlship.server.manifest import Feature
from mlship.server.runtimes.base import LoadError
from mlship.server.runtimes.graph_inputs import Input, Layout, feeds, layout
from mlship.server.runtimes.onnx import named_outputs
from mlship.server.runtimes.onnx_session import said
from mlship.server.runtimes.torch_observed import observed_layout


def test_one_table_of_floats_is_an_array_with_the_names_of_the_sample() -> None:
    known = layout([Input("X", "float32", (-1, 3))])
    assert (known.container, [feature.name for feature in known.features]) == ("array", ["x0", "x1", "x2"])
    named = known.signature(({"a": 1.0, "b": 2.0, "c": 3.0},))
    assert ([feature.name for feature in named.inputs], named.named, named.tensor) == (["a", "b", "c"], True, "X")
    assert not known.signature(({"a": 1.0},)).named
    fed = feeds(known, np.zeros((2, 3), "float64"))["X"]
    assert (fed.shape, fed.dtype) == ((2, 3), np.float32)


@pytest.mark.parametrize(("dtype", "value"), [("int64", 2**53 + 1), ("string", "a")])
def test_one_table_of_anything_else_is_put_together_from_its_columns(dtype: str, value: Any) -> None:
    known = layout([Input("X", dtype, (-1, 2))])
    assert known.container == "tensors"
    rows = {name: np.array([value], dtype=object if dtype == "string" else dtype) for name in ("x0", "x1")}
    assert feeds(known, rows)["X"].tolist() == [[value, value]]


def test_several_inputs_are_features_and_a_column_of_one_value_is_that_value() -> None:
    given = [Input("age", "int64", (-1, 1)), Input("flat", "float32", (-1,)), Input("image", "float32", (-1, 1, 8, -1))]
    known = layout(given)
    assert known.features == (
        Feature("age", "int64"),
        Feature("flat", "float32"),
        Feature("image", "float32", shape=(1, 8, -1)),
    )
    rows = {"age": np.array([3, 4]), "flat": np.zeros(2, "f4"), "image": np.zeros((2, 1, 8, 5), "f4")}
    assert [array.shape for array in feeds(known, rows).values()] == [(2, 1), (2,), (2, 1, 8, 5)]
    assert feeds(known, known.blank())["image"].shape == (1, 1, 8, 1)
    turned = dict(reversed(rows.items()))
    assert all(feeds(known, turned)[name].shape == array.shape for name, array in feeds(known, rows).items())


def test_a_table_of_unknown_width_is_as_wide_as_the_rows() -> None:
    known = layout([Input("X", "float32", (-1, -1))])
    assert (known.features, known.container, known.blank()) == ((), "array", None)
    assert feeds(known, np.zeros((4, 7)))["X"].shape == (4, 7)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (Input("X", "float32", (8, 3)), "takes 8 rows at a time"),
        (Input("X", "", (-1, 3)), "is no tensor of numbers or strings"),
    ],
)
def test_what_takes_no_rows_is_refused(given: Input, words: str) -> None:
    with pytest.raises(LoadError, match=words):
        layout([given])


def output(name: str, kind: str = "tensor(float)", shape: tuple[Any, ...] = ("N", 4)) -> Any:
    return SimpleNamespace(name=name, type=kind, shape=list(shape))


def test_outputs_have_the_names_that_callers_know() -> None:
    zipped = named_outputs(
        [output("output_label", "tensor(int64)", (None,)), output("output_probability", "seq(map(int64,tensor(float)))")]
    )
    assert [(each.names, each.is_zipped) for each in zipped] == [(("predictions",), False), (("probabilities",), True)]
    assert [each.names for each in named_outputs([output("scores"), output("pooled")])] == [("predictions",), ("pooled",)]
    both = named_outputs([output("scores"), output("pooled")], also_own=True)
    assert [each.names for each in both] == [("predictions", "scores"), ("pooled",)]
    assert [each.names for each in named_outputs([output("a"), output("predictions")])] == [("a",), ("predictions",)]
    with pytest.raises(LoadError, match=r"the output boxes is seq\(tensor\(float\)\), which has no form in JSON"):
        named_outputs([output("boxes", "seq(tensor(float))")])


def test_what_onnxruntime_says_loses_its_codes() -> None:
    long = (
        "[ONNXRuntimeError] : 2 : INVALID_ARGUMENT : Non-zero status code. Name:'' Status Message: idx=9 is out of bounds\nmore"
    )
    assert said(RuntimeError(long)) == "idx=9 is out of bounds"
    assert said(RuntimeError("[ONNXRuntimeError] : 7 : INVALID_PROTOBUF : it failed: parsing")) == "it failed: parsing"


def unknown(*names: str) -> Layout:
    return Layout(tuple(Input(name, "float32", ()) for name in names), (), "array", is_one_table=True)


def takes(width: int, dtype: str = "float32") -> Any:
    def run(fed: Mapping[str, Any]) -> None:
        (array,) = fed.values()
        if array.dtype != dtype or (width and array.shape[1:] != (width,)):
            raise ValueError(f"mat1 and mat2 do not fit\n{array.shape}")

    return run


def module(*widths: int) -> Any:
    parts = [SimpleNamespace(in_features=width) for width in widths]
    return SimpleNamespace(modules=lambda: parts, parameters=list)


def test_a_module_is_tried_with_what_its_layers_say() -> None:
    assert len(observed_layout(unknown("x"), takes(4), module(9, 4, 2), ()).features) == 4
    assert observed_layout(unknown("x"), takes(5), module(9, 4), ()).features == ()


def test_rows_of_a_sample_show_names_dtypes_and_shapes() -> None:
    named = observed_layout(unknown("x"), takes(2), module(), ({"a": 1.5, "b": 2},))
    assert [(feature.name, feature.dtype) for feature in named.features] == [("a", "float32"), ("b", "float32")]
    words = observed_layout(unknown("ids"), takes(0, "int64"), module(), ([3, 4, 5],))
    assert words.features == (Feature("ids", "int64", shape=(-1,)),)
    fixed = observed_layout(unknown("ids"), takes(3, "int64"), module(), ({"ids": [3, 4, 5]},))
    assert fixed.features == (Feature("ids", "int64", shape=(3,)),)
    images = ([[[1, 2], [3, 4]]], [[[1, 2, 3], [3, 4, 5]]])
    assert observed_layout(unknown("image"), takes(0), module(), images).features[0].shape == (1, 2, -1)
    with pytest.raises(LoadError, match="does not take a row of 3 numbers, as in the sample: mat1 and mat2 do not fit"):
        observed_layout(unknown("x"), takes(2), module(), ([1.5, 2.5, 3.5],))


def test_a_module_of_several_inputs_needs_a_sample_with_their_names() -> None:
    found = observed_layout(unknown("ids", "dense"), lambda fed: None, module(), ({"ids": [1, 2], "dense": [0.5, 1]},))
    assert found.features == (Feature("ids", "int64", shape=(-1,)), Feature("dense", "float32", shape=(2,)))
    for sample in ((), ([1, 2],), ({"ids": [1]},)):
        with pytest.raises(LoadError, match=r"forward takes ids, dense: what they are only a sample shows"):
            observed_layout(unknown("ids", "dense"), lambda fed: None, module(), sample)
