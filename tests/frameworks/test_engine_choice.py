"""Which engine is taken follows from what trying it showed."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

from mlship.frameworks.engine_choice import Cost, EngineFacts, Tried, best, choice, facts_from, refusal

QUICK = Tried("numpy", "ab" * 32, rows=400, refused=2, difference=1e-16, seconds={"1": (80e-6, 8e-6), "64": (200e-6, 100e-6)})


def test_an_equal_and_quicker_engine_is_taken():
    assert choice(QUICK).name == "numpy"


def test_the_original_stays_where_one_answer_differs():
    found = choice(replace(QUICK, reason="[1.0] gets 'no', not 'yes'"))
    assert (found.name, found.reason) == ("original", "numpy tried: [1.0] gets 'no', not 'yes'")


def test_the_original_stays_where_it_is_much_quicker_on_the_whole():
    slow = replace(QUICK, seconds={"1": (8e-6, 9e-6), "64": (50e-6, 300e-6)})
    assert choice(slow).reason == "numpy tried: it is much slower"
    assert choice(slow, measured=False).name == "numpy"


def test_an_engine_that_was_asked_for_is_refused_with_the_reason():
    assert refusal("trees", QUICK) == "the model compiles to the engine numpy"
    assert refusal("numpy", Tried(reason="Voting has no compiled form")) == "Voting has no compiled form"
    assert refusal("numpy", QUICK) == ""


def test_records_from_before_engines_mean_the_original():
    assert facts_from({}).name == "original"


def test_what_int8_cost_survives_a_record():
    facts = EngineFacts("int8", kinds={"holdout": 450}, cost=Cost("auc", 0.9, 0.95, 450, 0.01, (4, 1)))
    assert facts_from(json.loads(json.dumps(asdict(facts)))) == facts
    assert facts.cost and facts.cost.loss == 0


SLOW_LOOP = Tried("trees", "cd" * 32, rows=400, seconds={"1": (1000e-6, 80e-6), "64": (4000e-6, 1500e-6)}, gains=True)
GRAPH = Tried("onnx", "ef" * 32, rows=400, seconds={"1": (1000e-6, 25e-6), "64": (4000e-6, 900e-6)})


def test_a_graph_is_taken_where_it_is_clearly_quicker():
    assert best(SLOW_LOOP, GRAPH).name == "onnx"
    as_quick = replace(GRAPH, seconds={"1": (1000e-6, 70e-6), "64": (4000e-6, 1400e-6)})
    found = best(SLOW_LOOP, as_quick)
    assert (found.name, found.reason) == ("trees", "onnx tried: it is not much quicker")


def test_why_there_is_no_graph_stands_beside_what_is_taken():
    absent = Tried(reason="onnx not tried: the package index cannot be reached")
    assert (best(SLOW_LOOP, absent).name, best(SLOW_LOOP, absent).reason) == ("trees", absent.reason)
    alone = Tried(reason="models of xgboost have no form for numpy", gains=True)
    assert (best(alone, absent).name, best(alone, absent).reason) == ("original", absent.reason)
    assert best(alone, GRAPH).name == "onnx"
    assert best(QUICK, None).name == "numpy"
