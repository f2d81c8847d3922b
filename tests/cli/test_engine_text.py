"""What people read about an engine."""

from __future__ import annotations

from mlship.cli.views.engines import engine_rows, engine_text
from mlship.frameworks.engine_choice import Cost, EngineFacts

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


def test_the_rows_of_a_proof_are_told_by_kind():
    own = EngineFacts("trees", rows=700, kinds={"sample": 20, "reference": 80, "generated": 600})
    assert engine_text(own) == "trees; equal on 700 rows (20 of sample, 80 of reference, 600 generated), to the last bit"


def test_what_int8_cost_stands_beside_what_it_brought():
    cost = Cost("accuracy", 0.9778, 0.9756, 450, 0.01, (205_433, 57_261))
    assert engine_text(EngineFacts("int8", seconds={"64": (4e-4, 2e-4)}, cost=cost)) == (
        "int8, 64 rows 2.0 times as fast (200 us, not 400 us); file 57 KB, not 205 KB; "
        "accuracy 0.9756, before 0.9778, on 450 rows of holdout (0.0022 lost, 0.01 allowed)"
    )
