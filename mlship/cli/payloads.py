"""What --json says, by command; the names stand in docs/design.md, "Names that others rely on". Pure."""

from __future__ import annotations

from dataclasses import asdict
from math import isfinite
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the flow that made a result has paid for its types already
    from mlship.cost.book import Offer
    from mlship.cost.candidate import CostPlan
    from mlship.cost.coverage import Coverage
    from mlship.cost.diff import Diff
    from mlship.errors import Finding
    from mlship.flows import cache, drift, prices, prices_refresh, results
    from mlship.flows.batching.results import Answered
    from mlship.flows.bench import Benched
    from mlship.flows.ci import Made
    from mlship.flows.cost_estimate import Estimated
    from mlship.flows.drift_page import Page
    from mlship.flows.from_environment import Origin
    from mlship.flows.gating.results import Report
    from mlship.flows.pipelines.comment import Commented
    from mlship.image.cache.export import Exported
    from mlship.image.cache.prune import Removal
    from mlship.image.cache.take import Taken
    from mlship.targets.base import LogLine, ServiceRow


def finding_payload(finding: Finding) -> dict[str, Any]:
    return {
        "severity": finding.severity,
        "code": finding.code,
        "message": finding.what,
        "where": finding.where,
        "fix": finding.fix,
    }


def findings_payload(findings: tuple[Finding, ...]) -> list[dict[str, Any]]:
    return [finding_payload(finding) for finding in findings]


def model_payload(model: results.ModelReport) -> dict[str, Any]:
    return asdict(model)


def release_payload(release: results.ReleaseView | None) -> dict[str, Any] | None:
    """The form of a release in every command; models: name -> sha256 hex."""
    return None if release is None else asdict(release)


def initialised(result: results.Initialised) -> dict[str, Any]:
    return {
        "file": str(result.file),
        "written": [str(path) for path in result.written],
        "kept": [str(path) for path in result.kept],
        "models": [model_payload(result.model)],
        "findings": findings_payload(result.findings),
    }


def checked(result: results.Checked) -> dict[str, Any]:
    return {
        "project": result.project,
        "models": [model_payload(model) for model in result.models],
        "environment": result.environment,
        "python": result.python,
        "findings": findings_payload(result.findings),
    }


def built(result: results.Built) -> dict[str, Any]:
    return {
        "project": result.project,
        "image": {
            "reference": result.reference,
            "content": result.content,
            "digest": result.digest,
            "platform": result.platform,
            "size": result.size,
            "compressed": result.compressed,
            "layers": [asdict(layer) for layer in result.layers],
            "parts": [asdict(part) for part in result.parts],
        },
        "images": [asdict(image) for image in result.images],
        "models": [model_payload(model) for model in result.models],
        "environment": result.environment,
        "engine": result.engine,
        "checks": list(result.checks),
        "to_run_at_deploy": [f"{image.platform}: {line}" for image in result.images for line in image.to_run_at_deploy],
        "unchanged": result.unchanged,
        "explained": [asdict(explanation) for explanation in result.explained],
        "seconds": round(result.seconds, 3),
        "papers": [str(path) for path in result.papers],
        "archive": result.archive and {"path": str(result.archive.path), "size": result.archive.size},
        "pushed": [pushed_payload(report) for report in result.pushed],
        "variants": [asdict(record) for record in result.variants],
        "findings": findings_payload(result.findings),
    }


def pushed_payload(report: results.PushReport) -> dict[str, Any]:
    """reference: by tag; deploy: by digest. moved: bytes. layers: each with how it came there; sent, mounted, present: how many."""
    counts = {how: sum(layer.how == how for layer in report.layers) for how in ("sent", "mounted", "present")}
    return {
        **{name: value for name, value in asdict(report).items() if name not in ("findings", "layers")},
        "seconds": round(report.seconds, 3),
        **counts,
        "layers": [asdict(layer) for layer in report.layers],
        "findings": findings_payload(report.findings),
    }


def relocked(result: results.Relocked) -> dict[str, Any]:
    return {
        "project": result.project,
        "file": str(result.file),
        "platforms": list(result.platforms),
        "made": result.made,
        "changes": [asdict(change) for change in result.changes],
        "models": list(result.models),
        "because": list(result.because),
        "written": result.is_written,
        "changed": result.is_changed,
        "findings": findings_payload(result.findings),
    }


def planned(view: results.PlanView) -> dict[str, Any]:
    return {
        "project": view.project,
        "environment": view.environment,
        "target": view.target,
        "service": view.service,
        "release": release_payload(view.release),
        "previous": release_payload(view.previous),
        "plan": plan_payload(view),
        "findings": findings_payload(view.findings),
        "undo": view.undo,
    }


def plan_payload(view: results.PlanView) -> dict[str, Any]:
    return {
        "create": list(view.create),
        "update": list(view.update),
        "takeover": list(view.takeover),
        "delete": list(view.delete),
        "actions": [asdict(action) for action in view.actions],
        "steps": list(view.steps),
        "fingerprint": view.fingerprint,
        "cost": dict(view.cost.prices),
        "duration": view.duration,
    }


def deployed(result: results.Deployed) -> dict[str, Any]:
    return {
        "project": result.plan.project,
        "environment": result.plan.environment,
        "target": result.plan.target,
        "release": release_payload(result.release),
        "previous": release_payload(result.previous),
        "endpoint": result.endpoint,
        "plan": plan_payload(result.plan),
        "verify": None if result.verified is None else asdict(result.verified),
        "generation": result.generation,
        "unchanged": result.unchanged,
        "seconds": round(result.seconds, 3),
        "notes": list(result.notes),
        "findings": findings_payload(result.plan.findings),
    }


def taken_in(result: results.TakenIn | None) -> dict[str, Any]:
    """configuration: null for the archive's own."""
    if result is None:
        return {}
    configuration = result.configuration and str(result.configuration)
    return {"archive": {"path": str(result.archive), "content": result.content, "configuration": configuration}}


def origin(found: Origin | None) -> dict[str, Any]:
    """Where it comes from, with deploy --from."""
    return {} if found is None else {"from": asdict(found)}


def drifted(report: drift.Report) -> dict[str, Any]:
    return {
        "project": report.project,
        "environment": report.environment,
        "target": report.target,
        "release": report.release,
        "verdict": report.verdict,
        "threshold": report.threshold,
        "strict": report.strict,
        "models": [asdict(model) for model in report.models],
        "measured": [
            {**asdict(one), "nulls": dict(zip(("reference", "live"), one.nulls, strict=True))} for one in report.measured
        ],
    }


def drift_page(page: Page) -> dict[str, Any]:
    return {**asdict(page), "rows": dict(zip(("data", "reference"), page.rows, strict=True)), "verdict": page.verdict}


def aborted(result: results.Aborted) -> dict[str, Any]:
    return {
        "project": result.project,
        "environment": result.environment,
        "target": result.target,
        "aborted": release_payload(result.release),
        "release": release_payload(result.live),
        "endpoint": result.endpoint,
        "reason": result.reason,
        "generation": result.generation,
        "seconds": round(result.seconds, 3),
        "notes": list(result.notes),
    }


def status(result: results.Status) -> dict[str, Any]:
    return {
        "project": result.project,
        "environment": result.environment,
        "target": result.target,
        "endpoint": result.endpoint,
        "release": release_payload(result.live),
        "previous": release_payload(result.previous),
        "serving": result.serving,
        "replicas": [asdict(replica) for replica in result.observed.replicas],
        "weights": {release: round(share * 100, 2) for release, share in result.weights.items()},
        "generation": result.generation,
        "since": result.since or None,
        "traffic": {row.release: _traffic_payload(row) for row in result.traffic},
        "underway": None if result.underway is None else underway_payload(result.underway),
        "front": None if result.observed.front is None else asdict(result.observed.front),
        "why": [asdict(entry) for entry in result.why],
        "engine": result.engine,
        "engines": {name: asdict(engine) for name, engine in result.engines.items()},
        "notes": list(result.observed.notes),
        "repair": result.observed.repair,
    }


def renewed(result: results.Renewed) -> dict[str, Any]:
    view = result.view
    return {
        "project": view.project,
        "environment": view.environment,
        "target": view.target,
        "endpoint": result.endpoint,
        "before": asdict(view.before),
        "front": asdict(view.after),
        "unchanged": view.is_empty,
        "notes": list(result.notes),
    }


def _traffic_payload(row: results.Traffic) -> dict[str, Any]:
    return {name: value for name, value in asdict(row).items() if name != "release"}


def underway_payload(view: results.UnderwayView) -> dict[str, Any]:
    """percent: of the callers, as in weights. mirror_percent: of their requests, of which the release gets a copy."""
    told = {name: value for name, value in asdict(view).items() if name not in ("share", "mirror")}
    return {**told, "percent": round(view.share * 100, 2), "mirror_percent": round(view.mirror * 100, 2)}


def history(result: results.HistoryView) -> dict[str, Any]:
    return {
        "project": result.project,
        "environment": result.environment,
        "target": result.target,
        "live": result.live,
        "entries": [asdict(entry) for entry in result.entries],
        "releases": [release_payload(release) for release in result.releases],
        "rejected": dict(result.rejected),
        "restorable": sorted(result.restorable),
        "undo": result.undo,
        **({"artifacts": dict(result.artifacts)} if result.artifacts else {}),
        **({"notes": list(result.notes)} if result.notes else {}),
    }


def listed(result: results.Listed) -> dict[str, Any]:
    return {"services": [service_payload(row) for row in result.services], "unreachable": dict(result.unreachable)}


def service_payload(row: ServiceRow) -> dict[str, Any]:
    return asdict(row)


def destroyed(result: results.Destroyed) -> dict[str, Any]:
    return {
        "project": result.project,
        "environment": result.environment,
        "target": result.target,
        "removed": list(result.removed),
        "stays": list(result.stays),
    }


def log_payload(line: LogLine) -> dict[str, Any]:
    return asdict(line)


def estimated(found: Estimated, changed: Diff | None = None) -> dict[str, Any]:
    """Every figure as it was computed; what nobody knows is null. changed: against a base."""
    budget, traffic = found.budget, found.workload.traffic
    return {
        "plans": [cost_plan(plan) for plan in found.plans],
        "chosen": found.chosen if found.chosen >= 0 else None,
        "unknowns": list(dict.fromkeys(name for plan in found.plans for name in plan.unknowns)),
        "prices_as_of": found.prices_as_of,
        "assumptions": list(dict.fromkeys(name for plan in found.plans for name in plan.assumptions)),
        "details": [_cost_details(plan) for plan in found.plans],
        "curve": [{"rps": point.rps, **cost_plan(point.plan)} for point in found.curve],
        "why_not": list(found.why_not),
        "advice": list(found.advice),
        "budget": budget
        and {"limit_usd": budget.limit_usd, "spent_usd": _finite(budget.spent_usd), "ok": budget.ok, "why": budget.why},
        "traffic": traffic
        and {
            "rps": traffic.mean,
            "peak": traffic.peak,
            "requests_month": traffic.requests,
            "hours_month": traffic.hours,
            "source": traffic.source,
        },
        "findings": findings_payload(found.findings),
        **({} if changed is None else {"diff": _cost_diff(changed)}),
    }


def cost_plan(plan: CostPlan) -> dict[str, Any]:
    """The form of a plan wherever one stands; its keys are those of docs/design.md and no others."""
    candidate, replicas = plan.candidate, plan.replicas
    return {
        "target": candidate.target,
        "service": candidate.service,
        "region": candidate.region,
        "instance": candidate.instance,
        "purchase": candidate.purchase.name,
        "replicas": {"min": replicas.min, "average": replicas.average, "peak": replicas.peak},
        "usd_hour": _finite(plan.usd_hour),
        "usd_month": _finite(plan.usd_month),
        "usd_per_million": _finite(plan.usd_per_million),
        "interruptions_month": _finite(plan.interruptions_month),
        "p50_ms": _finite(plan.p50_ms),
        "p99_ms": _finite(plan.p99_ms),
        "price_dates": list(plan.price_dates),
        "assumptions": list(plan.assumptions),
        "unknowns": list(plan.unknowns),
        "complete": plan.is_complete,
    }


def _cost_details(plan: CostPlan) -> dict[str, Any]:
    candidate = plan.candidate
    return {
        "lines": [asdict(line) for line in plan.lines],
        "not_included": list(candidate.excluded),
        "size": candidate.size,
        "arch": candidate.arch,
        "term": candidate.purchase.term if "reserved" in candidate.purchase.name else None,
        "base": candidate.purchase.base,
        "idle_usd_month": _finite(plan.idle_usd_month),
        "overloaded": plan.is_overloaded,
        "can_deploy": candidate.can_deploy,
        "spot_range": plan.spot_range and list(plan.spot_range),
        "neighbours": list(plan.neighbours),
    }


def _cost_diff(changed: Diff) -> dict[str, Any]:
    return {
        "before": cost_plan(changed.before),
        "usd_month": _finite(changed.usd_month),
        "usd_per_million": _finite(changed.usd_per_million),
        "rows": [asdict(row) for row in changed.rows],
    }


def _finite(figure: float | None) -> float | None:
    """JSON has no infinity."""
    return figure if figure is not None and isfinite(figure) else None


def price_coverage(found: Coverage) -> dict[str, Any]:
    return {"coverage": asdict(found), "prices_as_of": found.as_of}


def prices_imported(done: prices.Imported) -> dict[str, Any]:
    return {**asdict(done), "path": str(done.path)}


def prices_refreshed(done: prices_refresh.Refreshed) -> dict[str, Any]:
    told: dict[str, Any] = {**asdict(done), "path": str(done.path), "prices_as_of": done.as_of}
    if done.missing:
        message = f"{len(done.missing)} of {len(done.missing) + len(done.read)} price lists could not be read"
        told["error"] = {"code": "missing-prices", "message": message, "where": str(done.path), "fix": "run it again for these"}
    return told


def price_offer(offer: Offer) -> dict[str, Any]:
    """Prices are US dollars an hour; null is unknown."""
    from msgspec import structs

    sources = {name: structs.asdict(dated) for name, dated in structs.asdict(offer.sources).items()}
    return {"offer": {**structs.asdict(offer), "machine": structs.asdict(offer.machine), "sources": sources}}


def cache_sizes(found: cache.CacheSizes) -> dict[str, Any]:
    kinds = [asdict(kind) for kind in found.kinds]
    return {"cache": {"home": str(found.home), "size": found.size, "free": found.free, "kinds": kinds}}


def cache_removal(going: Removal, *, removed: bool) -> dict[str, Any]:
    images = [{"project": i.project, "platform": i.platform, "content": i.content, "made": i.made} for i in going.images]
    return {"images": images, "paths": [str(path) for path in going.paths], "size": going.size, "removed": removed}


def cache_exported(made: Exported) -> dict[str, Any]:
    return {**asdict(made), "path": str(made.path)}


def cache_taken(taken: Taken) -> dict[str, Any]:
    return {**asdict(taken), "path": str(taken.path)}


def batch(result: Answered) -> dict[str, Any]:
    return {
        "project": result.project,
        "content": result.content,
        "model": {"name": result.model, "sha256": result.sha256, "title": result.title},
        "data": result.data,
        "out": result.out,
        "size": result.size,
        "rejects": result.rejects or None,
        "rows": result.rows,
        "answered": result.answered,
        "rejected": result.rejected,
        "reason": result.reason or None,
        "note": result.note or None,
        "seconds": round(result.seconds, 3),
        "rows_per_second": round(result.rows_per_second, 1),
        "resumed": result.resumed,
        "processes": result.processes,
    }


def benched(result: Benched) -> dict[str, Any]:
    """bench: times in seconds, rates in requests a second; null for what was never answered, promised or could not be known."""
    subject = result.subject
    return {
        "project": subject.project,
        "environment": subject.environment,
        "target": subject.target,
        "endpoint": subject.endpoint,
        "release": subject.release,
        "content": subject.content,
        "bench": finite(asdict(result.measured)),
        "attempts": [finite(asdict(one)) for one in result.attempts],
        "answers": asdict(result.answers),
        "notes": list(result.notes),
        "kept": result.is_kept,
        "seconds": round(result.seconds, 3),
    }


def tested(report: Report) -> dict[str, Any]:
    """test: every result, and what was not asked."""
    return {
        "project": report.project,
        "environment": report.environment,
        "subject": report.subject,
        "content": report.content,
        "verdict": report.verdict,
        "results": [{"name": result.name, **asdict(result)} for result in report.results],
        "not_asked": [asdict(missing) for missing in report.not_asked],
        "live": report.live,
        "strict": report.strict,
        "seconds": round(report.seconds, 3),
    }


def finite(value: Any) -> Any:
    """JSON has no infinity: null stands for it."""
    if isinstance(value, dict):
        return {key: finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [finite(entry) for entry in value]
    return None if isinstance(value, float) and not isfinite(value) else value


def pipeline_made(result: Made) -> dict[str, Any]:
    return {
        "system": result.system,
        "file": str(result.file),
        "written": result.written,
        "stages": [asdict(stage) for stage in result.pipeline.stages],
        "text": result.text,
    }


def commented(result: Commented) -> dict[str, Any]:
    return {"system": result.system, "created": result.created}
