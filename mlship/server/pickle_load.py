"""Loads a model file that `pickle_scan` has read, through an unpickler that knows the same exact names and no others."""

from __future__ import annotations

import io
import pickle
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FunctionType
from typing import Any, ClassVar

from mlship.server import names, pickle_objects
from mlship.server.pickle_objects import Maker
from mlship.server.pickle_open import RESAVE, Refused, open_model
from mlship.server.pickle_scan import Scan, allow, scan

_LATIN = ("latin1", "latin-1", "iso-8859-1")
_READ = 1 << 24


def load(path: Path, trust: Sequence[str] = (), framework: str = "sklearn") -> tuple[Any, Scan]:
    """The object and what its file said.

    Raises Refused when a name is not allowed or the file cannot be read, OSError, and whatever the classes raise themselves
    (ImportError and AttributeError for packages that are missing or of another version).
    """
    found = scan(path)
    allow(found, tuple(trust), framework)
    if found.format == "skops":
        return _load_skops(path, found, trust), found
    with open_model(path).stream as stream:
        return read(stream, trust, framework), found


def read(stream: io.BufferedReader, trust: Sequence[str] = (), framework: str = "sklearn") -> Any:
    """One pickle from the stream's position, with or without joblib's array blocks. Raises as `load`."""
    return _Unpickler(stream, _Finder(trust, framework), arrays=True).load()


class _Finder:
    """Finds allowed names. What makes objects comes as a Maker; what could do harm is replaced by code that cannot."""

    def __init__(self, trust: Sequence[str], framework: str) -> None:
        self.trust = frozenset(trust)
        self._framework = framework
        self._found: dict[int, Any] = {}

    def __call__(self, module: str, name: str) -> Any:
        pair = names.normal(module, name)
        if not names.is_allowed(pair, self.trust, self._framework):
            problem = names.problems([pair], self.trust, self._framework)[0]
            raise Refused(problem.what, problem.fix, kind=problem.kind)
        found = self._find(pair)
        self._found[id(found)] = found
        return found

    def is_name(self, value: Any) -> bool:
        """True for what this finder gave, rather than what the file built of it."""
        return id(value) in self._found

    def may_call(self, value: Any) -> bool:
        """True for the user's own names and for types of plain values."""
        if not self.is_name(value):
            return False
        pair = (getattr(value, "__module__", ""), getattr(value, "__qualname__", ""))
        return names.dotted(pair) in self.trust or (isinstance(value, type) and names.may_call(pair))

    def _find(self, pair: names.Name) -> Any:
        if pair in names.STAND_INS:
            return Maker(pair, _stand_in(pair))
        if pair in names.SUBSTITUTES:
            return Maker(pair, self._substitute(pair))
        found = _import(pair)
        if names.dotted(pair) in self.trust or names.is_value(pair):
            return found
        if pair[1] == "Bunch":
            found = _bunch(found)
        return Maker(pair, found) if isinstance(found, type) or names.may_call(pair) else found

    def _substitute(self, pair: names.Name) -> Any:
        if pair == names.GETATTR:
            return self._attribute
        if pair in names.UFUNC_MAKERS:
            return self
        if pair == names.ENCODE:
            return _encode
        return ArrayBlock if pair == names.ARRAY_WRAPPER else _import(("numpy", "ndarray"))

    def _attribute(self, owner: Any, name: str) -> Any:
        """`getattr` for what pickles use it for: a method of a class, as in `str.lower`."""
        owner = owner.made if isinstance(owner, Maker) else owner
        if not isinstance(owner, type):
            raise Refused(
                f"the file refers to the method {name} of an object",
                "write a function in a module of your own and use that, train and save again",
                kind="hidden-name",
            )
        return self(owner.__module__, f"{owner.__qualname__}.{name}")


class ArrayBlock:
    """Stands for joblib's NumpyArrayWrapper: the description of an array whose bytes follow in the file."""

    subclass: Any
    shape: tuple[int, ...]
    order: str
    dtype: Any

    def read(self, stream: io.BufferedReader, find: _Finder) -> Any:
        """The array, in the machine's byte order."""
        if self.dtype.hasobject:
            return _Unpickler(stream, find, arrays=False).load()
        if getattr(self, "numpy_array_alignment_bytes", None) is not None:
            _take(stream, int.from_bytes(_take(stream, 1), "little"))
        array = self._numbers(stream)
        array = array.reshape(self.shape[::-1]).transpose() if self.order == "F" else array.reshape(self.shape)
        if not array.dtype.isnative:
            array = array.astype(array.dtype.newbyteorder("="))
        return array

    def _numbers(self, stream: io.BufferedReader) -> Any:
        import numpy

        count = 1
        for length in self.shape:
            count *= length
        array = numpy.empty(count, dtype=self.dtype)
        if not array.nbytes:
            return array
        view = memoryview(array.view(numpy.uint8))
        done = 0
        while done < len(view):
            got = stream.readinto(view[done : done + _READ])
            if not got:
                raise Refused("the file ends in the middle: it is cut off", "copy it again, or " + RESAVE)
            done += got
        return array


_PythonUnpickler: Any = pickle._Unpickler


class _Unpickler(_PythonUnpickler):  # type: ignore[misc]
    """The unpickler in Python, which alone can look at each object that is made, and stop at an array block.

    arrays: whether blocks may follow; not inside joblib's arrays of objects.
    """

    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = dict(_PythonUnpickler.dispatch)

    def __init__(self, stream: io.BufferedReader, find: _Finder, *, arrays: bool) -> None:
        super().__init__(stream)
        self._source = stream
        self._finder = find
        self._may_have_arrays = arrays
        self._with_words: list[Any] = []

    def load(self) -> Any:
        loaded = super().load()
        for made in self._with_words:
            pickle_objects.check_words(made)
        return loaded

    def find_class(self, module: str, name: str) -> Any:
        return self._finder(module, name)

    def persistent_load(self, pid: Any) -> Any:
        raise Refused("it refers to objects that are stored outside of the file", RESAVE)

    def get_extension(self, code: int) -> Any:
        raise Refused("it uses pickle's extension registry", RESAVE)

    def load_reduce(self) -> None:
        args = self.stack.pop()
        self.stack[-1] = self._checked(self._called(self.stack[-1], args))

    dispatch[pickle.REDUCE[0]] = load_reduce

    def load_newobj(self) -> None:
        args = self.stack.pop()
        self.stack[-1] = self._checked(self._new(self.stack[-1], args, {}))

    dispatch[pickle.NEWOBJ[0]] = load_newobj

    def load_newobj_ex(self) -> None:
        kwargs, args = self.stack.pop(), self.stack.pop()
        self.stack[-1] = self._checked(self._new(self.stack[-1], args, kwargs))

    dispatch[pickle.NEWOBJ_EX[0]] = load_newobj_ex

    def load_build(self) -> None:
        state, target = self.stack[-1], self.stack[-2]
        if isinstance(target, type | Maker | FunctionType) or self._finder.is_name(target):
            raise Refused("it changes a class or function: no training library writes such files", kind="hidden-call")
        if _is_dtype(target):
            pickle_objects.check_dtype(target, state)
        pickle_objects.check_names(state)
        pickle_objects.check_native(target, state)
        super().load_build()
        if isinstance(target, ArrayBlock):
            self.stack[-1] = self._array(target)
        else:
            self._checked(target)

    dispatch[pickle.BUILD[0]] = load_build

    def _called(self, func: Any, args: tuple[Any, ...]) -> Any:
        if isinstance(func, Maker):
            return func.call(args)
        if not self._finder.may_call(func):
            raise Refused(f"it calls {_called_name(func)}: no training library writes such files", kind="hidden-call")
        return func(*(arg.made if isinstance(arg, Maker) else arg for arg in args))

    def _new(self, cls: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if isinstance(cls, Maker):
            return cls.new(args, kwargs)
        if not self._finder.may_call(cls):
            raise Refused(f"it calls {_called_name(cls)}: no training library writes such files", kind="hidden-call")
        return cls.__new__(cls, *args, **kwargs)

    def _checked(self, made: Any) -> Any:
        pickle_objects.check(made, self._finder.trust)
        if pickle_objects.has_words(made):
            self._with_words.append(made)
        return made

    def _array(self, block: ArrayBlock) -> Any:
        frame = self._unframer.current_frame
        if not self._may_have_arrays:
            raise Refused("an array block inside an array of objects: the file is damaged", RESAVE)
        if frame is not None and frame.read(1):
            raise Refused("an array block begins inside a frame: the file is damaged", RESAVE)
        return block.read(self._source, self._finder)


def _is_dtype(value: Any) -> bool:
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(value, numpy.dtype)


def _called_name(value: Any) -> str:
    return f"{getattr(value, '__module__', None) or ''}.{getattr(value, '__qualname__', type(value).__name__)}".lstrip(".")


def _take(stream: io.BufferedReader, count: int) -> bytes:
    content = stream.read(count)
    if len(content) < count:
        raise Refused("the file ends in the middle: it is cut off", "copy it again, or " + RESAVE)
    return content


def _encode(text: Any, encoding: str = "", errors: str = "strict") -> bytes:
    """Bytes as protocols 0 to 2 write them; other codecs could import modules."""
    if not isinstance(text, str) or encoding not in _LATIN:
        raise Refused(f"it encodes text as {str(encoding)[:40]!r}: no training library writes such files", kind="hidden-call")
    return text.encode("latin-1", errors)


def _import(pair: names.Name) -> Any:
    module, name = pair
    __import__(module)
    found = sys.modules[module]
    for part in name.split("."):
        found = getattr(found, part)
    return found


_stand_ins: dict[names.Name, type] = {}


def _stand_in(pair: names.Name) -> type:
    """A class of that name which keeps what it is given and does nothing."""
    if pair not in _stand_ins:
        _stand_ins[pair] = type(pair[1], (_Inert,), {"__module__": pair[0]})
    return _stand_ins[pair]


class _Inert:
    """Kept by fitted objects, never used to predict."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.args, self.kwargs = args, kwargs

    def __setstate__(self, state: Any) -> None:
        self.__dict__["state"] = state


def _bunch(cls: type) -> type:
    """scikit-learn's Bunch answers for any attribute with an item: not for those by which numpy finds memory."""

    def item(self: Any, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return cls.__getattr__(self, name)  # type: ignore[attr-defined]

    return type(cls.__name__, (cls,), {"__getattr__": item, "__module__": cls.__module__})


def _load_skops(path: Path, found: Scan, trust: Sequence[str]) -> Any:
    import skops.io

    loaded = skops.io.load(path, trusted=[names.dotted(name) for name in found.names])
    for made in pickle_objects.inside(loaded):
        pickle_objects.check(made, trust)
    return loaded
