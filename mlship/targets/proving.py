"""Asking new copies before callers reach them: each for its id and the sample, and one of them against the release before."""

from __future__ import annotations

from collections.abc import Sequence

from mlship.targets.base import Action, Outcome, Replica
from mlship.targets.changing import Change
from mlship.targets.comparing import prediction_change
from mlship.targets.undo import take_back
from mlship.targets.verify import Verification, answers_s, predict_path, sample_request, verify

ASKED_S = 10.0  # at least, for an answer to the sample


def prove_copies(change: Change, action: Action) -> Verification:
    """Asks every new copy; the first one that does not prove itself takes the release back."""
    names = copies_of(change.target.observe().replicas, change.release.id) or [""]
    for name in names:
        said = verify(change.target.ask, change.release, "staged", replica=name)
        if not said.ok:
            cause = f"{name}: {said.cause}" if len(names) > 1 else said.cause
            evidence = (*said.evidence, *change.last_lines())
            take_back(change, action.kind, Outcome(False, cause, evidence, fault=said.fault))
    each = f", each of {len(names)} copies" if len(names) > 1 else ""
    change.world.progress.step("verify", f"staged: {said.text}{each}")
    return said


def copies_of(replicas: Sequence[Replica], release: str) -> list[str]:
    """Its copies at 0 %; all of its copies where callers reach them already."""
    own = [replica for replica in replicas if replica.release == release]
    return [replica.name for replica in own if replica.staged] or [replica.name for replica in own]


def change_of_sample(change: Change) -> float | None:
    """How far the sample's predictions moved from the release before: the most of all models. None without a sample."""
    replicas = change.target.observe().replicas
    new = next(iter(copies_of(replicas, change.release.id)), "")
    old = next((replica.name for replica in replicas if replica.release == change.before and replica.ready), "")
    moved: list[float | None] = []
    for model, proof in change.release.proofs.items():
        if proof.instances:
            path = predict_path(change.release, model)
            waits_s = max(ASKED_S, answers_s(change.release))
            before = change.target.ask(sample_request(proof, "live", waits_s, old, path))
            after = change.target.ask(sample_request(proof, "staged", waits_s, new, path))
            moved.append(prediction_change(before, after))
    known = [value for value in moved if value is not None]
    return max(known) if known and len(known) == len(moved) else None
