"""Findings in columns: place, what is wrong, what to do."""

from __future__ import annotations

from collections.abc import Iterable

from mlship.cli.views.text import columns
from mlship.errors import Finding


def findings_text(findings: Iterable[Finding]) -> str:
    """One line a finding: `mlship.yaml:7:3  scale.replica  unknown key; did you mean scale.replicas?`."""
    findings = list(findings)
    graded = any(finding.severity != "error" for finding in findings)
    return columns(_row(finding, graded) for finding in findings)


def _row(finding: Finding, graded: bool) -> list[str]:
    spot, _, key = finding.where.partition(" ")
    remedy = f"; {finding.fix}" if finding.fix else ""
    severity = [finding.severity] if graded else []
    return [*severity, spot, key.strip(), f"{finding.what}{remedy}"]


def count_text(findings: Iterable[Finding]) -> str:
    """`2 errors, 1 warning`; empty when there is neither."""
    findings = list(findings)
    counts = {kind: sum(finding.severity == kind for finding in findings) for kind in ("error", "warning")}
    return ", ".join(f"{count} {kind}{'s' if count != 1 else ''}" for kind, count in counts.items() if count)
