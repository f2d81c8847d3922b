"""Nodes against the schema: values out, and everything that is wrong into the report."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any, Final

from mlship.config.nodes import List, Map, Node, Scalar, below
from mlship.config.report import Report
from mlship.config.schema import Document
from mlship.config.shapes import (
    Amount,
    Anything,
    Choice,
    Listing,
    Number,
    NumberOrText,
    Section,
    Shape,
    Switch,
    Table,
    Text,
    section,
)
from mlship.config.words import clipped, either, named, nearest, unseen

DOCUMENT: Final = section(Document)
WRONG: Final[Any] = object()  # in the place of a value that was reported


def document(root: Map, report: Report) -> Document:
    """The document as far as it is right: what is wrong is in the report, and its default stands here."""
    validator = Validator(report)
    fields = validator.fields(root, DOCUMENT)
    validator.require(root, DOCUMENT)
    return Document(**{"name": "unnamed", **fields})


class Validator:
    """Walks nodes and shapes side by side. is_whole: keys that must be there are asked for."""

    def __init__(self, report: Report, is_whole: bool = True) -> None:
        self._report = report
        self._is_whole = is_whole

    def fields(self, node: Map, shape: Section) -> dict[str, Any]:
        """The section's values by key; without those that are wrong or not there."""
        values: dict[str, Any] = {}
        for name, entry in node.entries.items():
            key = shape.keys.get(name)
            if key is None:
                self._unknown(entry, name, shape)
                continue
            value = self.value(entry, key.shape)
            if value is not WRONG:
                values[name] = value
        return values

    def require(self, node: Map, shape: Section) -> bool:
        """Whether every key that must be there is there."""
        missing = [name for name, key in shape.keys.items() if key.is_required and name not in node.entries]
        for name in missing if self._is_whole else ():
            self._report.add(node.key_place, below(node.key, name), "the key is missing", f"write {name}: ...", "missing-key")
        return not missing

    def value(self, node: Node, shape: Shape) -> Any:
        """What the node says, in the schema's type; WRONG when it says something else."""
        if isinstance(shape, Section):
            return self._section(node, shape)
        if isinstance(shape, Table):
            return self._table(node, shape)
        if isinstance(shape, Listing):
            return self._listing(node, shape)
        if isinstance(shape, Anything):
            return WRONG
        if not isinstance(node, Scalar):
            return self._wrong(node, f"{node} stands where {_wanted(shape)} is wanted", _example(shape))
        if node.is_nothing:
            return self._wrong(node, "the key has no value", "write one, or delete the line")
        return self._scalar(node, shape)

    def _section(self, node: Node, shape: Section) -> Any:
        if not isinstance(node, Map):
            return self._not_a_map(node, shape.short, ", ".join(shape.keys))
        fields = self.fields(node, shape)
        if not self.require(node, shape) or any(key.is_required and name not in fields for name, key in shape.keys.items()):
            return WRONG
        return shape.struct(**fields)

    def _not_a_map(self, node: Node, short: str, keys: str) -> Any:
        if isinstance(node, Scalar) and node.is_nothing:
            return self._wrong(node, "the key has no value", "write one, or delete the line")
        if short == "min..max":
            return self._wrong(node, f"{node} is not a number of replicas", "write 3, 1..10 or {min: 1, max: 10}")
        return self._wrong(node, f"{node} stands where a map is wanted", f"write keys below it, such as {clipped(keys)}")

    def _table(self, node: Node, shape: Table) -> Any:
        if not isinstance(node, Map):
            return self._not_a_map(node, "", "NAME: VALUE")
        table: dict[str, Any] = {}
        for name, entry in node.entries.items():
            told = Scalar(entry.key, entry.key_place, entry.key_place, name, plain=False)
            value = self.value(entry, shape.value)
            if self._scalar(told, shape.name) is not WRONG and value is not WRONG:
                table[name] = value
        return table

    def _listing(self, node: Node, shape: Listing) -> Any:
        if not isinstance(node, List):
            fix = f"write [{node}]" if isinstance(node, Scalar) else "write - before each item"
            return self._wrong(node, f"{node} stands where a list is wanted", fix)
        right = tuple(value for item in node.items if (value := self.value(item, shape.item)) is not WRONG)
        return right if right or not node.items else WRONG

    def _scalar(self, node: Scalar, shape: Shape) -> Any:
        value: Any = node.value
        problem: Complaint
        if isinstance(shape, Text):
            value, problem = node.text, _text_problem(node, shape)
        elif isinstance(shape, Number):
            problem = _number_problem(node, shape)
            value = value if shape.whole or isinstance(value, str) or problem else float(value)
        elif isinstance(shape, Choice):
            problem = _choice_problem(node, shape)
        elif isinstance(shape, Amount):
            return self._amount(node, shape)
        elif isinstance(shape, Switch):
            problem = _switch_problem(node)
        else:
            assert isinstance(shape, NumberOrText)
            problem = _hidden_problem(node)
        return self._wrong(node, *problem) if problem else value

    def _amount(self, node: Scalar, shape: Amount) -> Any:
        try:
            amount = shape.unit.parse(node.text)
        except ValueError as error:
            what, _, fix = str(error).partition("; ")
            return self._wrong(node, what, fix)
        if shape.minimum is not None and amount < shape.minimum:
            return self._wrong(node, f"{node} is less than the minimum, {shape.minimum}", f"write {shape.minimum} or more")
        if shape.maximum is not None and amount > shape.maximum:
            return self._wrong(node, f"{node} is more than the maximum, {shape.maximum}", f"write {shape.maximum} or less")
        return amount

    def _unknown(self, entry: Node, name: str, shape: Section) -> None:
        fix = "" if self._report.is_full else _remedy(entry.key.removesuffix(clipped(name)), name, shape)
        self._report.add(entry.key_place, entry.key, "unknown key", fix, "unknown-key")

    def _wrong(self, node: Node, what: str, fix: str = "") -> Any:
        self._report.add(node.place, node.key, what, fix, "value")
        return WRONG


def _remedy(before: str, name: str, shape: Section) -> str:
    """What to do about an unknown key: the near one of this section, the same one elsewhere, or what is known here."""
    near = nearest(name, shape.keys)
    if near:
        return f"did you mean {before}{near}?"
    elsewhere = [key for key in _dotted_keys(DOCUMENT) if key.rsplit(".", 1)[-1] == name]
    if elsewhere:
        return f"did you mean {either(elsewhere[:3])}?"
    return f"known here: {', '.join(shape.keys)}"


def _dotted_keys(shape: Section, parent: str = "") -> Iterator[str]:
    for name, key in shape.keys.items():
        yield below(parent, name)
        if isinstance(key.shape, Section):
            yield from _dotted_keys(key.shape, below(parent, name))


Complaint = tuple[str, str] | None  # what is wrong, and what to do


def _text_problem(node: Scalar, shape: Text) -> Complaint:
    if not isinstance(node.value, str):
        in_quotes = not shape.pattern or re.fullmatch(shape.pattern, node.text, re.ASCII)
        return _not_text(node) if in_quotes else (f"{node} is not {shape.wanted}", "")
    if len(node.text) < shape.shortest:
        return "the text is empty", "write one, or delete the line"
    if len(node.text) > shape.longest:
        return f"the text has {len(node.text)} characters, more than {shape.longest}", "write less"
    if hidden := _hidden_problem(node):
        return hidden
    if shape.pattern and not re.fullmatch(shape.pattern, node.text, re.ASCII):
        return f"{node} is not {shape.wanted}", ""
    return None


def _not_text(node: Scalar) -> Complaint:
    value = node.value
    if isinstance(value, bool):
        return f"{node} without quotes is a switch, not text", f'write it in quotes: "{node}"'
    told = f"the number {value}" if str(value) != node.text else "a number, not text"
    return f"{node} without quotes is {told}", f'write it in quotes: "{node}"'


def _hidden_problem(node: Scalar) -> Complaint:
    hidden = unseen(node.text)
    return (f"the text has the character {named(hidden)}, which is not allowed", "delete it") if hidden else None


def _number_problem(node: Scalar, shape: Number) -> Complaint:
    value, kind = node.value, "a whole number" if shape.whole else "a number"
    if isinstance(value, str) and value in shape.words:
        return None
    if not node.plain and re.fullmatch(r"[0-9]+", node.text, re.ASCII):
        return f'"{node}" in quotes is text, not {kind}', f"write {node} without quotes"
    if re.fullmatch(r"[-+]?0[0-9]{1,38}", node.text, re.ASCII):
        return f"{node} is read as octal by some and as decimal by others", f"write {int(node.text)}"
    if isinstance(value, bool) or not isinstance(value, int if shape.whole else (int, float)):
        return f"{node} is not {either([kind, *shape.words])}", ""
    return _bound_problem(node, float(value), shape)


def _bound_problem(node: Scalar, value: float, shape: Number) -> Complaint:
    if not math.isfinite(value):
        return f"{node} is not a finite number", ""
    if shape.minimum is not None and value < shape.minimum:
        return f"{node} is less than the minimum, {shape.minimum:g}", f"write {shape.minimum:g} or more"
    if shape.above is not None and value <= shape.above:
        return f"{node} is not more than {shape.above:g}", ""
    if shape.maximum is not None and value > shape.maximum:
        return f"{node} is more than the maximum, {shape.maximum:g}", f"write {shape.maximum:g} or less"
    return None


def _choice_problem(node: Scalar, shape: Choice) -> Complaint:
    if type(node.value) in (str, int) and node.value in shape.values:
        return None
    if shape is DOCUMENT.keys["schema"].shape and isinstance(node.value, int) and node.value > 1:
        return f"schema {node} is of a newer mlship", "upgrade mlship, or write schema: 1"
    words = [str(value) for value in shape.values]
    if node.text in words:
        return f'"{node}" in quotes is text, not a number', f"write {node} without quotes"
    near = nearest(node.text, words)
    return f"{node} is not {either(words)}", f"did you mean {near}?" if near else ""


def _switch_problem(node: Scalar) -> Complaint:
    if isinstance(node.value, bool):
        return None
    meant = {"yes": "true", "on": "true", "y": "true", "no": "false", "off": "false", "n": "false"}
    meant |= {"true": "true", "false": "false"}
    word = meant.get(node.text.lower(), "")
    return f"{node} is text, not true or false", f"write {word}" if word else "write true or false"


def _wanted(shape: Shape) -> str:
    if isinstance(shape, Number):
        return "a number"
    if isinstance(shape, Switch):
        return "true or false"
    if isinstance(shape, Amount):
        return f"an amount such as {_EXAMPLES[shape.unit.__name__]}"
    return "text"


def _example(shape: Shape) -> str:
    return f"write {either(map(str, shape.values))}" if isinstance(shape, Choice) else ""


_EXAMPLES = {"Memory": "2GiB", "Cpu": "0.5", "Duration": "5m", "Money": "150 USD"}
