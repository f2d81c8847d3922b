"""cost-estimate: Project or command line -> Deployment -> Resources -> PriceBook -> what it costs. Changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from mlship.config.load import find_file
from mlship.config.project import Project
from mlship.cost.book import CLOUDS, PriceBook
from mlship.cost.candidate import Candidate, CostPlan, Purchase
from mlship.cost.candidates import OWN, candidate_of, purchases_of
from mlship.cost.estimate import CLOSE, estimate
from mlship.cost.figures import milliseconds
from mlship.cost.optimise import Wanted, optimise
from mlship.cost.plot import at_rate
from mlship.cost.workload import Workload
from mlship.errors import Finding, MlshipError
from mlship.flows.context import Context, Where
from mlship.flows.costing.asked import Asked
from mlship.flows.costing.deployment import ANY_SERVICE, checked, deployment_of, unknown
from mlship.flows.costing.gate import Budget, Limit, budget
from mlship.flows.costing.measured import Measured, measured_image
from mlship.flows.costing.prices import prices_of, today
from mlship.flows.costing.purchases import purchase_from
from mlship.flows.costing.sizes import gpu_type, resources_from, speeds_from
from mlship.flows.costing.words import ended_early, ignored
from mlship.flows.costing.workload import says_replicas, workload_from
from mlship.flows.loading import project_of
from mlship.targets.base import Deployment
from mlship.targets.priced import priced
from mlship.units import Money

# What a file's own plan is shown beside: every serverless and container service, with what differs from its defaults.
BESIDE: tuple[tuple[str, str, Mapping[str, str]], ...] = (
    ("aws", "lambda", {}),
    ("aws", "ecs", {}),
    ("aws", "ecs", {"arch": "arm64"}),
    ("gcp", "cloud-run", {}),
    ("gcp", "cloud-run", {"billing": "instance"}),
    ("azure", "container-apps", {}),
)
ADVISED = 3  # always-on plans that serverless is held against
CURVE = (0.0, 1.0, 10.0, 100.0)  # requests a second that are shown where no traffic is said


@dataclass(frozen=True)
class CurvePoint:
    """What the first plan costs at another rate. rps: requests a second, flat; 0 is nobody."""

    rps: float
    plan: CostPlan


@dataclass(frozen=True)
class Estimated:
    """plans: the file's or the asked one first, unless the cheapest were looked for. chosen: its place, -1 where there is none.

    curve: where no traffic is said. why_not, advice: for people. at_rate: the same way to serve at another mean rate.
    """

    plans: tuple[CostPlan, ...]
    chosen: int
    workload: Workload
    prices_as_of: str
    curve: tuple[CurvePoint, ...] = ()
    why_not: tuple[str, ...] = ()
    advice: tuple[str, ...] = ()
    budget: Budget | None = None
    findings: tuple[Finding, ...] = ()
    at_rate: Callable[[CostPlan, float], CostPlan] | None = None
    project: Project | None = None


def cost_estimate(context: Context, where: Where, asked: Asked) -> Estimated:
    """Reads the file, where there is one, the prices, and what was measured of the newest image; nothing else.

    Raises MlshipError for words that mean nothing and for what a service cannot do. Budgets are judged in the result, by the
    command.
    """
    project = _project(context, where, asked)
    book = prices_of(context, asked, project)
    measured = measured_image(context, project)
    is_least_said = bool(asked.replicas) or says_replicas(project)
    workload = replace(workload_from(asked, project, measured), is_least_said=is_least_said)
    question = _Question(asked, project, book, workload, measured, today(context), speeds_from(asked, project))
    found = _optimised(question) if asked.optimise else _compared(question)
    curve = _curve(question, found.plans) if workload.traffic is None else ()
    judged = found.plans[max(found.chosen, 0)] if found.plans else None
    return replace(
        found,
        curve=curve,
        budget=budget(judged, limits(asked, project), is_strict=asked.strict),
        at_rate=question.at_rate,
        project=project,
    )


@dataclass(frozen=True)
class _Question:
    """Everything that the answer depends on. today: `2026-11-22`. speeds: measured ones, as in cost.speeds."""

    asked: Asked
    project: Project | None
    book: PriceBook
    workload: Workload
    measured: Measured
    today: str
    speeds: Mapping[str, float]

    def price(self, candidate: Candidate, workload: Workload | None = None) -> CostPlan:
        return estimate(candidate, workload or self.workload, self.book, free=self.asked.free_tier, as_of=self.today)

    def at_rate(self, plan: CostPlan, rps: float) -> CostPlan:
        traffic = at_rate(self.workload.traffic, rps) if rps else None
        return self.price(plan.candidate, replace(self.workload, traffic=traffic))


def _project(context: Context, where: Where, asked: Asked) -> Project | None:
    """None where no file is named and none is there: then everything is the command line's."""
    if where.file is None and not _has_file(context):
        if not asked.target and not asked.optimise and not asked.compare:
            raise MlshipError(
                "there is no mlship.yaml here, and no target is said",
                fix="mlship cost-estimate --target aws --rps 20 --service-time 10ms, or go to the folder of mlship.yaml",
                code="no-file",
            )
        return None
    return project_of(context, replace(where, target=asked.target or where.target), needs_model=False)


def _has_file(context: Context) -> bool:
    try:
        return bool(find_file(context.cwd))
    except MlshipError as error:
        if error.code != "no-file":
            raise
        return False


def limits(asked: Asked, project: Project | None) -> tuple[Limit, ...]:
    """The command line's limit, then those of the file."""
    found: list[Limit] = []
    if asked.max_monthly:
        try:
            found.append(Limit(float(Money.parse(_dollars(asked.max_monthly)).amount), "month", "--max-monthly"))
        except ValueError as error:
            what, _, fix = str(error).partition("; ")
            raise MlshipError(what, "--max-monthly", fix or "write 150", code="usage") from None
    said = project.cost.budget if project is not None else None
    if project is not None and said is not None:
        if said.monthly is not None:
            found.append(Limit(float(said.monthly.amount), "month", project.at("cost.budget.monthly")))
        if said.per_million is not None:
            found.append(Limit(float(said.per_million.amount), "million", project.at("cost.budget.per_million")))
    return tuple(found)


def _dollars(said: str) -> str:
    """`150`, `$150` and `150 USD` are the same."""
    bare = said.strip().removeprefix("$").strip()
    return bare if bare.upper().endswith("USD") else f"{bare} USD"


# -- one deployment and its neighbours -----------------------------------------------------------------------------------------


def _compared(question: _Question) -> Estimated:
    """What was asked for, and beside a file's own plan what else there is."""
    asked, project = question.asked, question.project
    target = asked.target or (project.target if project is not None else "")
    plans: list[CostPlan] = []
    why_not: list[str] = []
    findings: tuple[Finding, ...] = ()
    if target:
        deployment, said = deployment_of(asked, project, target, image_gb=question.measured.image_gb)
        findings = checked(deployment, project, question.book)
        purchase = _purchase(deployment, question)
        candidate = candidate_of(deployment, purchase, question.book, question.speeds)
        findings = (*findings, *ignored(asked, candidate.service, purchase, candidate.arch, question.workload))
        plans.append(_noted(question.price(candidate), said))
    chosen = 0 if plans else -1
    if asked.compare or (project is not None and not asked.target and not asked.service):
        beside, lost = _beside(question, plans)
        plans += beside
        why_not += lost
    return Estimated(
        tuple(plans),
        chosen,
        question.workload,
        question.book.as_of,
        why_not=tuple(why_not),
        advice=_advice(question, plans),
        findings=(*findings, *(_broken(plans[0], question.workload) if plans else ())),
    )


def _broken(plan: CostPlan, workload: Workload) -> Iterator[Finding]:
    """What the plan does not keep of what was asked for."""
    unit = plan.candidate.unit
    if plan.is_overloaded:
        what = (
            f"{plan.replicas.peak} replicas do not carry {workload.traffic.peak if workload.traffic else 0:g} requests a second"
        )
        yield Finding(what, "scale.replicas", "allow more of them, or larger ones", "warning", code="overloaded")
    elif plan.p99_ms is not None and workload.p99_s is not None and plan.p99_ms > workload.p99_s * 1000 * CLOSE:
        what = f"p99 is {milliseconds(plan.p99_ms)}, and slo.p99 promises {milliseconds(workload.p99_s * 1000)}"
        yield Finding(what, "slo.p99", "take more replicas, faster cores, or promise less", "warning", code="slo-missed")
    if workload.memory_gib and unit.memory_gib is not None and unit.memory_gib < workload.memory_gib * 0.999:
        what = f"a replica has {unit.memory_gib:.3g} GiB, and {workload.memory_gib:.3g} GiB are needed"
        yield Finding(what, "resources.memory", "take a larger one", "warning", code="too-small")


def _advice(question: _Question, plans: list[CostPlan]) -> tuple[str, ...]:
    """From which traffic on a service that bills by the request, the asked one or else the cheapest, costs more than what is
    always on."""
    complete = [plan.candidate for plan in plans if plan.is_complete and not plan.is_overloaded]
    serverless = [candidate for candidate in complete if candidate.purchase.name == "per-request"]
    always_on = [
        candidate for candidate in complete if candidate.purchase.name != "per-request" and candidate.service not in OWN
    ]
    if question.workload.service_time is None or not serverless or not always_on:
        return ()
    from mlship.cost.break_even import break_even

    return break_even(serverless[0], always_on[:ADVISED], question.workload, question.book, free=question.asked.free_tier)


def _purchase(deployment: Deployment, question: _Question) -> Purchase:
    possible = purchases_of(deployment.service, deployment.settings)
    return purchase_from(question.asked, question.project, possible, f"{deployment.target} {deployment.service}")


def _noted(plan: CostPlan, notes: tuple[str, ...]) -> CostPlan:
    return replace(plan, assumptions=(*notes, *plan.assumptions)) if notes else plan


def _beside(question: _Question, own: list[CostPlan]) -> tuple[list[CostPlan], list[str]]:
    """The other services, cheapest first, those with unknown prices last; and what could not be asked."""
    plans: list[CostPlan] = []
    lost: list[str] = []
    seen = {_identity(plan.candidate) for plan in own}
    for candidate in _others(question, lost):
        if _identity(candidate) not in seen:
            seen.add(_identity(candidate))
            plans.append(question.price(candidate))
    plans.sort(key=lambda plan: (not plan.is_complete, plan.is_overloaded, plan.usd_month or 0.0))
    return plans, lost


def _identity(candidate: Candidate) -> tuple[str, ...]:
    named = (candidate.target, candidate.service, candidate.region, candidate.instance, candidate.arch)
    return (*named, candidate.purchase.name)


def _others(question: _Question, lost: list[str]) -> Iterator[Candidate]:
    """Every serverless and container service that can serve it, bought as it is bought when nobody says how."""
    project = question.project
    plain = replace(question.asked, target="", service="", region="", instance="", arch="", billing="", purchase="")
    for target, service, changed in BESIDE:
        region = question.asked.region if question.asked.optimise else ""
        if question.asked.cloud not in ("", target) or (region and region not in question.book.regions(target)):
            continue
        mine = _of_target(project, target)
        there = replace(plain, region=region)
        deployment, _ = deployment_of(there, mine, target, service, changed, question.measured.image_gb)
        wrong = [finding.what for finding in priced(target).findings(deployment) if finding.severity == "error"]
        wrong += ended_early(service, question.workload)
        if wrong:
            lost.append(f"{target} {service}: {wrong[0]}")
            continue
        name = purchases_of(service, deployment.settings)[0]
        yield candidate_of(deployment, Purchase(name), question.book, question.speeds)


def _of_target(project: Project | None, target: str) -> Project | None:
    """The project with another target: its section counts, its scale and resources stay."""
    return None if project is None else replace(project, target=target)


def _curve(question: _Question, plans: tuple[CostPlan, ...]) -> tuple[CurvePoint, ...]:
    if not plans or question.workload.service_time is None:
        return ()
    return tuple(CurvePoint(rps, question.at_rate(plans[0], rps)) for rps in CURVE)


# -- the search ---------------------------------------------------------------------------------------------------------------


def _optimised(question: _Question) -> Estimated:
    asked, project = question.asked, question.project
    if question.workload.traffic is None or (question.workload.service_time is None and not asked.replicas):
        fix = "say --rps 20 --service-time 10ms, or cost.traffic in mlship.yaml and mlship bench"
        raise MlshipError("a search needs traffic and a service time", "--optimise", fix, code="usage")
    if asked.cloud and asked.cloud not in CLOUDS:
        raise unknown("--cloud", "cloud", asked.cloud, list(CLOUDS))
    regions = sorted({region for cloud in CLOUDS for region in question.book.regions(cloud)})
    if asked.region and asked.region not in regions:
        raise unknown("--region", "region", asked.region, regions)
    if asked.service and asked.service not in ANY_SERVICE:
        raise unknown("--service", "service", asked.service, list(ANY_SERVICE))
    lost: list[str] = []
    clouds = tuple(cloud for cloud in CLOUDS if cloud in (asked.cloud, asked.target)) if asked.cloud or asked.target else ()
    others = [
        one
        for one in _others(question, lost)
        if (not clouds or one.target in clouds) and asked.service in ("", one.service) and not asked.instance
    ]
    found = optimise(
        _machines(question),
        question.workload,
        _wanted(asked, project, clouds),
        others=others,
        measured=question.speeds,
        free=asked.free_tier,
        as_of=question.today,
    )
    return Estimated(found.plans, -1, question.workload, question.book.as_of, why_not=(*found.why_not, *lost))


def _machines(question: _Question) -> PriceBook:
    """The book with the machines alone that are asked for."""
    asked, book = question.asked, question.book
    if asked.max_spot_age is not None:
        book = book.with_younger_spot(asked.max_spot_age, question.today)
    if asked.service not in ("", "vm"):
        return replace(book, offers={})
    if not asked.instance:
        return book
    named = {
        place: {asked.instance: offers[asked.instance]} for place, offers in book.offers.items() if asked.instance in offers
    }
    if not named:
        names = sorted({offer.machine.name for offer in book.every_offer()})
        raise unknown("--instance", "type of machine", asked.instance, names)
    return replace(book, offers=named)


def _wanted(asked: Asked, project: Project | None, clouds: tuple[str, ...]) -> Wanted:
    gpu = gpu_type(asked, project)
    has_gpu = bool(resources_from(asked, project).get("gpu"))
    wanted = Wanted(
        clouds=clouds,
        regions=(asked.region,) if asked.region else (),
        archs=(asked.arch,) if asked.arch else (),
        gpu=gpu.upper() if gpu else ("any" if has_gpu else ""),
        max_replicas=asked.max_replicas,
        base=asked.base,
        on_demand_share=asked.on_demand_share or 0.0,
        deployable=asked.deployable,
        burstable=asked.burstable,
        limit=asked.limit,
    )
    if asked.term == "3y":
        wanted = replace(wanted, terms=("3y",))
    if asked.purchase:
        possible = (*purchases_of("vm", {}), "managed", "per-request")
        wanted = replace(wanted, purchases=(purchase_from(asked, project, possible, "the search").name,))
    return wanted
