"""render --target monitoring: project -> where it is scraped, what is alerted on, what it costs -> files. Asks no target."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from mlship.config.load import MONITORING
from mlship.config.project import Project
from mlship.disk import make_folder, write_atomic
from mlship.errors import MlshipError
from mlship.flows.context import Context, Where
from mlship.flows.loading import project_of
from mlship.flows.monitoring.alerts import BUCKETS, alerts_of
from mlship.flows.monitoring.documents import OF_RELAY, Watch, documents
from mlship.flows.monitoring.scrape import Scrape, scrape_of
from mlship.flows.monitoring.spending import Spending, spending_of
from mlship.flows.results import Rendered

LARGEST_BODY = 64 * 1024  # bytes; what a pipeline is started with has some hundred


def render_monitoring(context: Context, where: Where, out: Path) -> Rendered:
    """Writes into `monitoring/` below `out`; files of others stay there, such as a key that you put beside them."""
    project = project_of(context, replace(where, target=""))
    found = watch(context, project, where)
    folder = out / MONITORING
    make_folder(folder, "name another one with --out")
    written = documents(found)
    for name, content in sorted(written.items()):
        write_atomic(folder / name, content)
    for name in OF_RELAY:
        if name not in written:
            (folder / name).unlink(missing_ok=True)
    return Rendered(out, tuple(f"{MONITORING}/{name}" for name in sorted(written)), found.left_out)


def watch(context: Context, project: Project, where: Where) -> Watch:
    """Raises MlshipError where Prometheus would find nothing."""
    scrape = scrape_of(project)
    spending = _spending(context, project, scrape, where)
    has_drift = any(model.reference for _, model in project.models)
    known = spending if isinstance(spending, Spending) else None
    left_out = (*_too_slow(project), *([] if has_drift else ["drift: no model has a model.reference"]))
    left_out += (f"budget: {spending}",) if isinstance(spending, str) else ()
    alerts = alerts_of(project, scrape, known, has_drift)
    return Watch(project, scrape, alerts, left_out, has_drift, _body(project))


def _too_slow(project: Project) -> tuple[str, ...]:
    limits = (("monitoring.alerts.p95", project.monitoring.alerts.p95), ("slo.p99", project.slo.p99))
    return tuple(
        f"{key}: {limit} is beyond the {BUCKETS[-1]:g} s up to which the server measures"
        for key, limit in limits
        if limit is not None and limit.seconds >= BUCKETS[-1]
    )


def _spending(context: Context, project: Project, scrape: Scrape, where: Where) -> Spending | str | None:
    """None without a budget."""
    budget = project.cost.budget
    if budget is None or budget.monthly is None:
        return None
    # here and not above: few have a budget, and prices are a large file
    from mlship.flows.cost_estimate import cost_estimate
    from mlship.flows.costing.asked import Asked

    estimated = cost_estimate(context, replace(where, target=project.target), Asked(target=project.target))
    if not estimated.plans:
        return "there is no plan to price"
    return spending_of(estimated.plans[0], float(budget.monthly.amount), scrape.sees_every_copy)


def _body(project: Project) -> Any:
    """The file of monitoring.retrain.body, None where there is none."""
    retrain = project.monitoring.retrain
    if retrain is None or retrain.body is None:
        return None
    at, path = project.at("monitoring.retrain.body"), project.root / retrain.body
    try:
        with path.open("rb") as file:
            text = file.read(LARGEST_BODY + 1)
    except OSError as error:
        raise MlshipError(f"{retrain.body} cannot be read: {error.strerror}", at, "name a JSON file") from None
    if len(text) > LARGEST_BODY:
        raise MlshipError(f"{retrain.body} has more than {LARGEST_BODY // 1024} KiB", at, "send what a pipeline needs to know")
    try:
        said = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise MlshipError(f"{retrain.body} is not JSON: {error}", at, 'write {"ref": "main", "alert": "{alert}"}') from None
    if not isinstance(said, dict):
        raise MlshipError(f"{retrain.body} is no JSON object", at, 'write {"ref": "main", "alert": "{alert}"}')
    return said
