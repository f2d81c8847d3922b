"""Vectorisers of text as a plan's node: which words count, and what each weighs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from mlship.server.compiling.columns import Columns, Raw, Source, Unfit, Words
from mlship.server.runtimes.sklearn_parts import kind_of


def counted(vectoriser: Any, source: Source, columns: Columns) -> Source:
    """CountVectorizer and TfidfVectorizer of one text column. Raises Unfit."""
    kind = kind_of(vectoriser)
    if not isinstance(source, Raw) or source.width != 1 or source.fill != (None,):
        raise Unfit(f"a {kind} behind other steps has no compiled form")
    if vectoriser.analyzer != "word" or callable(vectoriser.tokenizer) or callable(vectoriser.preprocessor):
        raise Unfit(f"{kind} takes words apart in a way of its own")
    if vectoriser.strip_accents not in (None, "unicode", "ascii"):
        raise Unfit(f"{kind} runs a function of your own")
    terms = sorted(vectoriser.vocabulary_, key=vectoriser.vocabulary_.get)
    node = {
        "column": source.at[0],
        "terms": terms,
        "token": vectoriser.token_pattern,
        "lowercase": bool(vectoriser.lowercase),
        "accents": vectoriser.strip_accents or "",
        "stop": sorted(vectoriser.get_stop_words() or ()),
        "ngrams": list(vectoriser.ngram_range),
        "binary": bool(vectoriser.binary),
        "sublinear": False,
        "idf": "",
        "norm": "",
    }
    words = Words(node, len(terms))
    return weighed(vectoriser, words, columns) if kind == "TfidfVectorizer" else words


def weighed(step: Any, source: Source, columns: Columns) -> Source:
    """What TfidfTransformer does to counts, and TfidfVectorizer to its own. Raises Unfit."""
    if not isinstance(source, Words):
        raise Unfit(f"a {kind_of(step)} without words before it has no compiled form")
    idf = columns.keep(step.idf_) if step.use_idf else ""
    told = {"idf": idf, "norm": step.norm or "", "sublinear": bool(step.sublinear_tf)}
    return replace(source, node={**source.node, **told})
