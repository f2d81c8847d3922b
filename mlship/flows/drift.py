"""drift: how far the rows of late are from those that the models were trained on, as the copies of the live release counted them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil

from mlship.errors import Exit, MlshipError
from mlship.flows.context import Context, Where
from mlship.flows.opening import Opened, history_or_error, opened
from mlship.server.drift_index import DRIFTED, LEAST_ROWS, NULL, OVER, UNDER, psi, word
from mlship.targets.base import Measures, Spread, Spreads
from mlship.targets.gates import Verdict

PREDICTION = "prediction"


@dataclass(frozen=True)
class Measured:
    """A feature, or the predictions: `of` is `feature` or `prediction`. psi, word: None and `` while there are too few rows.

    nulls: shares of rows without a value, in model.reference and of late. beyond: of late, below its smallest or above its largest.
    """

    model: str
    of: str
    feature: str
    psi: float | None
    word: str
    nulls: tuple[float, float]
    beyond: float


@dataclass(frozen=True)
class Compared:
    """A model. rows: in the window, of all copies. missing: rows until something can be said; 0 when it can."""

    name: str
    reference_rows: int
    rows: int
    missing: int
    verdict: Verdict


@dataclass(frozen=True)
class Report:
    """measured: the largest index first. strict: too few rows count as drifted."""

    project: str
    environment: str
    target: str
    release: str
    threshold: float
    models: tuple[Compared, ...]
    measured: tuple[Measured, ...]
    strict: bool = False

    @property
    def verdict(self) -> Verdict:
        """One model that has drifted outweighs one of which too little is known."""
        found = {model.verdict for model in self.models}
        return "fail" if "fail" in found else "inconclusive" if "inconclusive" in found else "pass"

    @property
    def exit(self) -> Exit:
        is_bad = self.verdict == "fail" or (self.strict and self.verdict == "inconclusive")
        return Exit.DRIFTED if is_bad else Exit.OK


def drift(context: Context, where: Where, threshold: float | None, *, strict: bool = False) -> Report:
    """threshold: None for monitoring.alerts.drift, or 0.25 where there is no YAML. Raises MlshipError: exit 2 for a release without
    histograms, 13 where no copy answers."""
    place = opened(context, where)
    live = history_or_error(place, place.target.observe().history).live
    if not live:
        raise MlshipError(f"{place.name} has no live release", fix="mlship deploy", code="not-deployed")
    spreads = _spreads(place, live, place.target.measure())
    limit = threshold if threshold is not None else threshold_of(place)
    models, measured = compared(spreads, limit)
    return Report(place.name, place.environment, place.target_name, live, limit, models, measured, strict)


def threshold_of(place: Opened) -> float:
    return place.project.monitoring.alerts.drift if place.project else DRIFTED


def compared(spreads: Spreads, threshold: float) -> tuple[tuple[Compared, ...], tuple[Measured, ...]]:
    """Models in their order, and what was measured of all, the largest index first. Pure."""
    models: list[Compared] = []
    measured: list[Measured] = []
    for name in dict.fromkeys(model for model, _, _ in spreads):
        own = {key: spread for key, spread in spreads.items() if key[0] == name}
        rows = max(sum(spread.live.values()) for spread in own.values())
        is_known = rows >= LEAST_ROWS
        found = [_measured(key, spread, threshold, is_known) for key, spread in own.items()]
        has_drifted = any(one.word == "drifted" for one in found)
        verdict: Verdict = "inconclusive" if not is_known else "fail" if has_drifted else "pass"
        reference_rows = max(sum(spread.reference.values()) for spread in own.values())
        models.append(Compared(name, round(reference_rows), int(rows), 0 if is_known else ceil(LEAST_ROWS - rows), verdict))
        measured += found
    return tuple(models), tuple(sorted(measured, key=lambda one: -(one.psi or 0.0)))


def _measured(key: tuple[str, str, str], spread: Spread, threshold: float, is_known: bool) -> Measured:
    model, of, feature = key
    names = tuple(spread.reference)
    index = psi(names, tuple(spread.reference.values()), tuple(spread.live.get(name, 0.0) for name in names))
    return Measured(
        model,
        of,
        feature,
        psi=round(index, 4) if is_known else None,
        word=word(index, threshold) if is_known else "",
        nulls=(_share(spread.reference, (NULL,)), _share(spread.live, (NULL,))),
        beyond=_share(spread.live, (UNDER, OVER)),
    )


def _share(counts: Mapping[str, float], names: Sequence[str]) -> float:
    every = sum(counts.values())
    return round(sum(counts.get(name, 0.0) for name in names) / every, 4) if every else 0.0


def _spreads(place: Opened, live: str, measures: Mapping[str, Measures]) -> Spreads:
    """Raises MlshipError where there are none."""
    found = measures.get(live, Measures())
    if not found.spreads:
        if not found.buckets and place.target.observe().serving != live:
            raise MlshipError(
                f"no copy of {live} answers",
                fix=place.command("status --why"),
                exit=Exit.UNREACHABLE,
                code="no-answer",
            )
        raise MlshipError(
            f"{live} has nothing that live rows could be compared with: it was built without model.reference (or from fewer than 100 "
            "rows), or it runs with MLSHIP_METRICS=0",
            _where(place),
            "write model: {reference: train.csv} and build again",
            code="no-reference",
        )
    return found.spreads


def _where(place: Opened) -> str:
    return place.project.at("model") if place.project is not None else ""
