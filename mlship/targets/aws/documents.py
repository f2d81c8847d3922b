"""What all documents for AWS are made of: bodies of calls with variables in them, and templates. Pure.

`${Name}` stands for an output of the foundation's stack, or for what is known only when the call is made: the image in the registry, the
region. In a template of CloudFormation it becomes a reference.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

Template = dict[str, Any]  # of CloudFormation, or a part of one
Body = dict[str, Any]  # of a call, as boto3 takes it


class Variable(str):
    """Text of ours that is known when the call is made; the same text from a user is not one."""

    def __new__(cls, name: str) -> Variable:
        return super().__new__(cls, f"${{{name}}}")

    @property
    def name(self) -> str:
        return self[2:-1]


def filled(document: Any, known: Mapping[str, str]) -> Any:
    """The document with every Variable in its place. A list's item that is one stands for all that it lists, with commas.

    Raises KeyError for one that nobody knows: that is a bug.
    """
    if isinstance(document, Variable):
        return known[document.name]
    if isinstance(document, Mapping):
        return {name: filled(entry, known) for name, entry in document.items()}
    if isinstance(document, list):
        return [one for entry in document for one in _items(entry, known)]
    return document


def variables_in(document: Any) -> set[str]:
    """Names of all that `filled` has to know."""
    if isinstance(document, Variable):
        return {document.name}
    entries = document.values() if isinstance(document, Mapping) else document if isinstance(document, list) else ()
    return {name for entry in entries for name in variables_in(entry)}


def in_template(document: Any, known: Mapping[str, Any], *, lists: Collection[str] = (), free: Collection[str] = ()) -> Any:
    """A call's body in CloudFormation's spelling, with what `known` has in the place of variables.

    lists: variables that stand for a whole list. free: maps whose keys are the user's and stay as they are, as CloudFormation
    names them (`Options`).
    """
    return _spelled(document, known, lists, free, is_free=False)


def cfn_tags(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """As CloudFormation and most services take them."""
    return [{"Key": name, "Value": text} for name, text in tags.items()]


def _items(entry: Any, known: Mapping[str, str]) -> list[Any]:
    return known[entry.name].split(",") if isinstance(entry, Variable) else [filled(entry, known)]


def _spelled(document: Any, known: Mapping[str, Any], lists: Collection[str], free: Collection[str], *, is_free: bool) -> Any:
    if isinstance(document, Variable):
        return known[document.name]
    if isinstance(document, Mapping):
        names = {key: key if is_free else key[:1].upper() + key[1:] for key in document}
        return {names[key]: _spelled(entry, known, lists, free, is_free=names[key] in free) for key, entry in document.items()}
    if isinstance(document, list):
        only = document[0] if len(document) == 1 else None
        if isinstance(only, Variable) and only.name in lists:
            return known[only.name]
        return [_spelled(entry, known, lists, free, is_free=False) for entry in document]
    return document
