"""What a model file may do with a name beyond referring to it, and which objects it may build of the names.

Exact names alone do not keep a file harmless. Whatever it can keep as a value, it can have called when the model predicts, with
arguments of its own; a text in the right attribute has scikit-learn call any method of any object; numpy follows an address that
stands in an attribute `__array_interface__`, and believes what a dtype says of itself. So here: what makes objects is no value,
an element type is what numpy itself would build, and an object's attributes are data.
"""

from __future__ import annotations

import functools
import inspect
import re
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from mlship.server import names
from mlship.server.pickle_open import RESAVE, Refused

NOT_WRITTEN = "no training library writes such files"
_PLAIN_BASES = (object, dict, list, tuple, set, frozenset, int, float, str, bytes)
_METHODS = frozenset(
    ("auto", "predict", "predict_proba", "predict_log_proba", "decision_function", "transform", "score_samples")
)
_IMPORTANCES = re.compile(r"(?!_)\w+(\.(?!_)\w+)*")
_REFERENCES = 0x1B  # numpy's flags of an element that holds objects or must be made by Python (numpy/ndarraytypes.h)


class Maker:
    """A class or function of the tables that makes objects: called while the file is read, and inert ever after."""

    __slots__ = ("made", "pair")

    def __init__(self, pair: names.Name, made: Any) -> None:
        self.pair = pair
        self.made = made

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise Refused(
            f"the model keeps {names.dotted(self.pair)} and calls it when it predicts",
            "write a function in a module of your own that does so, train and save again",
            kind="hidden-call",
        )

    def call(self, args: tuple[Any, ...]) -> Any:
        """What REDUCE makes. Raises Refused for what a real file only ever makes empty."""
        if not names.may_call(self.pair):
            raise _hidden_call(self.pair)
        special = _SPECIAL.get(self.pair[1])
        if special is not None:
            return special(self.made, args)
        if self.pair[1].startswith("__pyx_unpickle_") or self.pair[1] == "newObj":
            args = (_class(args[0]), *args[1:])
        return self.made(*args)

    def new(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """What NEWOBJ makes: an empty object, a named tuple, or what may be called anyway. Raises Refused."""
        is_tuple = isinstance(self.made, type) and issubclass(self.made, tuple)
        is_filled = bool(args or kwargs)
        if self.pair in names.NEVER_CALLED or (is_filled and not is_tuple and not names.may_call(self.pair)):
            raise _hidden_call(self.pair)
        return self.made.__new__(self.made, *args, **kwargs)


def _hidden_call(pair: names.Name) -> Refused:
    return Refused(f"it calls {names.dotted(pair)}: {NOT_WRITTEN}", kind="hidden-call")


# what takes a class among its arguments


def _class(value: Any, base: type = object) -> Any:
    found = value.made if isinstance(value, Maker) else value
    if not isinstance(found, type) or not issubclass(found, base):
        raise Refused(f"it makes an object of what is no class of {base.__name__}: {NOT_WRITTEN}", kind="hidden-call")
    return found


def _reconstructor(make: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    cls, base, state = args
    base = _class(base)
    if base not in _PLAIN_BASES:
        raise _hidden_call(("copyreg", "_reconstructor"))
    return make(_class(cls), base, state)


def _array(make: Any, args: tuple[Any, ...]) -> Any:
    """An empty array, whatever shape is asked for: its state follows."""
    import numpy

    return numpy.ndarray.__new__(_class(args[0], numpy.ndarray), (0,), "b")


def _masked_array(make: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    import numpy

    return make(_class(args[0], numpy.ma.MaskedArray), _class(args[1], numpy.ndarray), (0,), "b")


def _index(make: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    return make(_class(args[0], sys.modules["pandas"].Index), *args[1:])  # there already: `make` came from it


def _bit_generator(make: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    import numpy

    return make(args[0] if isinstance(args[0], str) else _class(args[0], numpy.random.BitGenerator))


def _generator(make: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    """A second argument names the function that makes the first one: always numpy's own."""
    return make(*args[:1])


def _partial(make: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    made = make(*args)
    check(made)
    return made


_SPECIAL: dict[str, Callable[[Any, tuple[Any, ...]], Any]] = {
    "_reconstructor": _reconstructor,
    "_reconstruct": _array,
    "_mareconstruct": _masked_array,
    "_new_Index": _index,
    "_new_DatetimeIndex": _index,
    "_new_IntervalIndex": _index,
    "_new_PeriodIndex": _index,
    "__bit_generator_ctor": _bit_generator,
    "__generator_ctor": _generator,
    "__randomstate_ctor": _generator,
    "partial": _partial,
}


# element types


def check_dtype(dtype: Any, state: Any) -> None:
    """Refuses a state that makes of `dtype` what numpy would not build of its parts: such a type reads and writes anywhere."""
    import numpy

    if not isinstance(state, tuple) or len(state) < 8:
        raise Refused("an element type is not described to its end", RESAVE)
    _, order, base, fields_order, fields, width, _, flags = state[:8]
    if base is None and fields is None:
        expected = dtype
        fits = flags == dtype.flags and (width == -1 or dtype.kind in "SUV")
        width = dtype.itemsize if width == -1 else width
    elif base is not None:
        expected = numpy.dtype((base[0], base[1]))
        fits = fields is None and flags & _REFERENCES == expected.base.flags & _REFERENCES
    else:
        entries = [fields[name] for name in fields_order]
        parts = {"names": list(fields_order), "formats": [entry[0] for entry in entries], "offsets": [e[1] for e in entries]}
        expected = numpy.dtype({**parts, "itemsize": width})  # raises ValueError for what lies outside, TypeError for overlaps
        known = {names_of for name, entry in zip(fields_order, entries, strict=True) for names_of in (name, *entry[2:])}
        fits = set(fields) == known and flags & _REFERENCES == expected.flags & _REFERENCES
    if not fits or width != expected.itemsize or order not in ("<", ">", "=", "|"):
        raise Refused(f"the element type {dtype} says of itself what it is not: {NOT_WRITTEN}", kind="hidden-call")


# what a library makes an address of


def check_native(target: Any, state: Any) -> None:
    """Refuses a booster whose state is anything but a model as bytes or text: a number would be taken for an address, and freed.

    xgboost.core.Booster and lightgbm.basic.Booster parse what stands in these attributes and put an address in its place.
    """
    cls = type(target)
    kinds = _NATIVE.get((cls.__module__, cls.__qualname__))
    if kinds is None:
        return
    if type(state) is not dict or not all(type(name) is str for name in state):
        raise Refused(f"the state of a {cls.__qualname__} in it is no dict of attributes: {NOT_WRITTEN}", kind="hidden-call")
    for name in ("handle", "_handle"):
        if state.get(name) is not None and type(state[name]) not in kinds:
            raise Refused(
                f"a {cls.__qualname__} in it holds {type(state[name]).__name__}, no model", RESAVE, kind="hidden-call"
            )


_NATIVE: dict[names.Name, tuple[type, ...]] = {
    ("xgboost.core", "Booster"): (bytearray,),
    ("lightgbm.basic", "Booster"): (str,),
}


# attributes


def check(made: Any, trust: Collection[str] = ()) -> None:
    """Refuses an object whose attributes would work as code: of the language's own names, or in the place of its methods."""
    if isinstance(made, functools.partial):
        _check_function(made.func, trust)
    attributes = getattr(made, "__dict__", None)
    if not isinstance(attributes, dict):
        return
    cls: type = type(made)
    is_trusted = f"{cls.__module__}.{cls.__qualname__}" in trust
    for name in attributes:
        if type(name) is not str or (name.startswith("__") and name.endswith("__") and name not in _HARMLESS):
            raise Refused(f"a {cls.__name__} in it has the attribute {str(name)[:60]!r}: {NOT_WRITTEN}", kind="hidden-call")
        if not is_trusted and _is_method(cls, name):
            raise Refused(
                f"a {cls.__name__} in it has its method {name} replaced",
                "write a class of your own with that method, train and save again",
                kind="hidden-call",
            )
    check_words(made)


def check_names(state: Any) -> None:
    """Refuses a state that sets what only the language sets, before it is set."""
    parts = state if isinstance(state, tuple) and len(state) == 2 else (state,)
    for part in parts:
        if isinstance(part, Mapping) and any(isinstance(name, str) and name in _NEVER_SET for name in part):
            raise Refused(f"it sets what only Python itself sets of an object: {NOT_WRITTEN}", kind="hidden-call")


_HARMLESS = frozenset(("__module__", "__doc__"))  # of compiled classes
_NEVER_SET = frozenset(
    f"__{name}__"
    for name in (
        "class", "dict", "array", "array_interface", "array_struct", "array_ufunc", "array_function", "dlpack",
        "cuda_array_interface", "arrow_c_array", "arrow_c_stream",
    )
)  # fmt: skip


def has_words(made: Any) -> bool:
    """True for an object with an attribute that names methods."""
    attributes = getattr(made, "__dict__", None)
    return isinstance(attributes, dict) and not _WORDS.keys().isdisjoint(attributes)


def check_words(made: Any) -> None:
    """Refuses attributes that would have scikit-learn call any method or read files; their lists may have grown since `check`."""
    attributes = vars(made)
    for name in _WORDS.keys() & attributes.keys():
        fits, what, fix = _WORDS[name]
        value = attributes[name]
        for word in value if isinstance(value, list | tuple) else (value,):
            if not (word is None or _is_function(word) or (type(word) is str and fits(word))):
                raise Refused(f"{type(made).__name__}({name}={str(word)[:60]!r}) {what}", fix, kind="hidden-call")


_ANY_METHOD = ("would call a method that is none of a model's", "train and save the model again")
_WORDS: dict[str, tuple[Callable[[str], Any], str, str]] = {
    "stack_method_": (_METHODS.__contains__, *_ANY_METHOD),
    "response_method": (_METHODS.__contains__, *_ANY_METHOD),
    "_response_method": (_METHODS.__contains__, *_ANY_METHOD),
    "importance_getter": (_IMPORTANCES.fullmatch, "would reach into Python itself", "name an attribute of the fitted model"),
    "input": ("content".__eq__, "would read files of the server that callers name", "fit it with input='content'"),
}


@functools.lru_cache(4096)  # a forest has hundreds of trees of one class, and looking this up takes longer than building one
def _is_method(cls: type, name: str) -> bool:
    """True for a function of the class, or another thing without data of its own that gives one."""
    found = inspect.getattr_static(cls, name, None)
    if isinstance(found, functools.cached_property | type):
        return False
    return callable(found) or (hasattr(found, "__get__") and not hasattr(found, "__set__"))


def _check_function(value: Any, trust: Collection[str]) -> None:
    cls = type(value)
    if not _is_function(value) and f"{cls.__module__}.{cls.__qualname__}" not in trust:
        raise Refused(
            f"it has a {cls.__name__} called as a function",
            "write a function in a module of your own and use that, train and save again",
            kind="hidden-call",
        )


def _is_function(value: Any) -> bool:
    import numpy

    return inspect.isroutine(value) or isinstance(value, type | numpy.ufunc | functools.partial)


def inside(root: Any) -> Iterator[Any]:
    """Every object that can be reached from `root` by attributes, items and elements."""
    seen: set[int] = set()
    waiting = [root]
    while waiting:
        value = waiting.pop()
        is_name = _is_function(value) and not isinstance(value, functools.partial)
        if value is None or is_name or isinstance(value, str | bytes | int | float) or id(value) in seen:
            continue
        seen.add(id(value))
        yield value
        waiting.extend(_parts(value))


def _parts(value: Any) -> Iterator[Any]:
    if isinstance(value, Mapping):
        yield from value.values()
    elif isinstance(value, list | tuple | set | frozenset):
        yield from value
    elif isinstance(value, functools.partial):
        yield from (value.func, value.args, value.keywords)
    elif getattr(getattr(value, "dtype", None), "hasobject", False) and hasattr(value, "tolist"):
        yield value.tolist()
    yield getattr(value, "__dict__", None)
