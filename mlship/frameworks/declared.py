"""What came with a model says what it takes; the loaded model says it, too. Where they differ, somebody is wrong. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from mlship.errors import Finding
from mlship.server.manifest import Feature, Signature

_SHOWN = 5


def declared_findings(declared: Signature | None, found: Signature, name: str, where: str) -> tuple[Finding, ...]:
    """declared: of the package, or None. found: of the loaded model. name: the model's, for people.

    Only what both tell is compared: a model that was trained without column names has only their number.
    """
    if declared is None or not declared.inputs or not found.inputs:
        return ()
    if declared.named and found.named:
        return tuple(_by_name(declared, found, name, where))
    return tuple(_by_place(declared, found, name, where))


def _by_name(declared: Signature, found: Signature, name: str, where: str) -> Iterator[Finding]:
    said = {feature.name: feature for feature in declared.inputs}
    known = {feature.name: feature for feature in found.inputs}
    lacking = [column for column in known if column not in said]
    if lacking:
        yield _error(f"{name} needs {_listed(lacking)}, which its signature does not have", where)
    unread = [column for column in said if column not in known]
    if unread:
        what = f"the signature of {name} has {_listed(unread)}, which the model does not read"
        yield Finding(what, where, "write serve.extra: ignore where callers send it", "warning", "other-signature")
    for column, feature in known.items():
        if column in said and _differ(said[column], feature):
            yield _error(f"{column} of {name} is {feature.dtype}, and its signature says {said[column].dtype}", where)


def _by_place(declared: Signature, found: Signature, name: str, where: str) -> Iterator[Finding]:
    if len(declared.inputs) != len(found.inputs):
        yield _error(f"{name} takes {len(found.inputs)} features, and its signature says {len(declared.inputs)}", where)
        return
    for said, feature in zip(declared.inputs, found.inputs, strict=True):
        if _differ(said, feature):
            yield _error(f"{feature.name} of {name} is {feature.dtype}, and its signature says {said.dtype}", where)
            return


def _differ(said: Feature, found: Feature) -> bool:
    """Words against numbers; how wide a number is, and whether true is 1, is nobody's mistake."""
    kinds = {_kind(said.dtype), _kind(found.dtype)}
    return len(kinds) == 2 and "" not in kinds


def _kind(dtype: str) -> str:
    if dtype in ("string", "datetime"):
        return "text"
    return "" if dtype == "any" else "number"


def _listed(names: list[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")


def _error(what: str, where: str) -> Finding:
    fix = "log the model again with the signature of its own training data"
    return Finding(what, where, fix, code="other-signature")
