"""`environments:` the same keys again, laid over the document."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from mlship.config.expand import empty_when_nothing, expanded, merged
from mlship.config.nodes import Map, Node
from mlship.config.report import Report
from mlship.config.schema import SAME_EVERYWHERE
from mlship.config.validate import DOCUMENT, Validator
from mlship.config.words import clipped, nearest

MAX_ENVIRONMENTS = 20


def environments_of(whole: Map, report: Report) -> Mapping[str, Map]:
    """What each environment lays over the document. What is wrong with a section as a whole is in the report."""
    section = whole.entries.get("environments")
    if section is None:
        return {}
    Validator(report).value(section, DOCUMENT.keys["environments"].shape)
    if not isinstance(section, Map):
        return {}
    if len(section.entries) > MAX_ENVIRONMENTS:
        what = f"there are {len(section.entries)} environments, more than {MAX_ENVIRONMENTS}"
        report.add(section.key_place, section.key, what, "keep other projects in files of their own", "too-many-environments")
        return {}
    environments = {name: expanded(empty_when_nothing(node), DOCUMENT) for name, node in section.entries.items()}
    for node in environments.values():
        _report_same_everywhere(node, report)
    return {name: node for name, node in environments.items() if isinstance(node, Map)}


def _report_same_everywhere(node: Node, report: Report) -> None:
    if not isinstance(node, Map):
        report.add(node.place, node.key, f"{node} stands where a map is wanted", "write the keys that differ below it", "value")
        return
    for name in SAME_EVERYWHERE:
        if name in node.entries:
            entry = node.entries[name]
            what = f"{name} is the same in every environment"
            report.add(entry.key_place, entry.key, what, "keep it at the top of the file only", "environment")


def report_unknown(environment: str, whole: Map, report: Report) -> None:
    section = whole.entries.get("environments", whole)
    names = section.entries if isinstance(section, Map) and section is not whole else ()
    near = nearest(environment, names)
    fix = f"did you mean {near}?" if near else "add it below environments, or leave --env out"
    known = f"known: {clipped(', '.join(names), 400)}" if names else "the file has none"
    what = f"there is no environment {clipped(environment)}; {known}"
    report.add(section.key_place, "environments", what, fix, "unknown-environment")


def variants(base: Map, environments: Mapping[str, Map], asked: str) -> Iterator[tuple[str, Map]]:
    """Everything that the file can mean. The bare document is judged as a whole only when it is what was asked for."""
    if not asked or asked not in environments:
        yield asked, base
    for name, over in environments.items():
        yield name, merged(base, replace(over, entries=_without_fixed(over)))


def _without_fixed(over: Map) -> Mapping[str, Node]:
    return {name: node for name, node in over.entries.items() if name not in SAME_EVERYWHERE}
