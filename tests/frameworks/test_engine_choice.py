"""Which engine is taken follows from what trying it showed."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

from mlship.frameworks.engine_choice import Cost, EngineFacts, Tried, choice, facts_from, refusal

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
