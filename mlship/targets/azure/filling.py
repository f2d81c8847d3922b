"""Documents with places that are filled when the call is made. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Document = dict[str, Any]


class Variable(str):
    """Text of ours that is known when the call is made; the same text from a user is not one. Written `${Name}`."""

    def __new__(cls, name: str) -> Variable:
        return super().__new__(cls, f"${{{name}}}")

    @property
    def name(self) -> str:
        return self[2:-1]


def filled(document: Any, known: Mapping[str, Any]) -> Any:
    """The document with every Variable in its place, in keys too. Raises KeyError for one that nobody knows: that is a bug."""
    if isinstance(document, Variable):
        return known[document.name]
    if isinstance(document, Mapping):
        return {filled(key, known): filled(entry, known) for key, entry in document.items()}
    if isinstance(document, list):
        return [filled(entry, known) for entry in document]
    return document


def covers(seen: Any, wanted: Any) -> bool:
    """Whether what Azure tells has all that was said, beside what it filled in by itself; what it leaves out is what it
    would be without being said: nothing, or no.
    """
    if isinstance(wanted, Variable):
        return True
    if isinstance(wanted, Mapping):
        told = seen if isinstance(seen, Mapping) else {}
        return all(
            _place(told.get(key), entry) if key == "location" else covers(told.get(key), entry) for key, entry in wanted.items()
        )
    if isinstance(wanted, list):
        told_list = seen if isinstance(seen, list) else []
        return all(any(covers(one, entry) for one in told_list) for entry in wanted)  # somebody may have added more
    if isinstance(wanted, str) and isinstance(seen, str):
        return wanted.lower() == seen.lower()  # names and regions come back in other cases
    return bool(seen == wanted) or (seen is None and not wanted)


def _place(seen: Any, wanted: Any) -> bool:
    """Container Apps calls westeurope `West Europe`."""
    return covers(*(said.replace(" ", "") if isinstance(said, str) else said for said in (seen, wanted)))


def variables(document: Any) -> frozenset[str]:
    """The names of all that is to be filled."""
    if isinstance(document, Variable):
        return frozenset((document.name,))
    if isinstance(document, Mapping):
        return frozenset().union(*(variables(part) for pair in document.items() for part in pair))
    if isinstance(document, list):
        return frozenset().union(*(variables(entry) for entry in document))
    return frozenset()
