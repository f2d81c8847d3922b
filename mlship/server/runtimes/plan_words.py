"""Text columns in compiled linear models: words are counted, weighed, and looked up; no matrix of all words is made."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from mlship.server.runtimes.plan_steps import values_of

ACCENTS: Mapping[str, Callable[[str], str]] = {
    "": lambda text: text,
    "unicode": lambda text: "".join(
        letter for letter in unicodedata.normalize("NFKD", text) if not unicodedata.combining(letter)
    ),
    "ascii": lambda text: unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode(),
}


def words_from(node: Mapping[str, Any], arrays: Mapping[str, Any]) -> Callable[[Any], Any]:
    """Rows -> what a column's words bring to the scores, float64 (rows, outputs). Raises ValueError for a hole.

    node: {"column", "terms", "token", "lowercase", "accents", "stop", "ngrams", "binary", "sublinear", "idf", "norm", "weights"}.
    """
    import numpy

    column, terms = int(node["column"]), terms_from(node)
    place = {term: at for at, term in enumerate(node["terms"])}
    weights = arrays[node["weights"]]
    idf = arrays[node["idf"]] if node["idf"] else None
    nothing = numpy.zeros(weights.shape[1])

    def scored(text: Any) -> Any:
        if text is None:
            raise ValueError("a text is missing, and the model was trained without holes")
        counts: dict[int, int] = {}
        for term in terms(text):
            at = place.get(term)
            if at is not None:
                counts[at] = counts.get(at, 0) + 1
        if not counts:
            return nothing
        places = numpy.array(list(counts))
        values = numpy.ones(len(counts)) if node["binary"] else numpy.array(list(counts.values()), dtype="float64")
        if node["sublinear"]:
            values = numpy.log(values) + 1.0
        if idf is not None:
            values = values * idf.take(places)
        if node["norm"]:
            values = values / (numpy.sqrt(values @ values) if node["norm"] == "l2" else numpy.abs(values).sum())
        return values @ weights.take(places, axis=0)

    return lambda rows: numpy.array([scored(text) for text in values_of(rows, column)])


def terms_from(node: Mapping[str, Any]) -> Callable[[str], Iterable[str]]:
    """A text -> its words and runs of words, in the forms in which the model knows them."""
    found, strip, stop = re.compile(node["token"]).findall, ACCENTS[node["accents"]], frozenset(node["stop"])
    least, most = node["ngrams"]
    is_lower = bool(node["lowercase"])

    def terms(text: str) -> Iterable[str]:
        words = found(strip(text.lower() if is_lower else text))
        if stop:
            words = [word for word in words if word not in stop]
        if most == 1:
            return words
        return (" ".join(words[at : at + size]) for size in range(least, most + 1) for at in range(len(words) - size + 1))

    return terms
