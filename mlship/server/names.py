"""Which names a model file may refer to: exact (module, name) pairs, never prefixes (`numpy.*` holds functions that run code).

What a file can do with a name: keep it as a value that the model calls, with any arguments, when it predicts. So a function is
only here when no call of it, whatever its arguments, runs code, starts programs, reads or writes files. Classes are only made
empty and filled, and functions only called while the file is read when real files do so (`may_call`); `pickle_objects` sees to
both. Standard library only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal

from mlship.server.names_boosted import NAMES as BOOSTED
from mlship.server.names_sklearn import NAMES as SKLEARN

Name = tuple[str, str]
MAX_NAME = 400  # characters
Kind = Literal["unknown-name", "main-name", "dangerous-name", "code-name", "local-name"]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


GETATTR: Name = ("builtins", "getattr")
UFUNC_MAKERS: frozenset[Name] = frozenset({("numpy.core", "_ufunc_reconstruct"), ("numpy._core", "_ufunc_reconstruct")})
NAME_MAKERS = UFUNC_MAKERS | {GETATTR}
ENCODE: Name = ("_codecs", "encode")
MEMMAP: Name = ("numpy", "memmap")
ARRAY_WRAPPER: Name = ("joblib.numpy_pickle", "NumpyArrayWrapper")
# replaced by the loader with code of its own that does only the harmless part
SUBSTITUTES = NAME_MAKERS | {ENCODE, MEMMAP, ARRAY_WRAPPER}

# Referred to as values, never called by a real file: numpy.ndarray takes a foreign buffer as an array of object pointers.
NEVER_CALLED: frozenset[Name] = frozenset({("numpy", "ndarray"), ("numpy", "matrix"), ("numpy", "recarray"), MEMMAP})

# What real files call while they are read. Everything else in the tables is made empty and then filled, or kept as a value.
_CALLED_HERE: Mapping[str, str] = {
    "_codecs": "encode",
    "builtins": "bool bytearray bytes complex dict float frozenset getattr int list object range set slice str tuple",
    "collections": "Counter OrderedDict defaultdict deque",
    "copyreg": "_reconstructor",
    "datetime": "date datetime time timedelta timezone",
    "decimal": "Decimal",
    "fractions": "Fraction",
    "functools": "partial",
    "re": "_compile RegexFlag",
    "uuid": "UUID SafeUUID",
    "joblib.numpy_pickle": "NumpyArrayWrapper",
    "numpy": "dtype",
    "numpy.core": "_ufunc_reconstruct",
    "numpy._core": "_ufunc_reconstruct",
    "numpy.core.multiarray": "_reconstruct scalar",
    "numpy._core.multiarray": "_reconstruct scalar",
    "numpy.core.numeric": "_frombuffer",
    "numpy._core.numeric": "_frombuffer",
    "numpy.core._internal": "_convert_to_stringdtype_kwargs",
    "numpy._core._internal": "_convert_to_stringdtype_kwargs",
    "numpy.ma.core": "_mareconstruct",
    "numpy.random": "__RandomState_ctor",
    "numpy.random._pickle": "__randomstate_ctor __generator_ctor __bit_generator_ctor",
    "scipy.spatial._ckdtree": "cKDTree cKDTreeNode",
    "pandas": "Interval Period Timedelta Timestamp",
    "pandas.core.indexes.base": "_new_Index",
    "pandas.core.indexes.datetimes": "_new_DatetimeIndex",
    "pandas.core.indexes.interval": "_new_IntervalIndex",
    "pandas.core.indexes.period": "_new_PeriodIndex",
    "pandas.core.internals.managers": "BlockManager SingleBlockManager",
}
# compiled classes, which make themselves of arguments
_CALLED_MODULES = _words(
    "numpy.random.bit_generator pyarrow.lib pandas._libs.arrays pandas._libs.internals pandas._libs.interval pandas._libs.missing "
    "pandas._libs.sparse pandas._libs.tslibs.nattype pandas._libs.tslibs.offsets pandas._libs.tslibs.period "
    "pandas._libs.tslibs.timedeltas "
    "pandas._libs.tslibs.timestamps pandas.core.dtypes.dtypes sklearn._loss._loss sklearn.linear_model._sgd_fast "
    "sklearn.metrics._dist_metrics sklearn.neighbors._ball_tree sklearn.neighbors._kd_tree sklearn.neighbors._quad_tree "
    "sklearn.tree._tree sklearn.utils._fast_dict"
)

# Kept by fitted searches and pipelines, not needed to predict; loaded as inert objects. scipy's distributions run
# `exec` on text of their own state when they are loaded; joblib's Memory makes folders and unpickles what lies there.
_STAND_IN_MODULES = ("scipy.stats._continuous_distns", "scipy.stats._discrete_distns", "scipy.stats._distn_infrastructure")
STAND_INS: frozenset[Name] = frozenset(
    (module, name) for module in _STAND_IN_MODULES for name in SKLEARN[module].split()
) | {("joblib.memory", "Memory"), ("joblib._store_backends", "FileSystemStoreBackend"), ("joblib.logger", "Logger")}  # fmt: skip

_TEXT_METHODS = (
    "capitalize casefold isalnum isalpha isdigit islower isspace isupper lower lstrip partition rpartition rsplit rstrip "
    "split splitlines strip swapcase title upper"
)
_NUMPY_SCALARS = (
    "bool bool_ int8 int16 int32 int64 uint8 uint16 uint32 uint64 intc uintc int_ uint intp uintp longlong ulonglong long "
    "ulong float16 float32 float64 float_ longdouble half single double complex64 complex128 clongdouble str_ bytes_ object_ "
    "void datetime64 timedelta64 generic number integer floating inexact signedinteger unsignedinteger"
)
# without those that call a function, read or write files, or take text as code
_NUMPY_FUNCTIONS = (
    "abs all amax amin any arange argmax argmin argsort around array asarray atleast_1d atleast_2d average clip column_stack "
    "concatenate cumprod cumsum diff digitize dot dstack expand_dims fabs fix flatnonzero flip full_like hstack interp "
    "isclose isin max mean median min moveaxis nan_to_num nancumsum nanmax nanmean nanmedian nanmin nanstd nansum nanvar "
    "nonzero ones_like percentile prod ptp quantile ravel repeat reshape round searchsorted sort split squeeze stack std "
    "sum swapaxes take tile transpose trapezoid triu tril unique var vstack where zeros_like real imag angle"
)
_NUMPY_DTYPES = (
    "BoolDType Int8DType Int16DType Int32DType Int64DType UInt8DType UInt16DType UInt32DType UInt64DType Float16DType "
    "Float32DType Float64DType Complex64DType Complex128DType StrDType BytesDType ObjectDType VoidDType DateTime64DType "
    "TimeDelta64DType LongDoubleDType CLongDoubleDType"
)
_MULTIARRAY = "_reconstruct scalar"
_PANDAS_TYPES = (
    "Categorical CategoricalDtype CategoricalIndex DataFrame DatetimeIndex DatetimeTZDtype Float64Dtype Float32Dtype Index Int8Dtype "
    "Int16Dtype Int32Dtype Int64Dtype Interval IntervalDtype IntervalIndex MultiIndex NA NaT Period PeriodDtype PeriodIndex "
    "RangeIndex Series StringDtype Timedelta TimedeltaIndex Timestamp UInt8Dtype UInt16Dtype UInt32Dtype UInt64Dtype BooleanDtype "
    "SparseDtype Int64Index Float64Index UInt64Index"
)
_PANDAS_ARRAYS = (
    "ArrowExtensionArray ArrowStringArray BooleanArray Categorical DatetimeArray FloatingArray IntegerArray IntervalArray "
    "NumpyExtensionArray PandasArray PeriodArray SparseArray StringArray TimedeltaArray"
)

# module -> names separated by spaces
_COMMON: Mapping[str, str] = {
    "_codecs": "encode",
    "builtins": "bool bytearray bytes complex dict float frozenset getattr int list object range set slice str tuple "
    + " ".join(f"str.{name}" for name in _TEXT_METHODS.split()),
    "collections": "Counter OrderedDict defaultdict deque",
    "copyreg": "_reconstructor",
    "datetime": "date datetime time timedelta timezone",
    "decimal": "Decimal",
    "fractions": "Fraction",
    # a partial object calls what it holds, and it can only hold what stands in these tables
    "functools": "partial",
    "re": "_compile RegexFlag",
    "uuid": "UUID SafeUUID",
    "joblib.numpy_pickle": "NumpyArrayWrapper",
    "joblib.memory": "Memory",
    "joblib._store_backends": "FileSystemStoreBackend",
    "joblib.logger": "Logger",
    "numpy": f"ndarray dtype matrix memmap recarray {_NUMPY_SCALARS} {_NUMPY_FUNCTIONS}",
    "numpy.core": "_ufunc_reconstruct",
    "numpy._core": "_ufunc_reconstruct",
    "numpy.core.multiarray": _MULTIARRAY,
    "numpy._core.multiarray": _MULTIARRAY,
    "numpy.core.numeric": "_frombuffer",
    "numpy._core.numeric": "_frombuffer",
    "numpy.core._internal": "_convert_to_stringdtype_kwargs",
    "numpy._core._internal": "_convert_to_stringdtype_kwargs",
    "numpy.dtypes": _NUMPY_DTYPES,
    "numpy.ma": "MaskedArray",
    "numpy.ma.core": "_mareconstruct MaskedArray MaskedConstant",
    "numpy.random": "__RandomState_ctor RandomState Generator MT19937 PCG64 PCG64DXSM Philox SFC64",
    "numpy.random._pickle": "__randomstate_ctor __generator_ctor __bit_generator_ctor",
    "numpy.random.mtrand": "RandomState",
    "numpy.random._generator": "Generator",
    "numpy.random._mt19937": "MT19937",
    "numpy.random._pcg64": "PCG64 PCG64DXSM",
    "numpy.random._philox": "Philox",
    "numpy.random._sfc64": "SFC64",
    "numpy.random.bit_generator": "SeedSequence __pyx_unpickle_SeedSequence",
    "scipy.interpolate._bsplines": "BSpline",
    "scipy.interpolate._cubic": "CubicSpline PchipInterpolator Akima1DInterpolator",
    # what a spline of scipy 1.17 keeps to make arrays with
    "scipy._lib.array_api_compat.numpy._aliases": "asarray",
    "scipy.interpolate._interpolate": "interp1d PPoly BPoly "
    "interp1d._call_linear interp1d._call_linear_np interp1d._call_nearest interp1d._call_nearest_overshoot "
    "interp1d._call_previousnext interp1d._call_spline interp1d._call_nan_spline",
    "scipy.interpolate.interpolate": "interp1d PPoly",
    "scipy.spatial._ckdtree": "cKDTree cKDTreeNode",
    "scipy.spatial._kdtree": "KDTree",
    "scipy.spatial.distance": "braycurtis canberra chebyshev cityblock correlation cosine dice euclidean hamming jaccard "
    "jensenshannon mahalanobis minkowski rogerstanimoto russellrao seuclidean sokalsneath sqeuclidean yule",
    # a pandas Index of column names, where pyarrow is installed
    "pyarrow.lib": "_restore_array chunked_array py_buffer type_for_alias",
    "pandas": _PANDAS_TYPES,
    "pandas.arrays": _PANDAS_ARRAYS,
    "pandas._libs.arrays": "__pyx_unpickle_NDArrayBacked",
    "pandas._libs.internals": "_unpickle_block",
    "pandas._libs.interval": "Interval __pyx_unpickle_IntervalMixin",
    "pandas._libs.missing": "NAType",
    "pandas._libs.sparse": "BlockIndex IntIndex",
    "pandas._libs.tslibs.nattype": "_nat_unpickle",
    "pandas._libs.tslibs.offsets": "Day Hour Minute Second Week MonthEnd MonthBegin BusinessDay QuarterEnd YearEnd",
    "pandas._libs.tslibs.period": "_unpickle_period Period",
    "pandas._libs.tslibs.timedeltas": "_timedelta_unpickle Timedelta",
    "pandas._libs.tslibs.timestamps": "_unpickle_timestamp Timestamp",
    "pandas.core.arrays.boolean": "BooleanArray BooleanDtype",
    "pandas.core.arrays.categorical": "Categorical",
    "pandas.core.arrays.datetimes": "DatetimeArray",
    "pandas.core.arrays.floating": "FloatingArray Float64Dtype Float32Dtype",
    "pandas.core.arrays.integer": "IntegerArray Int8Dtype Int16Dtype Int32Dtype Int64Dtype UInt8Dtype UInt16Dtype UInt32Dtype UInt64Dtype",
    "pandas.core.arrays.interval": "IntervalArray",
    "pandas.core.arrays.numpy_": "PandasArray NumpyExtensionArray",
    "pandas.core.arrays.string_": "StringArray StringArrayNumpySemantics StringDtype",
    "pandas.core.arrays.string_arrow": "ArrowStringArray ArrowStringArrayNumpySemantics",
    "pandas.core.arrays.timedeltas": "TimedeltaArray",
    "pandas.core.dtypes.dtypes": "CategoricalDtype DatetimeTZDtype IntervalDtype PeriodDtype SparseDtype PandasDtype NumpyEADtype",
    "pandas.core.frame": "DataFrame",
    "pandas.core.series": "Series",
    "pandas.core.indexes.base": "Index _new_Index",
    "pandas.core.indexes.category": "CategoricalIndex",
    "pandas.core.indexes.datetimes": "DatetimeIndex _new_DatetimeIndex",
    "pandas.core.indexes.interval": "IntervalIndex _new_IntervalIndex",
    "pandas.core.indexes.multi": "MultiIndex",
    "pandas.core.indexes.numeric": "Int64Index Float64Index UInt64Index",
    "pandas.core.indexes.period": "PeriodIndex _new_PeriodIndex",
    "pandas.core.indexes.range": "RangeIndex",
    "pandas.core.indexes.timedeltas": "TimedeltaIndex",
    "pandas.core.internals.managers": "BlockManager SingleBlockManager",
}

# Modules whose names run programs, load code or open files when called. Such a name is never trusted.
_DANGEROUS_MODULES = _words(
    "os posix nt posixpath ntpath genericpath subprocess _posixsubprocess sys shutil socket _socket ssl http urllib ftplib smtplib "
    "telnetlib asyncio signal pty tty fcntl importlib _frozen_importlib _frozen_importlib_external imp runpy pkgutil zipimport "
    "ctypes _ctypes cffi pickle _pickle cPickle pickletools shelve marshal dill cloudpickle code codeop bdb pdb cProfile "
    "profile trace timeit doctest unittest platform webbrowser antigravity multiprocessing _multiprocessing concurrent threading "
    "_thread types inspect ast gc io _io codecs builtins operator _operator tempfile pathlib glob fileinput linecache mmap pip "
    "setuptools distutils site sysconfig venv ensurepip idlelib lib2to3 pydoc sqlite3 logging atexit faulthandler resource "
    "weakref mlship"
)
_DANGEROUS_PARTS = ("numpy.testing", "numpy.f2py", "numpy.distutils", "numpy.ctypeslib", "numpy.lib", "scipy.io", "pandas.io", "joblib",
                    "sklearn.utils._testing", "sklearn.datasets", "sklearn.externals", "torch.serialization", "torch.hub")  # fmt: skip
_DANGEROUS_NUMPY = _words(
    "load save savez savez_compressed fromfile fromregex genfromtxt loadtxt savetxt DataSource memmap frompyfunc vectorize "
    "piecewise apply_along_axis apply_over_axes fromfunction"
)
_DANGEROUS: frozenset[Name] = frozenset({("numpy", name) for name in _DANGEROUS_NUMPY}) | {
    ("_codecs", "decode"),
    ("functools", "reduce"),
    ("collections", "namedtuple"),
    ("pandas", "read_pickle"),
    ("pandas", "eval"),
}
_HARMLESS_BUILTINS = _words(
    "abs all any ascii bin bool bytearray bytes chr complex dict divmod float format frozenset hash hex int len list max min object "
    "oct ord pow range repr reversed round set slice sorted str sum tuple type zip"
)
_CODE_SAVERS = ("cloudpickle", "dill", "joblib.externals.cloudpickle")

# `_loss` is what scikit-learn 1.5 to 1.8 call their compiled losses
_RENAMED = {"__builtin__": "builtins", "copy_reg": "copyreg", "_loss": "sklearn._loss._loss"}
_RENAMED_NAMES = {("builtins", "xrange"): "range", ("builtins", "unicode"): "str", ("builtins", "long"): "int"}


@dataclass(frozen=True)
class Problem:
    """A name that is not loaded, with what to do about it."""

    name: Name
    kind: Kind
    what: str
    fix: str


def normal(module: str, name: str) -> Name:
    """The name as Python 3 knows it; protocols 0 to 2 write Python 2's names of built-in modules."""
    module = _RENAMED.get(module, module)
    return module, _RENAMED_NAMES.get((module, name), name)


def is_name(text: str) -> bool:
    """True for what Python could have written: anything else is made to be read, or pasted, by whoever sees the refusal."""
    return len(text) <= MAX_NAME and all(part.isidentifier() or part in ("<locals>", "<lambda>") for part in text.split("."))


def dotted(name: Name) -> str:
    return f"{name[0]}.{name[1]}"


@cache
def known(framework: str = "sklearn") -> frozenset[Name]:
    """The names that need no trust."""
    pairs = {(module, name) for module, listed in _COMMON.items() for name in listed.split()}
    if framework == "sklearn":
        pairs |= {
            (module, name) for tables in (SKLEARN, BOOSTED) for module, listed in tables.items() for name in listed.split()
        }
    return frozenset(pairs)


def may_call(name: Name) -> bool:
    """True for what a real file calls while it is read, rather than making it empty or keeping it."""
    module, attribute = name
    is_listed = attribute in _CALLED_HERE.get(module, "").split()
    is_type = module.startswith("pandas") and attribute.endswith("Dtype")
    return is_listed or is_type or module in _CALLED_MODULES or name in STAND_INS


def is_value(name: Name) -> bool:
    """True for a type that models keep and call to convert, such as `dtype=numpy.float64`."""
    module, attribute = name
    if module == "numpy":
        return attribute in _NUMPY_SCALARS.split()
    return module == "numpy.dtypes" or (module == "builtins" and attribute != "getattr")


def is_dangerous(name: Name) -> bool:
    """True for what runs programs, loads code or opens files: no `trust` allows it."""
    module, attribute = name
    top = module.split(".")[0]
    if module == "builtins" and attribute.split(".")[0] in _HARMLESS_BUILTINS:
        return False
    is_in_part = any(module == part or module.startswith(f"{part}.") for part in _DANGEROUS_PARTS)
    return top in _DANGEROUS_MODULES or is_in_part or name in _DANGEROUS


def is_allowed(name: Name, trust: Iterable[str] = (), framework: str = "sklearn") -> bool:
    if name in known(framework):
        return True
    return dotted(name) in trust and not is_dangerous(name)


def problems(found: Iterable[Name], trust: Iterable[str] = (), framework: str = "sklearn") -> tuple[Problem, ...]:
    """What stands between these names and loading the file; empty when all may be loaded."""
    trusted = frozenset(trust)
    refused = [name for name in found if not is_allowed(name, trusted, framework)]
    unknown = [dotted(name) for name in refused if _kind(name) == "unknown-name"]
    lines = ", ".join(sorted({*trusted, *unknown}))
    return tuple(_problem(name, lines) for name in sorted(refused))


def _kind(name: Name) -> Kind:
    module, attribute = name
    if module.startswith(_CODE_SAVERS):
        return "code-name"
    if module in ("__main__", "__mp_main__"):
        return "main-name"
    if "<" in attribute:
        return "local-name"
    return "dangerous-name" if is_dangerous(name) else "unknown-name"


def _problem(name: Name, trust_line: str) -> Problem:
    kind, text, short = _kind(name), dotted(name), name[1]
    if kind == "main-name":
        what = f"the file refers to {short} of the training script itself (__main__)"
        fix = f"move {short} into a module of its own, import it in the training script, train and save again"
    elif kind == "local-name":
        what = f"the file refers to {text}, a function inside a function"
        fix = "write it as a named function of a module, import it in the training script, train and save again"
    elif kind == "code-name":
        what = f"the file holds code saved by {name[0].split('.')[-1]} ({text})"
        fix = "move lambdas and own classes into a module, import it, train and save again with joblib.dump"
    elif kind == "dangerous-name":
        what = f"the file refers to {text}: it can run programs or open files when it is loaded"
        fix = "do not use this file; if you trained it yourself, find out what wrote that name into it"
    else:
        what = f"the file refers to {text}, which is not known as a part of fitted models"
        fix = f"if it is your own or a package's class, write model.trust: [{trust_line}]"
    return Problem(name, kind, what, fix)
