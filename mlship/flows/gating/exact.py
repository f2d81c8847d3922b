"""Gates that compare answers one by one: the build's own (sample), and those that people wrote (golden), through each protocol."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mlship.flows.gating.golden import Truth, like
from mlship.flows.gating.results import Result
from mlship.flows.gating.sides import Side, refusal
from mlship.flows.gating.wire import answers, asked, spoken
from mlship.releases.release import Proof
from mlship.targets.base import Answer
from mlship.targets.verify import difference

UNNAMED = "name the inputs in your class (inputs = {...}), or leave v2 out of serve.protocols"
BUILDS_OWN, WRITTEN = "the build's own answer", "the truth"


def sample_results(side: Side, model: str, inputs: Sequence[Mapping[str, Any]]) -> Iterator[Result]:
    """One for each protocol."""
    proof = side.proofs[model]
    if not proof.instances or not proof.answers:
        why = f"{model} was built without a sample"
        yield Result("sample", "inconclusive", _of(side, model, ""), why=why, fix="set model.sample in mlship.yaml, then build")
        return
    fix = "mlship run serves it here, to be asked by hand" if not side.endpoint else "mlship verify"
    yield from _each(side, model, inputs, "sample", [Truth("the sample", proof.instances, proof.answers)], fix)


def golden_results(side: Side, model: str, inputs: Sequence[Mapping[str, Any]], truths: Sequence[Truth]) -> Iterator[Result]:
    """One for each protocol."""
    fix = "the model does not keep what people know to be true: look at its training data, units and order of columns"
    yield from _each(side, model, inputs, "golden", truths, fix)


def _each(
    side: Side, model: str, inputs: Sequence[Mapping[str, Any]], gate: str, truths: Sequence[Truth], fix: str
) -> Iterator[Result]:
    is_first = next(iter(side.proofs)) == model
    rows = sum(len(truth.instances) for truth in truths)
    protocols = spoken(side.serving, is_first)
    if not protocols:
        why = f"no protocol of serve.protocols can name {model}: {', '.join(side.serving.get('protocols', ()))}"
        yield Result(gate, "inconclusive", _of(side, model, ""), why=why, fix="add native to serve.protocols")
    for protocol in protocols:
        if protocol == "v2" and not inputs and any(isinstance(row, Mapping) for truth in truths for row in truth.instances):
            why = "the model names no features, and v2 has no words for rows that are objects"
            yield Result(gate, "inconclusive", _of(side, model, protocol), "", "all equal", why, UNNAMED)
            continue
        wrong = [said for truth in truths if (said := _wrong(side, model, protocol, inputs, truth, gate))]
        told = f"{rows} rows" if rows != 1 else "1 row"
        if not wrong:
            yield Result(gate, "pass", _of(side, model, protocol), f"{told} equal", "all equal")
            continue
        measured = f"{len(wrong)} of {len(truths)} wrong" if len(truths) > 1 else "wrong"
        yield Result(gate, "fail", _of(side, model, protocol), measured, "all equal", wrong[0], fix)


def _of(side: Side, model: str, protocol: str) -> str:
    return f"{model} {protocol}".strip() if len(side.proofs) > 1 else protocol


def _wrong(side: Side, model: str, protocol: str, inputs: Sequence[Mapping[str, Any]], truth: Truth, gate: str) -> str:
    """Where the first answer differs, or empty."""
    path, body = asked(protocol, model, side.path(model), truth.instances, inputs)
    answer = side.post(path, body)
    if refused := refusal(answer):
        return f"{truth.where}: {refused}"
    try:
        got = answers(protocol, answer.body, truth.answers)
    except (ValueError, KeyError, TypeError, IndexError) as error:
        return f"{truth.where}: the answer is not of the protocol {protocol}: {error}"
    named = truth.answers if protocol in ("native", "sagemaker") else _told(truth.answers, got)
    expected = {name: like(got.get(name), value) for name, value in named.items()} if gate == "golden" else named
    wanted = Proof(truth.instances, expected, side.proofs[model].tolerance)
    said = difference(Answer(200, json.dumps(got).encode()), wanted, WRITTEN if gate == "golden" else BUILDS_OWN)
    return f"{truth.where}: {said}" if said else ""


def _told(wanted: Mapping[str, Any], got: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the protocol tells of it; where that is nothing, all of it is missing."""
    return {name: value for name, value in wanted.items() if name in got} or wanted
