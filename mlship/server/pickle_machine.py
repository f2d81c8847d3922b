"""A pickle machine that computes with names instead of objects: it imports nothing and calls nothing. Standard library only.

It follows every opcode as the real unpickler would (stack, marks, memo), so that a name is known exactly however it was put
together. What the real one would do and this one cannot follow is refused. joblib's files hold the bytes of arrays between
the opcodes; the machine steps over them as joblib would read them.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from mlship.server import names
from mlship.server.pickle_open import RESAVE, Refused

MAX_KEPT_TEXT = 4096  # longer strings are never names
MAX_KEPT_ITEMS = 300  # the state of one object has fewer attributes; vocabularies have more and are not looked at
MAX_NESTING = 32  # of dtypes in dtypes

OUTSIDE = "it refers to objects that are stored outside of the file"
_WRAPPER = ("joblib.numpy_pickle", "NumpyArrayWrapper")
_DTYPE = ("numpy", "dtype")
_ARRAY_TYPES = {("numpy", "ndarray"), ("numpy", "matrix"), ("numpy", "memmap")}
CUT_OFF = ("the file ends in the middle: it is cut off", "copy it again, or " + RESAVE)
_DTYPE_KINDS = tuple("biufcmMSUVO")
_HAS_REFERENCES = 0x07  # numpy's NPY_ITEM_REFCOUNT, NPY_LIST_PICKLE, NPY_ITEM_IS_POINTER (numpy/ndarraytypes.h)


class Opaque:
    """A value that is never looked at."""

    __slots__ = ()


OPAQUE = Opaque()


@dataclass(frozen=True, slots=True)
class Global:
    """A class or function by its name."""

    name: names.Name


class Sequence:
    """A list or set; its items are not kept."""

    __slots__ = ("kind",)

    def __init__(self, kind: str) -> None:
        self.kind = kind


class Mapping:
    """A dict: the values of its text keys, up to a limit."""

    __slots__ = ("describes_fields", "is_whole", "items")

    def __init__(self) -> None:
        self.items: dict[str, Any] = {}
        self.is_whole = True
        self.describes_fields = False

    def put(self, key: Any, value: Any) -> None:
        if len(self.items) >= MAX_KEPT_ITEMS:
            self.is_whole = False
        elif isinstance(key, str):
            self.items[key] = value


class Instance:
    """What calling a class or function gave. args: None where they are of no interest."""

    __slots__ = ("args", "made_by", "state")

    def __init__(self, made_by: names.Name, args: tuple[Any, ...] | None) -> None:
        self.made_by = made_by
        self.args = args
        self.state: Any = None


@dataclass
class Found:
    """What a file told so far. called: the names that it calls. protocol: the highest seen. arrays: joblib's array blocks."""

    called: dict[names.Name, None] = field(default_factory=dict)
    names: dict[names.Name, None] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    protocol: int = 0
    arrays: int = 0
    has_feature_names: bool = False


class Machine:
    """Reads one pickle from the stream's position to its STOP."""

    def __init__(self, stream: io.BufferedReader, found: Found, *, arrays: bool) -> None:
        self.stream = stream
        self.found = found
        self.may_have_arrays = arrays
        self.stack: list[Any] = []
        self.marks: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        self.elements: dict[int, tuple[Instance, tuple[int, bool]]] = {}  # of dtypes, until one is made or changed
        self.position = 0
        self.frame_end = 0

    def run(self) -> Any:
        """The symbolic object that the pickle describes. Raises Refused."""
        read, table = self.stream.read, _TABLE
        while True:
            code = read(1)
            if not code:
                raise Refused(*CUT_OFF)
            self.position += 1
            step = table[code[0]]
            if step is None:
                raise Refused(
                    f"byte {code[0]:#04x} at {self.position - 1} is no pickle instruction: the file is damaged", RESAVE
                )
            try:
                if step(self):
                    return self.pop()
            except (IndexError, KeyError, ValueError, TypeError, OverflowError, RecursionError):
                raise Refused(f"the instruction at byte {self.position} does not fit what stands before it", RESAVE) from None

    # reading

    def take(self, count: int) -> bytes:
        content = self.stream.read(count)
        if len(content) < count:
            raise Refused(*CUT_OFF)
        self.position += count
        return content

    def skip(self, count: int) -> None:
        while count > 0:
            count -= len(self.take(min(count, 1 << 20)))

    def line(self) -> str:
        content = self.stream.readline(MAX_KEPT_TEXT)
        if not content.endswith(b"\n"):
            raise Refused(*CUT_OFF)
        self.position += len(content)
        return content[:-1].decode("utf-8")

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "little")

    def byte(self) -> int:
        """As `number(1)`: of a forest's instructions half read one."""
        content = self.stream.read(1)
        if not content:
            raise Refused(*CUT_OFF)
        self.position += 1
        return content[0]

    # stack

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def pop(self) -> Any:
        return self.stack.pop()

    def pop_mark(self) -> list[Any]:
        items = self.stack
        self.stack = self.marks.pop()
        return items

    def discard(self) -> None:
        if self.stack:
            self.pop()
        else:
            self.pop_mark()

    def discard_mark(self) -> None:
        self.pop_mark()

    # constants

    def proto(self) -> None:
        version = self.number(1)
        if version > 5:
            raise Refused(f"pickle protocol {version} does not exist", RESAVE)
        self.found.protocol = max(self.found.protocol, version)

    def frame(self) -> None:
        size = self.number(8)
        if self.position < self.frame_end:
            raise Refused("a frame begins inside another one: the file is damaged", RESAVE)
        self.frame_end = self.position + size

    def text(self, size: int) -> None:
        count = self.number(size)
        if count > MAX_KEPT_TEXT:
            self.skip(count)
            self.push(OPAQUE)
        else:
            self.push(self.take(count).decode("utf-8", "surrogatepass"))

    def raw(self, size: int) -> None:
        self.skip(self.number(size))
        self.push(OPAQUE)

    def long_bytes(self, size: int) -> None:
        count = self.number(size)
        if count > MAX_KEPT_TEXT:
            raise Refused(f"a number of {count} bytes: the file is damaged", RESAVE)
        self.push(int.from_bytes(self.take(count), "little", signed=True))

    def integer(self) -> None:
        line = self.line()
        self.push({"00": False, "01": True}[line] if line in ("00", "01") else int(line))

    def long_text(self) -> None:
        self.push(int(self.line().rstrip("L")))

    def unicode_line(self) -> None:
        """Text of protocol 0; arrays stand there as one long line."""
        content = self.stream.readline(MAX_KEPT_TEXT)
        is_long = False
        self.position += len(content)
        while content and not content.endswith(b"\n"):
            is_long = True
            content = self.stream.readline(1 << 20)
            self.position += len(content)
        if not content:
            raise Refused(*CUT_OFF)
        self.push(OPAQUE if is_long else content[:-1].decode("raw-unicode-escape"))

    def float_line(self) -> None:
        float(self.line())
        self.push(OPAQUE)

    def opaque(self, size: int) -> None:
        self.take(size)
        self.push(OPAQUE)

    # containers

    def mark(self) -> None:
        self.marks.append(self.stack)
        self.stack = []

    def tuple_of(self, count: int) -> None:
        if len(self.stack) < count:
            raise IndexError
        items = tuple(self.stack[len(self.stack) - count :])
        del self.stack[len(self.stack) - count :]
        self.push(items)

    def mark_tuple(self) -> None:
        items = tuple(self.pop_mark())
        self.push(items)

    def mark_sequence(self, kind: str) -> None:
        self.pop_mark()
        self.push(Sequence(kind))

    def mark_dict(self) -> None:
        items = self.pop_mark()
        self.push(Mapping())
        self.put_all(items)

    def append(self) -> None:
        self.pop()
        self.check_grows()

    def extend(self) -> None:
        self.pop_mark()
        self.check_grows()

    def check_grows(self) -> None:
        if not isinstance(self.stack[-1], Sequence | Instance):
            raise TypeError

    def set_item(self) -> None:
        value, key = self.pop(), self.pop()
        self.put_all([key, value])

    def set_items(self) -> None:
        self.put_all(self.pop_mark())

    def put_all(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if len(items) % 2 or not isinstance(target, Mapping | Instance):
            raise TypeError
        if isinstance(target, Mapping):
            if target.describes_fields:
                self.elements.clear()
            for key, value in zip(items[::2], items[1::2], strict=True):
                target.put(key, value)

    # memo

    def put(self, index: int) -> None:
        # the C unpickler allocates a table of this size: an index far beyond what was put is an attack on memory
        if index > len(self.memo) + 100_000:
            raise Refused(f"memo index {index} is out of order: the file is damaged", RESAVE)
        self.memo[index] = self.stack[-1]

    def put_next(self) -> None:
        self.memo[len(self.memo)] = self.stack[-1]

    def get(self, index: int) -> None:
        self.push(self.memo[index])

    def get_short(self) -> None:
        self.stack.append(self.memo[self.byte()])

    # names and calls

    def refer(self, module: str, name: str) -> Global:
        pair = names.normal(module, name)
        if not names.is_name(pair[0]) or not names.is_name(pair[1]):
            raise Refused(
                "it refers to what can be no name in Python: no training library writes such files", kind="hidden-name"
            )
        self.found.names.setdefault(pair)
        return Global(pair)

    def global_line(self) -> None:
        module, name = self.line(), self.line()
        self.push(self.refer(module, name))

    def stack_global(self) -> None:
        name, module = self.pop(), self.pop()
        if type(name) is not str or type(module) is not str:
            raise Refused(
                "a name is computed while the file is read: no training library writes such files", kind="hidden-name"
            )
        self.push(self.refer(module, name))

    def reduce(self) -> None:
        args, func = self.pop(), self.pop()
        if isinstance(func, Global):
            self.found.called.setdefault(func.name)
        self.push(self.call(func, args))

    def call(self, func: Any, args: Any) -> Any:
        if not isinstance(func, Global):
            raise Refused("it calls an object that it builds itself: no training library writes such files", kind="hidden-call")
        if not isinstance(args, tuple):
            raise TypeError
        if func.name in names.NAME_MAKERS:
            return self.made_name(func.name, args)
        if func.name in names.NEVER_CALLED:
            raise Refused(f"it calls {names.dotted(func.name)}: no training library writes such files", kind="hidden-call")
        return Instance(func.name, args if func.name in (_DTYPE, _WRAPPER) else None)

    def made_name(self, maker: names.Name, args: tuple[Any, ...]) -> Global:
        """`getattr(str, "lower")` and numpy's `_ufunc_reconstruct("numpy", "log1p")` are names written another way."""
        owner, name = args if len(args) == 2 else (None, None)
        if maker == names.GETATTR and isinstance(owner, Global) and type(name) is str:
            return self.refer(owner.name[0], f"{owner.name[1]}.{name}")
        if maker != names.GETATTR and type(owner) is str and type(name) is str:
            return self.refer(owner, name)
        if maker == names.GETATTR and isinstance(owner, Instance) and type(name) is str:
            return self.refer(owner.made_by[0], f"{owner.made_by[1]}.{name}")
        raise Refused("a name is computed while the file is read: no training library writes such files", kind="hidden-name")

    def new_object(self) -> None:
        args, cls = self.pop(), self.pop()
        self.push(self.call(cls, args))

    def new_object_ex(self) -> None:
        self.pop()
        self.new_object()

    def build(self) -> None:
        state = self.pop()
        target = self.stack[-1]
        if not isinstance(target, Instance):
            raise Refused("it changes a class or function: no training library writes such files", kind="hidden-call")
        target.state = state
        if target.made_by == _WRAPPER:
            self.array(target)
        elif target.made_by == _DTYPE:
            self.elements.clear()
            element(target)
        elif isinstance(state, Mapping):
            self.note(state)

    def note(self, state: Mapping) -> None:
        """What scikit-learn's estimators record of their training."""
        self.found.has_feature_names |= "feature_names_in_" in state.items
        version = state.items.get("_sklearn_version")
        if isinstance(version, str) and len(version) < 40:
            self.found.versions.setdefault("scikit-learn", version)

    # joblib's arrays

    def array(self, wrapper: Instance) -> None:
        """Steps over the bytes that follow an array's description."""
        if not self.may_have_arrays:
            raise Refused("an array block inside an array of objects: the file is damaged", RESAVE)
        if self.position < self.frame_end:
            raise Refused("an array block begins inside a frame: the file is damaged", RESAVE)
        state = wrapper.state
        if not isinstance(state, Mapping) or not state.is_whole:
            raise TypeError
        self.found.arrays += 1
        self.stack[-1] = Instance(("numpy", "ndarray"), None)
        if not isinstance(state.items["subclass"], Global) or state.items["subclass"].name not in _ARRAY_TYPES:
            raise Refused("an array of an unknown class", RESAVE, kind="refused-name")
        width, has_objects = self.element_of(state.items["dtype"])
        if has_objects:
            Machine(self.stream, self.found, arrays=False).run()
            return
        if state.items.get("numpy_array_alignment_bytes") is not None:
            self.skip(self.number(1))
        self.skip(width * product(state.items["shape"]))

    def element_of(self, dtype: Any) -> tuple[int, bool]:
        """As `element`: hundreds of arrays have the same dtype."""
        known = self.elements.get(id(dtype))
        if known is None:
            found = element(dtype)
            self.elements[id(dtype)] = dtype, found
            return found
        return known[1]

    def stored_outside(self) -> None:
        """What a pickle leaves to its reader."""
        self.refuse(OUTSIDE)

    def refuse(self, what: str) -> None:
        raise Refused(what, RESAVE)


def product(shape: Any) -> int:
    """How many elements an array of this shape has. Raises TypeError."""
    count = 1
    if not isinstance(shape, tuple):
        raise TypeError
    for length in shape:
        if type(length) is not int or length < 0:
            raise TypeError
        count *= length
    return count


def element(dtype: Any, depth: int = 0) -> tuple[int, bool]:
    """Bytes of one element and whether it holds Python objects, of a pickled numpy dtype. Raises Refused, TypeError.

    A dtype that says of plain bytes that they are objects would make numpy follow them as pointers: refused.
    """
    if depth > MAX_NESTING or not isinstance(dtype, Instance) or dtype.made_by != _DTYPE or not dtype.args:
        raise Refused("an array whose element type cannot be read", RESAVE)
    code, state = dtype.args[0], dtype.state
    if type(code) is not str or code[:1] not in _DTYPE_KINDS or not code[1:].isascii() or not code[1:].isdigit():
        raise Refused(f"an array of element type {str(code)[:40]!r} cannot be read", RESAVE)
    if not isinstance(state, tuple) or len(state) < 7:
        raise Refused(f"an array of element type {code!r} is not described to its end", RESAVE)
    width = int(code[1:]) * (4 if code[0] == "U" else 1)
    if code[0] in "SUV" and state[5] != width:
        raise Refused(f"an array of element type {code!r} says that its elements have {state[5]} bytes", RESAVE)
    has_objects = code[0] == "O" or _parts_have_objects(state, depth)
    flags = state[7] if len(state) > 7 else 0
    if type(flags) is not int or (flags & _HAS_REFERENCES and not has_objects):
        raise Refused(f"an array of element type {code!r} says that it holds objects", RESAVE)
    return width, has_objects


def _parts_have_objects(state: tuple[Any, ...], depth: int) -> bool:
    base, fields = state[2], state[4]
    parts = [base[0]] if isinstance(base, tuple) else []
    if fields is not None:
        if not isinstance(fields, Mapping) or not fields.is_whole:
            raise TypeError
        fields.describes_fields = True
        parts += [entry[0] for entry in fields.items.values()]
    return any(has_objects for _, has_objects in [element(part, depth + 1) for part in parts])


Step = Callable[[Machine], Any]


def _table() -> list[Step | None]:
    m = Machine
    steps: dict[str, Step] = {
        ".": lambda self: True,
        "\x80": m.proto,
        "\x95": m.frame,
        "0": m.discard,
        "1": m.discard_mark,
        "2": lambda self: self.push(self.stack[-1]),
        "(": m.mark,
        "I": m.integer,
        "L": m.long_text,
        "J": lambda self: self.push(int.from_bytes(self.take(4), "little", signed=True)),
        "K": lambda self: self.stack.append(self.byte()),
        "M": lambda self: self.push(self.number(2)),
        "\x8a": lambda self: self.long_bytes(1),
        "\x8b": lambda self: self.long_bytes(4),
        "F": m.float_line,
        "G": lambda self: self.opaque(8),
        "V": m.unicode_line,
        "X": lambda self: self.text(4),
        "\x8c": lambda self: self.text(1),
        "\x8d": lambda self: self.text(8),
        "B": lambda self: self.raw(4),
        "C": lambda self: self.raw(1),
        "\x8e": lambda self: self.raw(8),
        "\x96": lambda self: self.raw(8),
        "N": lambda self: self.stack.append(None),
        "\x88": lambda self: self.stack.append(True),
        "\x89": lambda self: self.stack.append(False),
        ")": lambda self: self.stack.append(()),
        "t": m.mark_tuple,
        "\x85": lambda self: self.tuple_of(1),
        "\x86": lambda self: self.tuple_of(2),
        "\x87": lambda self: self.tuple_of(3),
        "]": lambda self: self.push(Sequence("list")),
        "a": m.append,
        "e": m.extend,
        "l": lambda self: self.mark_sequence("list"),
        "}": lambda self: self.stack.append(Mapping()),
        "d": m.mark_dict,
        "s": m.set_item,
        "u": m.set_items,
        "\x8f": lambda self: self.push(Sequence("set")),
        "\x90": m.extend,
        "\x91": lambda self: self.mark_sequence("frozenset"),
        "g": lambda self: self.get(int(self.line())),
        "h": m.get_short,
        "j": lambda self: self.get(self.number(4)),
        "p": lambda self: self.put(int(self.line())),
        "q": lambda self: self.put(self.number(1)),
        "r": lambda self: self.put(self.number(4)),
        "\x94": m.put_next,
        "c": m.global_line,
        "\x93": m.stack_global,
        "R": m.reduce,
        "b": lambda self: self.build(),
        "\x81": m.new_object,
        "\x92": m.new_object_ex,
        "Q": lambda self: self.stored_outside(),  # what a subclass says counts
    }
    refused = {
        "STU": "the file was written by Python 2",
        "io": "it builds objects as Python 2 did",
        "P": OUTSIDE,
        "\x82\x83\x84": "it uses pickle's extension registry",
        "\x97\x98": "parts of it are stored outside of the file",
    }
    for codes, what in refused.items():
        for code in codes:
            steps[code] = lambda self, what=what: self.refuse(what)  # type: ignore[misc]
    return [steps.get(chr(code)) for code in range(256)]


_TABLE: list[Step | None] = _table()
