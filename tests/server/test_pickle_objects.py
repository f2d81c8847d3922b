"""Files of known names alone, put together so that they do harm: none is loaded."""

from __future__ import annotations

import functools
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import StackingClassifier
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.feature_selection import SelectFromModel
from sklearn.metrics import accuracy_score, make_scorer
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.utils import Bunch

from mlship.server.pickle_load import load
from mlship.server.pickle_scan import Refused

ADDRESS = {"data": (0x41414141, False), "shape": (2,), "typestr": "<f8", "version": 3}


class Made:
    """Pickles as the call of a function, with a state."""

    def __init__(self, *reduced: Any) -> None:
        self.reduced = reduced

    def __reduce__(self) -> Any:
        return self.reduced


def having(made: Any, **attributes: Any) -> Any:
    made.__dict__.update(attributes)
    return made


def array_of(dtype: Any, content: Any) -> Made:
    return Made(np._core.multiarray._reconstruct, (np.ndarray, (0,), b"b"), (1, (1,), dtype, False, content))


def dtype(code: str, *state: Any) -> Made:
    return Made(np.dtype, (code, False, True), state)


def scorer_of_a_frame() -> Any:
    scorer = make_scorer(accuracy_score)
    scorer._response_method = "eval"
    return FunctionTransformer(functools.partial(scorer, pd.DataFrame(), "@__builtins__"))


OBJECTS: dict[str, tuple[str, Callable[[], Any]]] = {
    "any method of any object": (
        "StackingClassifier(stack_method_='tofile') would call a method that is none of a model's",
        lambda: having(StackingClassifier([]), stack_method_=["tofile"], estimators_=[np.zeros(1)]),
    ),
    "pandas' eval by a scorer": ("_response_method='eval') would call a method", scorer_of_a_frame),
    "a scorer with arguments of the file": (
        "a _Scorer called as a function",
        lambda: FunctionTransformer(functools.partial(make_scorer(accuracy_score), pd.DataFrame(), "x")),
    ),
    "a path to the globals": (
        "(importance_getter='fit.__globals__') would reach into Python itself",
        lambda: SelectFromModel(StandardScaler(), importance_getter="fit.__globals__"),
    ),
    "files that callers name": (
        "(input='filename') would read files of the server that callers name",
        lambda: CountVectorizer(input="filename"),
    ),
    "a method replaced": ("its method transform replaced", lambda: having(StandardScaler(), transform=np.clip)),
    "an address in memory": (
        "sets what only Python itself sets",
        lambda: having(StandardScaler(), __array_interface__=ADDRESS),
    ),
    "tags that lie": ("has the attribute '__sklearn_tags__'", lambda: having(StandardScaler(), __sklearn_tags__=np.clip)),
    "arrays of a foreign buffer": ("a Maker called as a function", lambda: functools.partial(np.ndarray, (1,), "O")),
    "estimators made while predicting": (
        "a Maker called as a function",
        lambda: functools.partial(StackingClassifier, estimators=[]),
    ),
    "an array in the place of an index": (
        "no class of Index",
        lambda: Made(pd.core.indexes.base._new_Index, (np.ndarray, {"shape": (1,), "buffer": b"A" * 8, "order": "C"})),
    ),
    "a function of numpy called": ("calls numpy.asarray", lambda: Made(np.asarray, ([1],))),
    "an estimator called": ("calls sklearn.preprocessing", lambda: Made(StandardScaler, (True,))),
    "numbers that say they are objects": (
        "calls numpy.dtypes.Int64DType",
        lambda: array_of(Made(np.dtypes.Int64DType, (), (3, "<", None, None, None, -1, -1, 63)), [1]),
    ),
    "objects that say they are numbers": (
        "says of itself what it is not",
        lambda: array_of(dtype("V8", 3, "|", None, ("a",), {"a": (np.dtype("O"), 0)}, 8, 1, 0), b"A" * 8),
    ),
    "an order that is none": ("says of itself", lambda: dtype("i8", 3, "|x", None, None, None, -1, -1, 0)),
}


def refuses(path: Path, words: str) -> None:
    with pytest.raises(Refused) as caught:
        load(path)
    assert words in str(caught.value) and caught.value.kind == "hidden-call"


@pytest.mark.parametrize("case", OBJECTS)
@pytest.mark.parametrize("protocol", [2, 4])
def test_known_names_that_are_put_together_to_do_harm_are_refused(tmp_path: Path, case: str, protocol: int) -> None:
    words, make = OBJECTS[case]
    path = tmp_path / "model.pkl"
    path.write_bytes(pickle.dumps(make(), protocol))
    refuses(path, words)


def test_the_same_is_refused_inside_an_array_of_objects(tmp_path: Path) -> None:
    path = tmp_path / "model.joblib"
    joblib.dump([np.array([OBJECTS["an address in memory"][1](), None], dtype=object)], path)
    refuses(path, "sets what only Python itself sets")


def test_words_that_come_into_a_list_later_are_read_too(tmp_path: Path) -> None:
    model = having(StackingClassifier([]), stack_method_=["predict"], estimators_=[])
    content = pickle.dumps(model, 2)
    # the memoized list gets another item just before the end
    import pickletools

    index = next(
        arg for code, arg, _ in _after_name(list(pickletools.genops(content)), "stack_method_") if code.name == "BINPUT"
    )
    path = tmp_path / "model.pkl"
    path.write_bytes(content[:-1] + b"h" + bytes([index]) + b"X\x04\x00\x00\x00evala0.")
    refuses(path, "stack_method_='eval'")


def _after_name(codes: list[Any], name: str) -> list[Any]:
    place = next(i for i, (_, arg, _) in enumerate(codes) if arg == name)
    return codes[place + 2 :]


def test_a_field_beyond_its_element_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.pkl"
    made = array_of(dtype("V8", 3, "|", None, ("a",), {"a": (np.dtype("i8"), 1 << 28)}, 8, 1, 0), b"A" * 8)
    path.write_bytes(pickle.dumps(made, 4))
    with pytest.raises(ValueError, match="cannot override to smaller itemsize"):
        load(path)


def test_a_bunch_answers_numpy_with_no_address(tmp_path: Path) -> None:
    path = tmp_path / "model.pkl"
    path.write_bytes(pickle.dumps(Bunch(__array_interface__=ADDRESS, a=1), 4))
    loaded, _ = load(path)
    assert loaded.a == 1 and np.asarray(loaded).dtype == object


def test_a_class_kept_as_a_value_is_loaded_and_never_called(tmp_path: Path) -> None:
    path = tmp_path / "model.pkl"
    path.write_bytes(pickle.dumps(FunctionTransformer(StackingClassifier), 4))
    loaded, _ = load(path)
    with pytest.raises(Refused, match=r"keeps sklearn\.ensemble\._stacking\.StackingClassifier and calls it when it predicts"):
        loaded.transform(np.zeros((1, 1)))


@pytest.mark.world  # skops takes seconds to import
@pytest.mark.parametrize("case", ["any method of any object", "a method replaced", "files that callers name"])
def test_a_skops_file_is_held_to_the_same(tmp_path: Path, case: str) -> None:
    import skops.io

    words, make = OBJECTS[case]
    path = tmp_path / "model.skops"
    skops.io.dump(make(), path)
    refuses(path, words)


def test_a_users_own_class_may_replace_its_methods_but_has_no_address(tmp_path: Path) -> None:
    path = tmp_path / "model.pkl"
    trust = (f"{Own.__module__}.Own",)
    path.write_bytes(pickle.dumps(having(Own(), predict=np.clip), 4))
    assert load(path, trust)[0].predict is np.clip
    path.write_bytes(pickle.dumps(having(Own(), __array_interface__=ADDRESS), 4))
    with pytest.raises(Refused):
        load(path, trust)


class Own:
    def predict(self, rows: Any) -> Any:
        return rows
