"""test: what was measured, what was wanted, and what to do."""

from __future__ import annotations

from mlship.cli.views.text import columns, lines, place, seconds_text, short_content
from mlship.flows.gating.results import Report, Result

WORDS = {"pass": "pass", "fail": "FAIL", "inconclusive": "?"}


def report_text(report: Report) -> str:
    return lines(
        f"{place(report.project, report.environment)}  {report.subject}  content {short_content(report.content)}",
        columns([[WORDS[result.verdict], result.name, result.measured or "-", result.limit] for result in report.results]),
        *(line for result in report.results if result.verdict != "pass" for line in _explained(result)),
        "not asked" if report.not_asked else "",
        columns([[missing.gate, missing.how] for missing in report.not_asked]),
        _end(report),
    )


def _explained(result: Result) -> list[str]:
    head = "FAILED" if result.verdict == "fail" else "not known:"
    return [f"{head} {result.name}: {result.why}", *([f"  fix  {result.fix}"] if result.fix else [])]


def _end(report: Report) -> str:
    counts = {verdict: sum(result.verdict == verdict for result in report.results) for verdict in WORDS}
    told = [f"{counts['pass']} passed"]
    told += [f"{counts['fail']} failed"] if counts["fail"] else []
    told += [f"{counts['inconclusive']} not known"] if counts["inconclusive"] else []
    return f"{', '.join(told)}, {len(report.not_asked)} not asked  ({seconds_text(report.seconds)})"
