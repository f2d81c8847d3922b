"""Boosters in pickles: a stand-in for the library's class shows what would be handed to it."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from mlship.server import names
from mlship.server.names_boosted import NAMES
from mlship.server.pickle_load import load
from mlship.server.pickle_scan import Refused


class Booster:
    """As xgboost.core.Booster keeps itself: its state is handed to C++."""

    def __init__(self, state: Any) -> None:
        self.state = state

    def __getstate__(self) -> Any:
        return self.state

    def __setstate__(self, state: Any) -> None:
        self.handed = state


@pytest.fixture(params=["xgboost.core", "lightgbm.basic"])
def library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    module = ModuleType(request.param)
    module.Booster = Booster  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, request.param.partition(".")[0], ModuleType("library"))
    monkeypatch.setitem(sys.modules, request.param, module)
    monkeypatch.setattr(Booster, "__module__", request.param)
    return str(request.param)


def loaded(tmp_path: Path, state: Any, protocol: int = 4) -> Any:
    path = tmp_path / "model.pkl"
    path.write_bytes(pickle.dumps(Booster(state), protocol))
    return load(path)[0]


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_a_model_as_bytes_or_text_is_handed_over(library: str, tmp_path: Path, protocol: int) -> None:
    state = {"handle": bytearray(b"{L"), "best": 3} if library == "xgboost.core" else {"_handle": "tree\n", "best": 3}
    assert loaded(tmp_path, state, protocol).handed == state


@pytest.mark.parametrize("handle", [4711, 4711.0, [1], {"a": 1}, b"{L", ("x",)])
@pytest.mark.parametrize("name", ["handle", "_handle"])
def test_a_number_is_never_taken_for_an_address(library: str, tmp_path: Path, name: str, handle: Any) -> None:
    with pytest.raises(Refused, match=f"a Booster in it holds {type(handle).__name__}, no model"):
        loaded(tmp_path, {name: handle})


@pytest.mark.parametrize("state", [[("handle", 1)], ({"handle": 1}, {"handle": 1}), 4711, {1: 2}])
def test_a_state_of_another_form_is_refused(library: str, tmp_path: Path, state: Any) -> None:
    with pytest.raises(Refused, match="the state of a Booster in it is no dict of attributes"):
        loaded(tmp_path, state)


def test_the_names_are_classes_alone_and_none_is_called() -> None:
    for module, listed in NAMES.items():
        for name in listed.split():
            assert (module, name) in names.known()
            assert not names.may_call((module, name))
    for name in (
        ("xgboost.core", "_load_lib"),
        ("xgboost.training", "train"),
        ("catboost.core", "train"),
        ("lightgbm.basic", "Dataset"),
    ):
        assert names.problems([name])
