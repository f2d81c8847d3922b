"""How a compiled model's scores become its answer: what plan_heads.py reads."""

from __future__ import annotations

from typing import Any

from mlship.server.compiling.columns import Unfit


def head_of(estimator: Any, method: str, link: str, *, has_shares: bool, at_zero: int = 0) -> dict[str, Any]:
    """Of a classifier. link: as plan_heads.py knows them. has_shares: it has probabilities. Raises Unfit."""
    classes: Any = getattr(estimator, "classes_", None)
    if not hasattr(classes, "tolist") or getattr(classes, "ndim", 1) != 1:
        raise Unfit("it answers with several outputs at once")
    listed = classes.tolist()
    if len(listed) < 2 or {type(value) for value in listed} not in ({str}, {int}, {float}, {bool}):
        raise Unfit("its classes are no text and no numbers, or there is only one")
    if method == "decision_function":
        return scores_head(flat=len(listed) == 2)
    if method == "predict_proba":
        return {"link": link, "gives": "probabilities", "classes": listed, "at_zero": at_zero}
    gives = "labels and probabilities" if has_shares and not method else "labels"
    return {"link": link, "gives": gives, "classes": listed, "at_zero": at_zero}


def scores_head(*, flat: bool) -> dict[str, Any]:
    """The scores are the answer."""
    return {"link": "none", "gives": "scores", "flat": flat}
