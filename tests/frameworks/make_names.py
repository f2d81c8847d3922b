"""Writes mlship/server/names_sklearn.py: the exact names that fitted scikit-learn models consist of.

    python tests/frameworks/make_names.py collect > one.json        in an environment of each scikit-learn version
    python tests/frameworks/make_names.py write one.json two.json > mlship/server/names_sklearn.py

Only classes that hold fitted state and functions that compute are taken. Left out, and why: datasets (download and unpickle),
externals, testing, mocking, plots, callbacks and transports (start processes), parallel (runs what it is given).
"""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
import sys
import warnings
from collections import defaultdict
from pathlib import Path

SKIPPED = (
    "sklearn.datasets", "sklearn.externals", "sklearn.conftest", "sklearn._build_utils", "sklearn.experimental",
    "sklearn.callback", "sklearn.inspection", "sklearn.metrics._plot", "sklearn.utils", "sklearn.model_selection._plot",
)  # fmt: skip

# modules all of whose classes are plain state
WHOLE_MODULES = (
    "sklearn._loss._loss", "sklearn._loss.link", "sklearn._loss.loss", "sklearn._loss.glm_distribution", "sklearn.gaussian_process.kernels",
    "sklearn.ensemble._gb_losses", "sklearn.ensemble._hist_gradient_boosting.loss", "sklearn.linear_model._sgd_fast",
    "sklearn.metrics._dist_metrics", "sklearn.metrics._scorer", "sklearn.model_selection._split",
    "sklearn.neighbors._ball_tree", "sklearn.neighbors._kd_tree", "sklearn.neural_network._stochastic_optimizers",
)  # fmt: skip

CLASSES = {
    "sklearn.calibration": "_CalibratedClassifier",
    "sklearn.cluster._birch": "_CFNode _CFSubcluster",
    "sklearn.cluster._bisect_k_means": "_BisectingTree",
    "sklearn.compose._column_transformer": "make_column_selector _RemainderColsList",
    "sklearn.ensemble._gb": "VerboseReporter",
    "sklearn.ensemble._hist_gradient_boosting.common": "MonotonicConstraint",
    "sklearn.ensemble._hist_gradient_boosting.predictor": "TreePredictor",
    "sklearn.impute._iterative": "_ImputerTriplet",
    "sklearn.linear_model._linear_loss": "LinearModelLoss",
    "sklearn.model_selection._classification_threshold": "_CurveScorer",
    "sklearn.model_selection._search": "ParameterGrid ParameterSampler",
    "sklearn.model_selection._search_successive_halving": "_SubsampleMetaSplitter",
    "sklearn.neighbors._quad_tree": "_QuadTree",
    "sklearn.tree._tree": "Tree",
    "sklearn.utils": "Bunch",
    "sklearn.utils._bunch": "Bunch",
    "sklearn.utils._metadata_requests": "MethodMetadataRequest MetadataRequest RouterMappingPair MethodPair MethodMapping MetadataRouter",
    "sklearn.utils._tags": "InputTags TargetTags TransformerTags ClassifierTags RegressorTags Tags",
    "sklearn.utils._fast_dict": "IntFloatDict",
}

FUNCTIONS = {
    "sklearn.feature_selection._mutual_info": "mutual_info_regression mutual_info_classif",
    "sklearn.feature_selection._univariate_selection": "f_oneway f_classif chi2 r_regression f_regression",
    "sklearn.metrics._dist_metrics": "newObj",
    "sklearn.neighbors._ball_tree": "newObj",
    "sklearn.neighbors._kd_tree": "newObj",
    "sklearn.utils.validation": "check_array",
    "sklearn.cluster._kmeans": "_kmeans_single_lloyd _kmeans_single_elkan lloyd_iter_chunked_dense lloyd_iter_chunked_sparse",
    "sklearn.decomposition._fastica": "_logcosh _exp _cube",
}
METRICS = ("_classification", "_ranking", "_regression", "cluster._supervised", "cluster._unsupervised", "pairwise")
NUMPY_MODULES = {
    "numpy", "numpy.core.umath", "numpy.core._multiarray_umath", "numpy._core.umath", "numpy._core._multiarray_umath",
}  # fmt: skip


def collect() -> dict[str, list[str]]:
    """Module -> names, of the packages that this interpreter has."""
    warnings.simplefilter("ignore")
    names: dict[str, set[str]] = defaultdict(set)
    _estimators(names)
    _listed(names)
    _metrics(names)
    _ufuncs(names)
    _distributions(names)
    _sparse(names)
    return {module: sorted(found) for module, found in sorted(names.items()) if found}


def _estimators(names: dict[str, set[str]]) -> None:
    import sklearn
    from sklearn.base import BaseEstimator

    for info in pkgutil.walk_packages(sklearn.__path__, "sklearn."):
        if ".tests" in info.name or info.name.startswith(SKIPPED) or "setup" in info.name:
            continue
        for name, value in vars(importlib.import_module(info.name)).items():
            # compiled modules of some versions call themselves by their last name alone
            is_own = inspect.isclass(value) and value.__module__ in (info.name, info.name.rpartition(".")[2])
            is_unpickler = info.name in WHOLE_MODULES and name.startswith("__pyx_unpickle_")
            if is_unpickler or (is_own and (issubclass(value, BaseEstimator) or info.name in WHOLE_MODULES)):
                names[info.name].add(name)


def _listed(names: dict[str, set[str]]) -> None:
    for table in (CLASSES, FUNCTIONS):
        for module, listed in table.items():
            try:
                found = importlib.import_module(module)
            except ImportError:
                continue
            names[module] |= {name for name in listed.split() if hasattr(found, name)}


def _metrics(names: dict[str, set[str]]) -> None:
    for part in METRICS:
        module = importlib.import_module(f"sklearn.metrics.{part}")
        for name, value in vars(module).items():
            is_own = inspect.isfunction(value) and value.__module__ == module.__name__
            if is_own and not name.startswith("_") and not name.startswith("check"):
                names[module.__name__].add(name)


def _ufuncs(names: dict[str, set[str]]) -> None:
    """A ufunc has no module of its own: pickle writes the first module that holds it, which depends on what was imported."""
    import numpy as np
    import scipy.special  # noqa: F401

    for module_name, module in list(sys.modules.items()):
        if module is None or not (module_name in NUMPY_MODULES or module_name.startswith("scipy.special")):
            continue
        for name, value in list(vars(module).items()):
            if type(value) is np.ufunc and value.__name__ == name and not name.startswith("_"):
                names[module_name].add(name)


def _distributions(names: dict[str, set[str]]) -> None:
    """Searches keep the distributions that they drew from. They are replaced by inert stand-ins (see names.py)."""
    from scipy.stats import _distn_infrastructure as infrastructure

    for module_name in ("_continuous_distns", "_discrete_distns", "_distn_infrastructure"):
        module = importlib.import_module(f"scipy.stats.{module_name}")
        for name, value in vars(module).items():
            bases = (infrastructure.rv_generic, infrastructure.rv_frozen)
            if inspect.isclass(value) and issubclass(value, bases) and value.__module__ == module.__name__:
                names[module.__name__].add(name)


def _sparse(names: dict[str, set[str]]) -> None:
    import scipy.sparse

    for name, value in vars(scipy.sparse).items():
        if inspect.isclass(value) and name.endswith(("_matrix", "_array")):
            names[value.__module__].add(name)
            names[f"scipy.sparse.{name.split('_')[0]}"].add(name)  # where scipy before 1.8 had it


def write(tables: list[dict[str, list[str]]]) -> str:
    merged: dict[str, set[str]] = defaultdict(set)
    for table in tables:
        for module, found in table.items():
            merged[module] |= set(found)
            if module.startswith("numpy._core"):
                merged[module.replace("numpy._core", "numpy.core")] |= set(found)
    lines = [
        '"""Exact names of fitted scikit-learn models, numpy\'s and scipy\'s ufuncs, sparse matrices and distributions.',
        "",
        "Written by tests/frameworks/make_names.py from scikit-learn 1.3 to 1.9; not edited by hand.",
        '"""',
        "",
        "# module -> its names, separated by spaces",
        "NAMES = {",
    ]
    for module, found in sorted(merged.items()):
        lines.append(f'    "{module}": (')
        lines += [f'        "{row}"' for row in _rows(sorted(found))]
        lines.append("    ),")
    return "\n".join([*lines, "}", ""])


def _rows(names: list[str], width: int = 110) -> list[str]:
    rows: list[str] = []
    for name in names:
        if rows and len(rows[-1]) + len(name) < width:
            rows[-1] += name + " "
        else:
            rows.append(name + " ")
    return [*rows[:-1], rows[-1].rstrip()] if rows else []


if __name__ == "__main__":
    if sys.argv[1:2] == ["collect"]:
        json.dump(collect(), sys.stdout)
    else:
        print(write([json.loads(Path(name).read_text()) for name in sys.argv[2:]]), end="")
