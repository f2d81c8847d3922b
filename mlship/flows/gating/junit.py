"""A report as JUnit XML, as CI systems show it: a test case for each result. Pure.

Form: the schema of Apache Ant's JUnit task, as Jenkins, GitLab and GitHub's actions read it. XML 1.0 has no control characters.
"""

from __future__ import annotations

import re
from xml.etree.ElementTree import Element, SubElement, tostring

from mlship.flows.gating.results import Report, Result

_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(report: Report) -> bytes:
    """Inconclusive results are errors with `strict`, else skipped; what was not asked is skipped."""
    failed = [result for result in report.results if result.verdict == "fail"]
    unknown = [result for result in report.results if result.verdict == "inconclusive"]
    counts = {
        "tests": str(len(report.results) + len(report.not_asked)),
        "failures": str(len(failed)),
        "errors": str(len(unknown) if report.strict else 0),
        "skipped": str(len(report.not_asked) + (0 if report.strict else len(unknown))),
        "time": f"{report.seconds:.3f}",
    }
    root = Element("testsuites", counts)
    suite = SubElement(root, "testsuite", {"name": _clean(f"mlship test {report.project}"), **counts})
    for result in report.results:
        _case(suite, report, result)
    for missing in report.not_asked:
        case = SubElement(suite, "testcase", {"classname": _clean(report.project), "name": missing.gate, "time": "0"})
        SubElement(case, "skipped", {"message": _clean(f"not asked: {missing.how}")})
    body: bytes = tostring(root, encoding="utf-8", xml_declaration=True)
    return body + b"\n"


def _case(suite: Element, report: Report, result: Result) -> None:
    case = SubElement(suite, "testcase", {"classname": _clean(report.project), "name": _clean(result.name), "time": "0"})
    measured = SubElement(case, "system-out") if result.measured and result.verdict == "pass" else None
    if measured is not None:
        measured.text = _clean(f"{result.measured}   {result.limit}")
    if result.verdict == "pass":
        return
    kind = "failure" if result.verdict == "fail" else "error" if report.strict else "skipped"
    told = SubElement(case, kind, {"message": _clean(result.why)})
    told.text = _clean(f"measured: {result.measured}\nwanted: {result.limit}\nfix: {result.fix}")


def _clean(text: str) -> str:
    return _NOT_XML.sub("?", text)
