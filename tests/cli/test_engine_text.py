"""What people read about an engine."""

from __future__ import annotations

from mlship.cli.views.engines import engine_rows, engine_text
from mlship.frameworks.engine_choice import EngineFacts

NUMPY = EngineFacts("numpy", rows=412, refused=3, difference=2.2e-16, seconds={"64": (3e-4, 1e-4), "1": (4.2e-3, 15e-6)})


def test_choice_speed_and_parity_stand_in_one_line():
    assert engine_text(NUMPY) == (
        "numpy, one row 280 times as fast (15 us, not 4.2 ms), 64 rows 3.0 times as fast (100 us, not 300 us); "
        "equal on 412 rows, 3 of them refused by both, numbers within 2e-16"
    )


def test_why_the_original_is_kept_is_said():
    assert engine_text(EngineFacts(reason="Voting has no compiled form")) == "original (Voting has no compiled form)"
    assert engine_text(EngineFacts()) == "original"


def test_of_several_models_each_is_named():
    assert engine_rows({"a": EngineFacts(), "b": EngineFacts()}) == [["engine", "a: original"], ["engine", "b: original"]]
