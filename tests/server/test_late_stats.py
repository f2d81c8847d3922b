"""scikit-learn's import statements are answered without scipy.stats, everybody else's as ever."""

from __future__ import annotations

import builtins
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlship.server.late_stats import F2PY, STATS, late_stats

PACKAGE = """
import importlib

sparse = "sparse matrices"


def __getattr__(name):
    return importlib.import_module(f"scipy.{name}")
"""
STATISTICS = """
norm = "a distribution"


def rankdata(values, method="average"):
    return [method, *sorted(values)]


class chi2:
    def ppf(share):
        return share
"""


@pytest.fixture(autouse=True)
def scipy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A package of that name, and none of the real one."""
    (tmp_path / "scipy").mkdir()
    (tmp_path / "scipy" / "__init__.py").write_text(PACKAGE)
    (tmp_path / "scipy" / "stats.py").write_text(STATISTICS)
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in [name for name in sys.modules if name.partition(".")[0] == "scipy"]:
        monkeypatch.delitem(sys.modules, name)
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] == "scipy"]:
        del sys.modules[name]


def imported_by(module: str, statement: str, runtime: str = "sklearn") -> dict[str, object]:
    """What the statement makes of an empty module of that name, while a model loads."""
    names: dict[str, object] = {"__name__": module}
    with late_stats(runtime):
        exec(statement, names)
    return names


def test_a_function_is_read_when_it_is_called() -> None:
    names = imported_by("sklearn.metrics._ranking", "from scipy.stats import rankdata")
    assert STATS not in sys.modules
    assert names["rankdata"]([3, 1], method="min") == ["min", 1, 3]
    assert STATS in sys.modules


def test_a_distribution_is_read_when_it_is_asked() -> None:
    names = imported_by("sklearn.covariance._robust_covariance", "from scipy.stats import chi2")
    assert STATS not in sys.modules
    assert names["chi2"].ppf(0.5) == 0.5


def test_the_module_is_read_when_something_in_it_is_asked_for() -> None:
    names = imported_by("sklearn.preprocessing._data", "from scipy import sparse, stats")
    assert STATS not in sys.modules
    assert (names["sparse"], names["stats"].norm) == ("sparse matrices", "a distribution")


def test_its_whole_name_stands_for_the_module_later() -> None:
    names = imported_by("sklearn.utils.fixes", "import scipy.stats")
    assert STATS not in sys.modules
    assert names["scipy"].stats.norm == "a distribution"


@pytest.mark.parametrize(
    ("module", "statement", "runtime"),
    [
        ("shop.model", "from scipy.stats import rankdata", "sklearn"),
        ("sklearn.metrics._ranking", "from scipy.stats import rankdata", "torch"),
        ("sklearn.some_later._module", "from scipy.stats import norm", "sklearn"),
    ],
    ids=["somebody else's statement", "another runtime", "a name that is not known"],
)
def test_everything_else_is_imported_at_once(module: str, statement: str, runtime: str) -> None:
    imported_by(module, statement, runtime)
    assert STATS in sys.modules


def test_what_is_there_already_is_given() -> None:
    real = __import__("scipy.stats").stats
    names = imported_by("sklearn.preprocessing._data", "from scipy import stats")
    assert names["stats"] is real


def test_import_is_as_it_was_when_loading_has_failed() -> None:
    usual = builtins.__import__
    with pytest.raises(ModuleNotFoundError), late_stats():
        assert builtins.__import__ is not usual
        exec("import scipy_is_not_this", {"__name__": "sklearn.utils"})
    assert builtins.__import__ is usual


NUMBERS = """
def __getattr__(name):
    if name == "f2py":
        import numpy.f2py as f2py

        return f2py
    raise AttributeError(name)
"""


def test_numpys_translator_of_fortran_is_read_when_it_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "numpy").mkdir()
    (tmp_path / "numpy" / "__init__.py").write_text(NUMBERS)
    (tmp_path / "numpy" / "f2py.py").write_text("version = 2\n")
    for name in [name for name in sys.modules if name.partition(".")[0] == "numpy"]:
        monkeypatch.delitem(sys.modules, name)
    taken = imported_by("scipy._lib._array_api", "import numpy; f2py = numpy.f2py")["f2py"]
    assert F2PY not in sys.modules
    assert taken.version == 2
    for name in ("numpy", F2PY):
        del sys.modules[name]  # the real ones come back
