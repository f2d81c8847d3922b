"""Loads a model file that `pickle_scan` has read, through an unpickler that knows the same exact names and no others."""

from __future__ import annotations

import io
import pickle
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

from mlship.server import names
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
        return _load_skops(path, found), found
    with open_model(path).stream as stream:
        return read(stream, trust, framework), found


def read(stream: io.BufferedReader, trust: Sequence[str] = (), framework: str = "sklearn") -> Any:
    """One pickle from the stream's position, with or without joblib's array blocks. Raises as `load`."""
    return _ArrayUnpickler(stream, _Finder(trust, framework)).load()


class _Finder:
    """Finds allowed names; the ones that could do harm are replaced by code that cannot."""

    def __init__(self, trust: Sequence[str], framework: str) -> None:
        self._trust = frozenset(trust)
        self._framework = framework

    def __call__(self, module: str, name: str) -> Any:
        pair = names.normal(module, name)
        if not names.is_allowed(pair, self._trust, self._framework):
            problem = names.problems([pair], self._trust, self._framework)[0]
            raise Refused(problem.what, problem.fix, kind=problem.kind)
        if pair in names.STAND_INS:
            return _stand_in(pair)
        if pair in names.SUBSTITUTES:
            return self._substitute(pair)
        return _import(pair)

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
        if not isinstance(owner, type):
            raise Refused(
                f"the file refers to the method {name} of an object",
                "write a function in a module of your own and use that, train and save again",
                kind="hidden-name",
            )
        return self(owner.__module__, f"{owner.__qualname__}.{name}")


class _Unpickler(pickle.Unpickler):
    """The interpreter's own fast unpickler, for the arrays of objects inside joblib's files."""

    def __init__(self, stream: io.BufferedReader, find: _Finder) -> None:
        super().__init__(stream)
        self._find = find

    def find_class(self, module: str, name: str, /) -> Any:
        if names.normal(module, name) == names.ARRAY_WRAPPER:
            raise Refused("an array block inside an array of objects: the file is damaged", RESAVE)
        return self._find(module, name)

    def persistent_load(self, pid: Any, /) -> Any:
        raise Refused("it refers to objects that are stored outside of the file", RESAVE)


class ArrayBlock:
    """Stands for joblib's NumpyArrayWrapper: the description of an array whose bytes follow in the file."""

    subclass: Any
    shape: tuple[int, ...]
    order: str
    dtype: Any

    def read(self, stream: io.BufferedReader, find: _Finder) -> Any:
        """The array, in the machine's byte order."""
        if self.dtype.hasobject:
            return _Unpickler(stream, find).load()
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


class _ArrayUnpickler(_PythonUnpickler):  # type: ignore[misc]
    """The unpickler in Python, which alone can stop between two instructions to read an array block."""

    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = dict(_PythonUnpickler.dispatch)

    def __init__(self, stream: io.BufferedReader, find: _Finder) -> None:
        super().__init__(stream)
        self._source = stream
        self._finder = find

    def find_class(self, module: str, name: str) -> Any:
        return self._finder(module, name)

    def persistent_load(self, pid: Any) -> Any:
        raise Refused("it refers to objects that are stored outside of the file", RESAVE)

    def get_extension(self, code: int) -> Any:
        raise Refused("it uses pickle's extension registry", RESAVE)

    def load_build(self) -> None:
        target = self.stack[-2]
        if isinstance(target, type) or (callable(target) and hasattr(target, "__code__")):
            raise Refused("it changes a class or function: no training library writes such files", kind="hidden-call")
        super().load_build()
        if isinstance(self.stack[-1], ArrayBlock):
            frame = self._unframer.current_frame
            if frame is not None and frame.read(1):
                raise Refused("an array block begins inside a frame: the file is damaged", RESAVE)
            self.stack[-1] = self.stack[-1].read(self._source, self._finder)

    dispatch[pickle.BUILD[0]] = load_build


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


def _load_skops(path: Path, found: Scan) -> Any:
    import skops.io

    return skops.io.load(path, trusted=[names.dotted(name) for name in found.names])
