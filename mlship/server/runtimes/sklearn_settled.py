"""What scikit-learn asks anew in every call, though it is settled for a loaded model that a server asks.

Whether a part is fitted, whether a plain array is a plain array, how the work of one job spreads: for one row of a linear model
that is four fifths of the time, for a forest seven eighths. scikit-learn's own methods run; only where their answer
could not be another one are these questions not asked (measured with scikit-learn 1.9). In any doubt scikit-learn itself is asked.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from types import ModuleType
from typing import Any, ClassVar

from mlship.server.runtimes.sklearn_parts import parts
from mlship.server.runtimes.sklearn_plain import PlainArrays

# of validate_data, beside `dtype`, `order`, `copy`, `force_writeable` and `ensure_all_finite`, which are looked at: what says
# nothing about a dense array of floats
INDIFFERENT = frozenset({"reset", "accept_sparse", "accept_large_sparse", "dtype", "order", "copy", "force_writeable"})
UNDERSTOOD = INDIFFERENT | {"ensure_all_finite"}
USUAL = frozenset({"reset", "accept_sparse"})  # all that linear models say: floats of 64 bits stay as they are
# these read one setting from the configuration, of which they are given a copy each time
READING = tuple(f"sklearn.utils.{name}" for name in ("_array_api", "_metadata_requests", "_param_validation", "_set_output"))


def settle_parts(estimator: Any) -> None:
    """Puts the short ways into the modules of scikit-learn's in which the estimator's parts are defined.

    They hold for the whole process; of other estimators, and of arrays that are not plain, they ask scikit-learn. Versions that
    do not have these questions in this form (before 1.6) stay as they are.
    """
    try:
        from sklearn import _config
        from sklearn.utils import parallel, validation
    except ImportError:
        return
    if hasattr(_config, "_get_threadlocal_config"):
        readers = [sys.modules[name] for name in READING if name in sys.modules]
        _replace(readers, {"get_config": _config.get_config}, {"get_config": _config._get_threadlocal_config})
    found = [part for part in parts(estimator) if hasattr(part, "fit")]
    modules = _modules(found)
    short: dict[str, Callable[[Any], Any]] = {
        "check_is_fitted": lambda ask: Fitted.of(ask, found),
        "validate_data": validated,
        "_check_n_features": counted,
    }
    for name, shortened in short.items():
        asked = getattr(validation, name, None) if hasattr(validation, "validate_data") else None
        _replace(modules, {name: asked}, {name: shortened(asked)})
    _settle_plain(modules)
    jobs = Jobs(parallel.Parallel, parallel.delayed)
    _replace(
        modules,
        {"Parallel": parallel.Parallel, "delayed": parallel.delayed},
        {"Parallel": jobs.parallel, "delayed": jobs.delayed},
    )


def _settle_plain(modules: list[ModuleType]) -> None:
    try:
        from sklearn import _config
        from sklearn.utils import _array_api, extmath
    except ImportError:
        return
    held, default = getattr(_config, "_threadlocal", None), getattr(_config, "_global_config", {})
    if not hasattr(_array_api, "move_to") or getattr(held, "global_config", default).get("array_api_dispatch", True):
        return
    plain = PlainArrays(_array_api, held, default)
    for name in ("get_namespace", "get_namespace_and_device", "check_same_namespace", "move_to", "_expit"):
        own = getattr(_array_api, name, None)
        _replace([*modules, extmath], {name: own}, {name: getattr(plain, name)(own)})
    _replace(
        modules,
        {"safe_sparse_dot": extmath.safe_sparse_dot},
        {"safe_sparse_dot": plain.safe_sparse_dot(extmath.safe_sparse_dot)},
    )


def _replace(modules: Iterable[ModuleType], asked: dict[str, Any], short: dict[str, Any]) -> None:
    """In the modules that know scikit-learn's own under all these names."""
    for module in modules:
        if all(own is not None and vars(module).get(name) is own for name, own in asked.items()):
            vars(module).update(short)


def _modules(found: Iterable[Any]) -> list[ModuleType]:
    kinds = {kind for part in found for kind in type(part).__mro__}
    names = {kind.__module__ for kind in kinds if kind.__module__.startswith("sklearn.")}
    return [sys.modules[name] for name in sorted(names) if name in sys.modules]


class Fitted:
    """check_is_fitted for the parts of served models, which nobody fits or unfits: asked once of each."""

    _all: ClassVar[dict[int, Fitted]] = {}

    def __init__(self, ask: Callable[..., None]) -> None:
        self._ask = ask
        self._parts: dict[int, Any] = {}  # held, so that no other object gets a part's id
        self._known: set[int] = set()

    @classmethod
    def of(cls, ask: Callable[..., None], found: Iterable[Any]) -> Fitted:
        """The one of this process, told of further parts."""
        one = cls._all.setdefault(id(ask), cls(ask))
        one._parts.update((id(part), part) for part in found)
        return one

    def __call__(self, estimator: Any, *arguments: Any, **named: Any) -> None:
        key = id(estimator)
        if key in self._known and not arguments and not named:
            return
        self._ask(estimator, *arguments, **named)
        if key in self._parts and not arguments and not named:
            self._known.add(key)


def validated(ask: Callable[..., Any]) -> Callable[..., Any]:
    """validate_data that takes a plain array of floats which fits as it is, as scikit-learn would after a longer look."""
    import numpy
    from sklearn import _config

    configured = getattr(_config, "_get_threadlocal_config", _config.get_config)  # the same, without a copy
    doubles = numpy.dtype("float64")

    def short(estimator: Any, /, X: Any = "no_validation", *arguments: Any, **named: Any) -> Any:  # noqa: N803  the name it has
        if type(X) is not numpy.ndarray or arguments or named.get("reset") is not False or not UNDERSTOOD.issuperset(named):
            return ask(estimator, X, *arguments, **named)
        if (
            X.dtype is doubles
            and X.ndim == 2
            and USUAL.issuperset(named)
            and len(X)
            and X.shape[1] == getattr(estimator, "n_features_in_", None)
            and configured()["assume_finite"]
        ):
            return X
        array = _converted(X, named.get("dtype", "numeric"))
        if (
            array is None
            or array.ndim != 2
            or not len(array)
            or array.shape[1] != getattr(estimator, "n_features_in_", None)
            or not _is_ordered(array, named.get("order"))
            or (named.get("force_writeable") and not array.flags.writeable)
            or not _is_allowed(array, named.get("ensure_all_finite", True))
        ):
            return ask(estimator, X, **named)
        return numpy.array(array) if named.get("copy") and array is X else array

    def _converted(array: Any, wanted: Any) -> Any:
        """The array in the dtype that is wanted; None where that is for scikit-learn to say."""
        dtype = array.dtype
        if dtype != numpy.float64 and dtype != numpy.float32:
            return None
        if type(wanted) is str:
            return array if wanted == "numeric" else None
        if isinstance(wanted, (list, tuple)):
            return array if dtype in wanted else None
        if wanted is None or dtype == wanted:
            return array
        if wanted != numpy.float32:
            return None
        with numpy.errstate(over="ignore"):
            return numpy.asarray(array, dtype=wanted)

    def _is_ordered(array: Any, order: str | None) -> bool:
        return order is None or (array.flags.c_contiguous if order == "C" else order == "F" and array.flags.f_contiguous)

    def _is_allowed(array: Any, ensure: Any) -> bool:
        if ensure is False or configured()["assume_finite"]:
            return True
        if ensure is True:
            return bool(numpy.isfinite(array).all())
        return ensure == "allow-nan" and not numpy.isinf(array).any()

    return short


def counted(ask: Callable[..., None]) -> Callable[..., None]:
    """_check_n_features for a plain array that has as many as the estimator was fitted with."""
    import numpy

    def short(estimator: Any, X: Any, reset: bool) -> None:  # noqa: N803  the name it has
        fits = type(X) is numpy.ndarray and X.ndim == 2 and X.shape[1] == getattr(estimator, "n_features_in_", None)
        if reset or not fits:
            ask(estimator, X, reset)

    return short


class Jobs:
    """joblib's way to spread work, as scikit-learn words it, for one job: one piece after the other, in this thread."""

    def __init__(self, spread: Any, wrap: Callable[..., Any]) -> None:
        """spread, wrap: scikit-learn's Parallel and delayed."""
        self._spread = spread
        self._wrap = wrap

    @staticmethod
    def delayed(function: Callable[..., Any]) -> Callable[..., Any]:
        """A piece of work, as `parallel` takes it."""
        return lambda *arguments, **named: (function, arguments, named)

    def parallel(self, n_jobs: int | None = None, **named: Any) -> Callable[[Iterable[Any]], Any]:
        """Does the pieces; several jobs, or results in another form than a list, are joblib's."""
        if named.get("return_as", "list") == "list" and _is_one(n_jobs):
            return lambda pieces: [function(*arguments, **own) for function, arguments, own in pieces]
        return lambda pieces: self._spread(n_jobs=n_jobs, **named)(
            self._wrap(function)(*arguments, **own) for function, arguments, own in pieces
        )


def _is_one(n_jobs: int | None) -> bool:
    if n_jobs is not None:
        return n_jobs == 1
    from joblib.parallel import get_active_backend

    return get_active_backend()[1] in (None, 1)
