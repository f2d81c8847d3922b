"""What a scikit-learn file tells without being loaded."""

from __future__ import annotations

from pathlib import Path

from mlship.errors import Finding
from mlship.frameworks.base import Asked, Read
from mlship.server import names
from mlship.server.names import Problem
from mlship.server.pickle_scan import Refused, Scan

# with column names in it, a model that holds one of these was trained on a DataFrame and needs one again
_SELECT_BY_NAME = {
    ("sklearn.compose._column_transformer", "ColumnTransformer"),
    ("sklearn.preprocessing._function_transformer", "FunctionTransformer"),
    ("sklearn.preprocessing._encoders", "OneHotEncoder"),
    ("sklearn.preprocessing._encoders", "OrdinalEncoder"),
    ("sklearn.preprocessing._target_encoder", "TargetEncoder"),
}


def read_sklearn(asked: Asked) -> Read:
    """Names, versions and needed modules; refusals are findings. Raises OSError."""
    path, where = asked.path, asked.where
    try:
        found = asked.scanned(path)
    except Refused as refused:
        return Read(asked.format, findings=(Finding(f"{path.name}: {refused.what}", where, refused.fix, code=refused.kind),))
    problems = names.problems(found.names, asked.trust)
    return Read(
        format=_format(found, asked.format),
        names=tuple(sorted({names.dotted(name) for name in found.names})),
        versions=found.versions,
        modules=_modules(found),
        findings=(*_refusals(path, problems, where), *_oddities(path, found, where)),
        problems=problems,
    )


def _format(found: Scan, told: str) -> str:
    is_joblib = found.format == "joblib" or (found.format == "pickle" and found.compression != "none")
    return "joblib" if is_joblib else (found.format if found.format == "skops" else told)


def _modules(found: Scan) -> frozenset[str]:
    used = {module.partition(".")[0] for module, _ in found.names} - _STANDARD
    alone = {"catboost"} if found.root[0] == "catboost.core" else _BOOSTERS.get(found.root, set())
    needed = used | (alone or {"sklearn"}) | ({"skops"} if found.format == "skops" else set())
    has_own = bool(names.problems(found.names))
    if found.has_feature_names and (has_own or _SELECT_BY_NAME & set(found.names)):
        needed |= {"pandas"}
    return frozenset(needed)


# what is served as its library's own, and asks nothing of scikit-learn
_BOOSTERS = {("xgboost.core", "Booster"): {"xgboost"}, ("lightgbm.basic", "Booster"): {"lightgbm"}}

_STANDARD = {
    "builtins",
    "collections",
    "copyreg",
    "datetime",
    "decimal",
    "fractions",
    "functools",
    "re",
    "uuid",
    "_codecs",
    "__main__",
}


def _refusals(path: Path, problems: tuple[Problem, ...], where: str) -> tuple[Finding, ...]:
    """One finding for each kind of remedy, so that the whole `trust` line stands in one of them."""
    kinds: dict[str, list[Problem]] = {}
    for problem in problems:
        kinds.setdefault(problem.kind, []).append(problem)
    return tuple(
        Finding(
            f"{path.name}: {listed[0].what}" + _and_to(listed[1:]),
            where,
            listed[0].fix,
            code=kind,
        )
        for kind, listed in kinds.items()
    )


def _and_to(more: list[Problem]) -> str:
    if not more:
        return ""
    shown = [names.dotted(problem.name) for problem in more[:5]]
    rest = f" and {len(more) - 5} more" if len(more) > 5 else ""
    return f" (and to {', '.join(shown)}{rest})"


def _oddities(path: Path, found: Scan, where: str) -> tuple[Finding, ...]:
    findings = []
    if found.objects > 1:
        what = f"{path.name} holds {found.objects} objects one after the other; the first is served"
        findings.append(Finding(what, where, "save the model alone", "warning", "several-objects"))
    if found.root[0] == "builtins":
        keys = f" with {', '.join(map(repr, found.keys[:6]))}" if found.keys else ""
        fix = f"save the model alone: joblib.dump(d[{found.keys[0]!r}], path)" if found.keys else "save the fitted model itself"
        findings.append(Finding(f"{path.name} holds a {found.root[1]}{keys}, not a model", where, fix, code="not-a-model"))
    return tuple(findings)
