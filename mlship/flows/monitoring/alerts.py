"""Alert rules, each with what it says to the one who is woken up, and the series that prove that it fires. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from mlship.config.project import Project
from mlship.flows.command_line import command_at
from mlship.flows.monitoring.promql import OF_CALLERS, duration, number, select
from mlship.flows.monitoring.scrape import Scrape
from mlship.flows.monitoring.spending import HOURS, Spending
from mlship.targets.scraped import HISTOGRAM, REQUESTS
from mlship.units import Duration

# Upper bounds of the server's histograms in seconds, board.BUCKETS; a test holds them together.
BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
DRIFT = "mlship_drift_psi"
TURNED_AWAY = 'reason=~"overload|deadline|connections"'
DOWN_S, BUDGET_S = 60.0, 3600.0  # nobody is served, at most so long; money has time
DISCOVERY_S = 30.0  # Prometheus has just started, and does not know of any copy yet
RESTARTS, RESTARTS_S = 3, 900.0
STEP_S = 60  # between two samples of a rule's test


@dataclass(frozen=True)
class Series:
    """values: in the notation of promtool; `{n}` stands for how often."""

    series: str
    values: str


@dataclass(frozen=True)
class Alert:
    """kind: what monitoring.retrain.when calls it. fires, calm: series with which it does, and does not. shown: what `{{ $value }}` of
    its description is then. found: labels that the expression itself gives.
    """

    name: str
    kind: str
    expr: str
    after_s: float
    severity: str
    summary: str
    description: str
    runbook: str
    command: str
    labels: Mapping[str, str]
    fires: tuple[Series, ...]
    calm: tuple[Series, ...]
    shown: str = ""
    found: Mapping[str, str] | None = None

    @property
    def after(self) -> str:
        return duration(self.after_s)

    @property
    def annotations(self) -> Mapping[str, str]:
        return {"summary": self.summary, "description": self.description, "runbook": self.runbook, "next": self.command}

    # -- its test ---------------------------------------------------------------------------------------------------------------

    @property
    def steps(self) -> int:
        """Samples: the window, the wait, and a little more."""
        return math.ceil(self.after_s / STEP_S) + 30

    @property
    def told_at(self) -> str:
        return f"{self.steps - 2}m"

    @property
    def told_labels(self) -> Mapping[str, str]:
        return {**self.labels, **(self.found or {})}

    @property
    def told_annotations(self) -> Mapping[str, str]:
        """As Prometheus writes them when it fires in the test."""
        return {name: _filled(value, self.shown, self.found or {}) for name, value in self.annotations.items()}

    @property
    def calm_name(self) -> str:
        return f"{self.name}, when all is well"

    def input(self, is_firing: bool) -> list[dict[str, str]]:
        wanted = self.fires if is_firing else self.calm
        return [{"series": one.series, "values": one.values.replace("{n}", str(self.steps))} for one in wanted]


def alerts_of(project: Project, scrape: Scrape, spending: Spending | None, has_drift: bool) -> tuple[Alert, ...]:
    """Those that can fire: each reads what a server of this project counts."""
    rules = _Rules(project, scrape)
    found = [rules.down(), *rules.missing(), *rules.slow(), rules.errors(), rules.refusals(), rules.workers()]
    found += [rules.drift()] if has_drift else []
    found += [rules.budget(spending)] if spending is not None else []
    return tuple(found)


@dataclass(frozen=True)
class _Rules:
    project: Project
    scrape: Scrape

    def down(self) -> Alert:
        is_told = self.scrape.discovery is not None  # by an engine: then a copy that ended is not down but gone
        found = f"sum({self._select('up')}){' or vector(0)' if is_told else ''}"
        return self._alert(
            "MlshipDown",
            "down",
            f"({found}) < 1" if is_told else f"{found} < 1",
            max(min(self._after_s, DOWN_S), 2 * self.scrape.interval_s, DISCOVERY_S if is_told else 0.0),
            "page",
            "does not answer",
            "No copy answers Prometheus' scrape: callers get no predictions, or Prometheus cannot reach the service or is refused.",
            "See whether it runs and why it ended. After a deploy: roll back. If it answers you and not Prometheus, look at the "
            "address, the certificate and the key of the scrape.",
            "status",
            fires=(self._series("up", {"instance": "one:1"}, "0x{n}"),),
            calm=(self._series("up", {"instance": "one:1"}, "1x{n}"),),
        )

    def missing(self) -> Iterator[Alert]:
        if self.scrape.copies < 2:
            return
        up, wanted = self._select("up"), self.scrape.copies
        yield self._alert(
            "MlshipCopiesMissing",
            "copies",
            f"sum({up}) > 0 < {wanted}",
            self._after_s,
            "ticket",
            "has fewer copies than it should",
            f"{{{{ $value }}}} copies answer, and {wanted} should. The others carry the load, with less to spare.",
            "See which copy is missing and why it ended; out of memory is the usual cause.",
            "status",
            fires=(self._series("up", {"instance": "one:1"}, "1x{n}"),),
            calm=tuple(self._series("up", {"instance": f"{number}:1"}, "1x{n}") for number in range(wanted)),
            shown="1",
        )

    def slow(self) -> Iterator[Alert]:
        limits = ((95, self.project.monitoring.alerts.p95), (99, self.project.slo.p99))
        for percent, limit in limits:
            if limit is not None and limit.seconds < BUCKETS[-1]:
                yield self._slow(percent, limit)

    def _slow(self, percent: int, limit: Duration) -> Alert:
        buckets = self._select(f"{HISTOGRAM}_bucket", OF_CALLERS, 'status_class="2xx"')
        labels = {"route": "/predict", "status_class": "2xx"}
        slow, quick = (
            tuple(self._series(f"{HISTOGRAM}_bucket", {**labels, "le": bound}, values) for bound, values in bounds)
            for bounds in (
                (("10.0", "0x{n}"), ("+Inf", "0+60x{n}")),
                (("0.0001", "0+60x{n}"), ("10.0", "0+60x{n}"), ("+Inf", "0+60x{n}")),
            )
        )
        return self._alert(
            f"MlshipSlowP{percent}",
            "slow",
            f"histogram_quantile({number(percent / 100)}, sum by (le) (rate({buckets}[{self._window}]))) > {number(limit.seconds)}",
            self._after_s,
            "ticket",
            f"answers later than promised: p{percent} is above {limit}",
            f"{percent} of 100 answers take up to {{{{ $value | humanizeDuration }}}}, and {limit} is the limit.{_between(limit)}",
            "Is it the model (model time), a queue (queue time, rows in flight) or the machine (processor)? The dashboard has all "
            "three. More replicas help against a queue, a rollback against a slower model.",
            "status",
            fires=slow,
            calm=quick,
            shown="10s",
        )

    def errors(self) -> Alert:
        failed = self._select(REQUESTS, OF_CALLERS, 'status=~"5.."')
        every = self._select(REQUESTS, OF_CALLERS)
        limit = self.project.monitoring.alerts.errors
        return self._alert(
            "MlshipErrors",
            "errors",
            f"sum(rate({failed}[{self._window}])) / sum(rate({every}[{self._window}])) > {number(share(limit))}",
            self._after_s,
            "page",
            f"fails more than {limit} of the requests",
            f"{{{{ $value | humanizePercentage }}}} of the requests are answered with 5xx, and {limit} is the limit.",
            "The log has a line with the cause for each of them. 500: the model raises. 503: too little time or room. 504: it is too "
            "slow. Roll back if it began with a release.",
            "logs",
            fires=(self._series(REQUESTS, {"route": "/predict", "status": "500"}, "0+60x{n}"),),
            calm=(self._series(REQUESTS, {"route": "/predict", "status": "200"}, "0+60x{n}"),),
            shown="100%",
        )

    def refusals(self) -> Alert:
        refused = self._select("mlship_refusals_total", TURNED_AWAY)
        limit = self.project.monitoring.alerts.refusals
        return self._alert(
            "MlshipRefusals",
            "refusals",
            f"sum(rate({refused}[{self._window}])) / sum(rate({self._select(REQUESTS)}[{self._window}])) > {number(share(limit))}",
            self._after_s,
            "ticket",
            f"turns away more than {limit} of the requests",
            f"{{{{ $value | humanizePercentage }}}} of the requests are refused for want of time or room, and {limit} is the limit.",
            "There are more requests than the copies carry. Raise scale.replicas or resources.cpu; `mlship bench` says how many "
            "requests a second one copy answers.",
            "status",
            fires=(
                self._series("mlship_refusals_total", {"reason": "overload"}, "0+60x{n}"),
                self._series(REQUESTS, {"route": "/predict", "status": "503"}, "0+60x{n}"),
            ),
            calm=(
                self._series("mlship_refusals_total", {"reason": "overload"}, "0x{n}"),
                self._series("mlship_refusals_total", {"reason": "unauthorized"}, "0+60x{n}"),
                self._series(REQUESTS, {"route": "/predict", "status": "200"}, "0+60x{n}"),
            ),
            shown="100%",
        )

    def workers(self) -> Alert:
        restarts = self._select("mlship_worker_restarts_total")
        return self._alert(
            "MlshipWorkersDie",
            "workers",
            f"sum(increase({restarts}[{duration(RESTARTS_S)}])) >= {RESTARTS}",
            0.0,
            "ticket",
            "loses its workers again and again",
            "{{ $value | humanize }} workers died or hung in a quarter of an hour, and were replaced.",
            "The log says how each ended. Killed: too little memory. A crash: a request that the model's own library does not survive.",
            "logs",
            fires=(self._series("mlship_worker_restarts_total", {}, "0+1x{n}"),),
            calm=(self._series("mlship_worker_restarts_total", {}, "1x{n}"),),
            shown="15",
        )

    def drift(self) -> Alert:
        limit = self.project.monitoring.alerts.drift
        return self._alert(
            "MlshipDrift",
            "drift",
            f"max by (model) ({self._select(DRIFT)}) >= {number(limit)}",
            self._after_s,
            "ticket",
            "is asked about other data than its model was trained on",
            f'A population stability index of {{{{ $labels.model }}}} is {{{{ $value | printf "%.2f" }}}}, and '
            f"{number(limit)} is the limit.",
            "See which features, or predictions, moved, and whether the world changed or a caller sends another unit. "
            "Retrain, or mend the caller.",
            "drift",
            fires=(self._series(DRIFT, {"model": "m", "of": "feature", "feature": "f"}, f"{number(limit * 2)}x{{n}}"),),
            calm=(self._series(DRIFT, {"model": "m", "of": "feature", "feature": "f"}, f"{number(limit / 2)}x{{n}}"),),
            shown=f"{limit * 2:.2f}",
            found={"model": "m"},
        )

    def budget(self, spending: Spending) -> Alert:
        hourly, fires, calm = self._by_requests(spending) if spending.million_usd else self._by_copies(spending)
        return self._alert(
            "MlshipBudget",
            "budget",
            f"({hourly}) * {number(HOURS)} > {number(spending.limit_usd)}",
            max(self._after_s, BUDGET_S),
            "ticket",
            f"costs more than its budget of ${spending.limit_usd:.2f} a month",
            f"As it runs now a month costs more than ${spending.limit_usd:.2f}, at {spending.words}.",
            "See what costs, and what would cost less; then lower scale.replicas, or raise cost.budget.monthly.",
            "cost-estimate",
            fires=fires,
            calm=calm,
        )

    def _by_copies(self, spending: Spending) -> tuple[str, tuple[Series, ...], tuple[Series, ...]]:
        """Of the tests, one series stands for all copies: only their sum counts."""
        hourly = f"sum({self._select('up')}) * {number(spending.copy_usd_hour)} + {number(spending.fixed_usd_hour)}"
        affordable = math.floor((spending.limit_usd / HOURS - spending.fixed_usd_hour) / spending.copy_usd_hour)
        calm = (self._series("up", {}, f"{affordable - 1}x{{n}}"),) if affordable > 0 else ()
        return hourly, (self._series("up", {}, f"{max(affordable, 0) + 2}x{{n}}"),), calm

    def _by_requests(self, spending: Spending) -> tuple[str, tuple[Series, ...], tuple[Series, ...]]:
        hourly = f"sum(rate({self._select(REQUESTS, OF_CALLERS)}[6h])) * 3600 * {number(spending.million_usd)} / 1e6"
        a_minute = math.ceil(spending.limit_usd / spending.million_usd * 1e6 / HOURS / 60)
        answered = {"route": "/predict", "status": "200"}
        # a rate over hours of which the test has a few minutes is a fraction of what comes
        fires, calm = (self._series(REQUESTS, answered, f"0+{rate}x{{n}}") for rate in (a_minute * 50, a_minute // 2))
        return hourly, (fires,), (calm,)

    # -- what they share --------------------------------------------------------------------------------------------------------

    @property
    def _after_s(self) -> float:
        return self.project.monitoring.alerts.after.seconds

    @property
    def _window(self) -> str:
        return duration(self.scrape.window_s)

    def _select(self, metric: str, *more: str) -> str:
        return select(metric, {"job": self.scrape.job}, *more)

    def _series(self, metric: str, labels: Mapping[str, str], values: str) -> Series:
        return Series(select(metric, {"job": self.scrape.job, **labels}), values)

    def _alert(
        self,
        name: str,
        kind: str,
        expr: str,
        after_s: float,
        severity: str,
        summary: str,
        description: str,
        runbook: str,
        verb: str,
        *,
        fires: tuple[Series, ...],
        calm: tuple[Series, ...],
        shown: str = "",
        found: Mapping[str, str] | None = None,
    ) -> Alert:
        scrape, retrain = self.scrape, self.project.monitoring.retrain
        place = f"{scrape.project} ({scrape.environment})" if scrape.environment else scrape.project
        starts = {"retrain": "true"} if retrain is not None and kind in retrain.when else {}
        return Alert(
            name,
            kind,
            expr,
            after_s,
            severity,
            f"{place} {summary}",
            description,
            runbook,
            self._command(verb),
            {"severity": severity, **scrape.labels, **starts},
            fires,
            calm,
            shown,
            found,
        )

    def _command(self, verb: str) -> str:
        scrape = self.scrape
        if verb == "cost-estimate":  # it prices a file, not what runs
            return " ".join(["mlship cost-estimate --optimise", *(["--env", scrape.environment] if scrape.environment else [])])
        return command_at(verb, scrape)


def share(said: str) -> float:
    """`1%` -> 0.01."""
    return float(said.removesuffix("%")) / 100


def _between(limit: Duration) -> str:
    """Prometheus knows a histogram's bounds, and takes what lies between them as evenly spread."""
    if limit.seconds in BUCKETS:
        return ""
    below = max((bound for bound in BUCKETS if bound < limit.seconds), default=0.0)
    above = min(bound for bound in BUCKETS if bound > limit.seconds)
    return f" Measured in steps: between {below:g} s and {above:g} s it is an estimate."


def _filled(text: str, shown: str, found: Mapping[str, str]) -> str:
    for expression in (
        "$value",
        "$value | humanizeDuration",
        "$value | humanizePercentage",
        "$value | humanize",
        '$value | printf "%.2f"',
    ):
        text = text.replace(f"{{{{ {expression} }}}}", shown)
    for name, value in found.items():
        text = text.replace(f"{{{{ $labels.{name} }}}}", value)
    return text
