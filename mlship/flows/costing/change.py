"""What a plan changes on the bill: what is live against what would be, at the traffic that the file says."""

from __future__ import annotations

from mlship.config.project import Project
from mlship.cost.book import PriceBook
from mlship.cost.candidate import CostPlan
from mlship.cost.candidates import candidate_from, purchases_of
from mlship.cost.estimate import estimate
from mlship.cost.figures import month_text
from mlship.flows.context import Context
from mlship.flows.costing.asked import Asked
from mlship.flows.costing.measured import measured_image
from mlship.flows.costing.prices import prices_of, today
from mlship.flows.costing.purchases import purchase_from
from mlship.flows.costing.sizes import speeds_from
from mlship.flows.costing.workload import workload_from
from mlship.flows.results import CostChange
from mlship.targets.base import Deployment, Target


def cost_change(context: Context, project: Project, target: Target, live: Deployment | None, wanted: Deployment) -> CostChange:
    """live: None on a first deploy. With prices and measured speeds of the project's own, as cost-estimate has them."""
    book = prices_of(context, Asked(), project)
    after = _priced(context, project, target, wanted, book)
    before = None if live is None else _priced(context, project, target, live, book)
    was = "nothing" if before is None else month_text(before)
    idle = " while nobody calls" if wanted.replicas[0] == 0 and project.cost.traffic is None else ""
    unknown = f"; unknown: {', '.join(after.unknowns)}" if after.unknowns else ""
    lines = [{"name": line.name, "quantity": line.quantity, "unit": line.unit, "usd": line.usd} for line in after.lines]
    return CostChange(
        f"{was} -> {month_text(after)} a month{idle} (prices of {book.as_of}{unknown})",
        {
            "as_of": book.as_of,
            "usd_month": after.usd_month,
            "complete": after.is_complete,
            "lines": lines,
            "assumptions": list(after.assumptions),
        },
    )


def _priced(context: Context, project: Project, target: Target, deployment: Deployment, book: PriceBook) -> CostPlan:
    possible = purchases_of(deployment.service, deployment.settings)
    purchase = purchase_from(Asked(), project, possible, f"{deployment.target} {deployment.service}")
    candidate = candidate_from(deployment, target.resources(deployment), (), purchase, book, speeds_from(Asked(), project))
    least, most = deployment.replicas  # of the live one its own: the file may say another number
    workload = workload_from(Asked(replicas=f"{least}..{most}"), project, measured_image(context, project))
    return estimate(candidate, workload, book, as_of=today(context))
