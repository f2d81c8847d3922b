"""Other words for what an estimate is asked, in our own; and what a word that nobody knows may have meant. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from mlship.config.words import clipped, nearest
from mlship.errors import MlshipError

PSEUDO_REGIONS = ("all", "global", "tier1", "tier2")  # the book's, of prices that are the same in many places
_SHOWN = 12  # known words before the list is cut off


def unknown(option: str, what: str, said: str, known: Iterable[str]) -> MlshipError:
    """Of a word that is none of those known, with the one that was probably meant."""
    names = [name for name in known if name not in PSEUDO_REGIONS]
    near = near_word(said, names)
    shown = ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
    return MlshipError(
        f"there is no {what} {clipped(said)}", option, f"did you mean {near}?" if near else f"known: {shown}", code="usage"
    )


def near_word(said: str, known: Iterable[str]) -> str:
    """The same word in another case before any other."""
    names = {name.lower(): name for name in known}
    return names.get(said.lower()) or names.get(nearest(said.lower(), names), "")
