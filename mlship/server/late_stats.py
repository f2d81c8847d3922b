"""scipy.stats, where scikit-learn asks for it, read when it is first used.

scikit-learn imports it for what fits and scores models; what answers rows hardly ever calls it, and it is 19 MB of 108 and
three fifths of the processor time of such an import (scikit-learn 1.9, scipy 1.17). Only scikit-learn's own import statements are
answered otherwise, only while a model loads, and what they get is scipy's own at its first use.

numpy.f2py, which compiles Fortran, is as late: what copies numpy's namespace, as scipy and scikit-learn do, asks numpy for that too.
"""

from __future__ import annotations

import builtins
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from types import SimpleNamespace
from typing import Any

RUNTIMES = frozenset(("sklearn", "lightgbm", "xgboost"))  # that import scikit-learn, and no code of a user's own to speak of
PACKAGE, MODULE, STATS = "scipy", "stats", "scipy.stats"
NUMPY, FORTRAN, F2PY = "numpy", "f2py", "numpy.f2py"
# what scikit-learn takes out of it by name, and only calls, or asks for methods; the last one comes with all that are neighbors
NAMES = frozenset(("gmean", "rankdata", "spearmanr", "chi2"))


@contextmanager
def late_stats(runtime: str = "sklearn") -> Iterator[None]:
    """Within, scikit-learn does not import scipy.stats; for other runtimes, and where it is there already, nothing is different."""
    if STATS in sys.modules or runtime not in RUNTIMES:
        yield
        return
    usual = builtins.__import__
    builtins.__import__ = _importing(usual)
    try:
        yield
    finally:
        builtins.__import__ = usual


def _importing(usual: Callable[..., Any]) -> Callable[..., Any]:
    def imported(
        name: str,
        globals: Mapping[str, Any] | None = None,
        locals: Mapping[str, Any] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> Any:
        if name in (STATS, PACKAGE) and globals is not None and _is_sklearns(globals.get("__name__")):
            late = _late(name, fromlist or (), usual)
            if late is not None:
                return late
        if name == F2PY and F2PY not in sys.modules and globals is not None and globals.get("__name__") == NUMPY:
            package = sys.modules[NUMPY]
            setattr(package, FORTRAN, _Module(F2PY))  # where numpy's own statement looks for it then
            return package
        return usual(name, globals, locals, fromlist, level)

    return imported


def _is_sklearns(module: Any) -> bool:
    return isinstance(module, str) and module.startswith("sklearn.")


def _late(name: str, wanted: Sequence[str], usual: Callable[..., Any]) -> Any:
    """What the statement gets in place of scipy.stats; None where it is Python's to answer."""
    if STATS in sys.modules:
        return None
    if name == STATS and wanted:
        return SimpleNamespace(**{each: _Named(each) for each in wanted}) if NAMES.issuperset(wanted) else None
    if name == STATS:
        package = usual(PACKAGE)
        return package if "__getattr__" in vars(package) else None  # which imports what is asked of it (scipy 1.9)
    if MODULE not in wanted:
        return None
    others = usual(PACKAGE, None, None, tuple(each for each in wanted if each != MODULE))
    return SimpleNamespace(**{each: getattr(others, each) for each in wanted if each != MODULE}, **{MODULE: _Module(STATS)})


class _Module:
    """One that is imported when something in it is asked for."""

    def __init__(self, own_name: str) -> None:
        self._own_name = own_name

    def __getattr__(self, name: str) -> Any:
        return getattr(import_module(self._own_name), name)


class _Named:
    """A function or a distribution of the module."""

    def __init__(self, name: str) -> None:
        self._own_name = name

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        return getattr(import_module(STATS), self._own_name)(*arguments, **named)

    def __getattr__(self, name: str) -> Any:
        return getattr(getattr(import_module(STATS), self._own_name), name)
