"""doctor: one line a check, and what to do about each that is not fine."""

from __future__ import annotations

from mlship.cli.views.text import lines
from mlship.errors import Finding
from mlship.flows.results import Diagnosis

GRADES = {"warning": "warning", "error": "error"}


def doctor_text(result: Diagnosis) -> str:
    width = max((len(finding.code) for finding in result.findings), default=0)
    return lines(*(_check(finding, width) for finding in result.findings), _verdict(result))


def _check(finding: Finding, width: int) -> str:
    grade = GRADES.get(finding.severity, "note" if finding.fix else "ok")
    return lines(
        f"{grade:<8} {finding.code:<{width}}  {finding.what}{f'   ({finding.where})' if finding.where else ''}",
        f"{'':<9}{'':<{width}}  fix: {finding.fix}" if finding.fix else "",
    )


def _verdict(result: Diagnosis) -> str:
    if any(finding.severity == "error" for finding in result.findings):
        return "mlship build cannot work here until the errors above are gone"
    if any(finding.severity == "warning" for finding in result.findings):
        return "mlship build works here; the warnings say what else would not"
    return "everything that mlship needs is here"
