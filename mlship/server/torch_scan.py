"""What a PyTorch file refers to, read without unpickling anything: weights, programs, and what is neither. Standard library only.

`torch.load(weights_only=True)` keeps to a list of names by itself. `torch.export.load` does not: it falls back to pickle for sample
inputs, and has tensors and objects of the file unpickled whose configuration says so (torch 2.13, torch/export/pt2_archive/
_package.py and torch/_export/serde/serialize.py). So such a file is looked at whole before it is loaded, every time.
"""

from __future__ import annotations

import io
import json
import re
import struct
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

from mlship.server.names import Name, dotted
from mlship.server.pickle_machine import Found, Global, Instance, Machine, Mapping
from mlship.server.pickle_open import Refused

Kind = Literal["weights", "whole", "program", "exported"]

MAX_PICKLE = 256 * 2**20  # bytes of what stands beside the tensors: names, shapes
MAX_HEADER = 100_000_000  # bytes; safetensors' own bound (safetensors 0.8, MAX_HEADER_SIZE)
MAX_ENTRIES = 200_000
COPY = "copy it again, or save it again"
STATE = (
    "save its weights alone, where its classes can be imported: model = torch.load(FILE, weights_only=False); "
    "torch.save(model.state_dict(), 'net.pt'); then name the class: model.loader: module:Class"
)
PARTS = (
    "save its weights alone, where its classes can be imported: saved = torch.load(FILE, weights_only=False); "
    "torch.save(saved[{key!r}], 'net.pt'); then name the class: model.loader: module:Class"
)
EXPORT = (
    "export it again: program = torch.export.export(model.eval(), (example,), dynamic_shapes=...); "
    "torch.export.save(program, 'net.pt2')"
)
WRAPPERS = (
    "state_dict",
    "model_state_dict",
    "model",
    "net",
)  # what training loops and Lightning call the weights in a checkpoint
_END, _LOCATOR, _END_64 = 22, 20, 56  # bytes of a zip's end, and of zip64's
OLD = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."  # the number that torch.save wrote first, before 1.6 or when it was told to

_STORAGE = re.compile(r"(Untyped|Typed|Float|Double|Half|BFloat16|Byte|Char|Short|Int|Long|Bool|Complex\w+|Q\w+)Storage\Z")
_DTYPE = re.compile(r"(b?float|u?int|q?u?int|complex|bool|half|double|long|short|bits)[a-z0-9_]*\Z")
# after a dot, whatever the compiler passes over in between
_FILE_CALL = re.compile(rb"\.(?:[\s\\]|#[^\n]*\n)*(save|from_file)\b")
# what torch.load(weights_only=True) takes (torch 2.13, torch/_weights_only_unpickler.py), in the parts that files of weights use
_KNOWN = frozenset(
    {
        ("collections", "OrderedDict"), ("collections", "Counter"), ("torch.nn.parameter", "Parameter"), ("torch", "Size"),
        ("torch", "Tensor"), ("torch", "device"), ("torch.serialization", "_get_layout"), ("_codecs", "encode"),
        ("builtins", "bytearray"), ("builtins", "set"), ("builtins", "complex"), ("torch._tensor", "_rebuild_from_type_v2"),
        ("torch", "per_tensor_affine"), ("torch", "per_channel_affine"),
    }
)  # fmt: skip


@dataclass(frozen=True)
class TorchFile:
    """kind: `weights` (a state_dict), `whole` (a pickled model), `program` (TorchScript), `exported` (torch.export).

    names: (module, name) pairs that it refers to beyond those of weights, sorted. tensors: names of its outermost dict's tensors.
    keys: of its outermost dict, the others.
    """

    kind: Kind
    names: tuple[Name, ...] = ()
    tensors: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()


def scan_torch(path: Path) -> TorchFile:
    """Raises Refused for a file that may not be loaded whatever anybody says, or cannot be read; OSError."""
    with path.open("rb") as file:
        head = file.read(len(OLD))
        if head == OLD:
            what = "it was written in the form that PyTorch had before 1.6"
            raise Refused(
                what,
                f"write it anew: saved = torch.load({path.name!r}, weights_only=True); torch.save(saved, {path.name!r})",
                "old-torch",
            )
        if not head.startswith(b"PK\x03\x04"):
            file.seek(0)
            return TorchFile("weights", tensors=safetensors_names(file, path.stat().st_size))
        return _of_archive(file)


def allow(found: TorchFile) -> None:
    """Raises Refused unless it can be loaded without anything being called that the file itself names."""
    if found.names:
        shown = ", ".join(dotted(name) for name in found.names[:5]) + (", ..." if len(found.names) > 5 else "")
        what = f"it refers to {shown}"
        if found.kind == "exported":
            raise Refused(f"{what} among its tensors", EXPORT, "unknown-name")
        key = next((key for key in WRAPPERS if key in found.keys), "")
        if key:
            raise Refused(f"{what}: a checkpoint with more in it than weights", PARTS.format(key=key), "whole-model")
        raise Refused(f"{what}: a whole model is pickled in it, or more than weights", STATE, "whole-model")
    if found.kind == "whole":
        raise Refused("it holds no dict of tensors", STATE, "not-a-model")


def safetensors_names(file: IO[bytes], size: int) -> tuple[str, ...]:
    """Names of the tensors of a safetensors file. Raises Refused."""
    (length,) = struct.unpack("<Q", file.read(8)) if size >= 8 else (size,)
    if length > min(MAX_HEADER, size - 8):
        raise Refused("its header is longer than the file: it is cut off, or no safetensors file", COPY)
    try:
        header = json.loads(file.read(length))
        named = {str(name): entry["data_offsets"] for name, entry in header.items() if name != "__metadata__"}
        ends = [end for start, end in named.values() if 0 <= start <= end]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise Refused("its header cannot be read: it is damaged, or no safetensors file", COPY) from None
    if len(ends) != len(named) or max(ends, default=0) != size - 8 - length:
        raise Refused("it has other bytes than its header says: it is cut off or damaged", COPY)
    return tuple(sorted(named))


def _of_archive(file: IO[bytes]) -> TorchFile:
    with _opened(file) as archive:
        if any(name.endswith("serialized_exported_program.json") for name in archive.namelist()):
            raise Refused("it was exported with PyTorch before 2.8", EXPORT, "old-torch")
        entries = _entries(archive)
        parts = {name.partition("/")[2] for name in entries}
        if "archive_format" in parts:
            return TorchFile("exported", names=_of_exported(archive, entries, parts))
        pickles = [name for name in entries if name.count("/") == 1 and name.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise Refused("it is no archive that torch.save or torch.jit.save writes", COPY)
        if "constants.pkl" in parts or any(part.startswith("code/") for part in parts):
            _refuse_file_calls(archive, entries)
            return TorchFile("program")
        return _of_pickle(_content(archive, pickles[0]))


def _refuse_file_calls(archive: zipfile.ZipFile, entries: dict[str, zipfile.ZipInfo]) -> None:
    """TorchScript runs its own code in C++, with two operations that reach files (torch 2.13, _jit_get_all_schemas)."""
    for name in entries:
        if name.partition("/")[2].startswith("code/"):
            called = _FILE_CALL.search(_content(archive, name))
            if called:
                what = f"its program calls {called[1].decode()}, which reads or writes files when it is asked"
                raise Refused(what, "save it without that call", "dangerous-operation")


def _of_pickle(raw: bytes) -> TorchFile:
    found = Found()
    root = _Tensors(io.BufferedReader(io.BytesIO(raw)), found, arrays=False).run()
    names = tuple(sorted(name for name in found.names if not _is_of_weights(name)))
    items = root.items if isinstance(root, Mapping) else {}
    tensors = tuple(key for key, value in items.items() if isinstance(value, Instance) and value.made_by[0].startswith("torch"))
    kind: Kind = "weights" if isinstance(root, Mapping) and not names else "whole"
    return TorchFile(kind, names, tensors, tuple(key for key in items if key not in tensors))


def _is_of_weights(name: Name) -> bool:
    module, attribute = name
    if module == "torch._utils":
        return attribute.startswith("_rebuild_")
    is_type = module in ("torch", "torch.storage") and bool(_STORAGE.match(attribute) or _DTYPE.match(attribute))
    return is_type or name in _KNOWN


class _Tensors(Machine):
    """The machine for what torch.save writes: tensors refer to their numbers, which lie beside the pickle."""

    def stored_outside(self) -> None:
        self.pop()
        self.push(Instance(("torch", "UntypedStorage"), None))

    def call(self, func: Any, args: Any) -> Any:
        if isinstance(func, Global) and func.name == ("collections", "OrderedDict") and args == ():
            return Mapping()
        return super().call(func, args)

    def build(self) -> None:
        """An OrderedDict has a state of its own: the versions of the modules."""
        if isinstance(self.stack[-2], Mapping):
            self.pop()
        else:
            super().build()


def _of_exported(archive: zipfile.ZipFile, entries: dict[str, zipfile.ZipInfo], parts: set[str]) -> tuple[Name, ...]:
    """Names in all that is unpickled with it. Raises Refused for machine code and for pickled objects."""
    for part in sorted(parts):
        if part.startswith("data/aotinductor/") or part.endswith((".so", ".o", ".cpp", ".cubin")):
            raise Refused(f"it holds machine code ({part})", EXPORT, "machine-code")
        if part.startswith(("data/constants/custom_obj", "data/constants/opaque_obj")):
            raise Refused("it holds objects that are unpickled, beside its tensors", EXPORT, "hidden-call")
    pickled = {f"data/{kind}/{name}" for kind in ("weights", "constants") for name in _pickled(archive, entries, kind)}
    found: set[Name] = set()
    for name, info in entries.items():
        part = name.partition("/")[2]
        if part in pickled or part.endswith(".pt") or part.startswith("data/sample_inputs/"):
            found |= set(_of_inner(archive, info))
    return tuple(sorted(found))


def _pickled(archive: zipfile.ZipFile, entries: dict[str, zipfile.ZipInfo], kind: str) -> Iterator[str]:
    """Names of the files whose configuration says that they are pickles."""
    for name in entries:
        part = name.partition("/")[2]
        if not part.startswith(f"data/{kind}/") or not part.endswith("_config.json"):
            continue
        try:
            config = json.loads(_content(archive, name))["config"]
            said = [(str(entry["path_name"]), entry.get("use_pickle")) for entry in config.values()]
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise Refused(f"{part} cannot be read: it is damaged", EXPORT) from None
        if any("/" in place or place.startswith(("custom_obj", "opaque_obj")) for place, _ in said):
            raise Refused("it holds objects that are unpickled, beside its tensors", EXPORT, "hidden-call")
        yield from (place for place, is_pickle in said if is_pickle)


def _of_inner(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> tuple[Name, ...]:
    """Names in a pickle of tensors within the file, which is an archive itself."""
    if info.compress_type != zipfile.ZIP_STORED:
        raise Refused(f"{info.filename} is compressed, as torch.export writes none", EXPORT)
    if not info.file_size:
        return ()
    with archive.open(info) as inside, _opened(inside) as inner:
        entries = _entries(inner)
        pickles = [name for name in entries if name.endswith(".pkl")]
        if len(pickles) != 1 or pickles[0].count("/") != 1 or not pickles[0].endswith("/data.pkl"):
            raise Refused(f"{info.filename} is no file of tensors", EXPORT, "hidden-call")
        return _of_pickle(_content(inner, pickles[0])).names


def _opened(file: IO[bytes]) -> zipfile.ZipFile:
    try:
        archive = zipfile.ZipFile(file)
        listed_at = _listed_at(file)
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError, struct.error):
        raise Refused("the archive is damaged or cut off", COPY) from None
    if archive.start_dir != listed_at:
        archive.close()
        raise Refused("its list of files is not where it says: two readers would see two archives", COPY, "hidden-name")
    return archive


def _listed_at(file: IO[bytes]) -> int:
    """Where the list of files begins, as the archive's end says (APPNOTE 4.3.14 to 4.3.16).

    PyTorch's reader goes there; Python's goes to what stands just before the end, and moves every file by the difference. Raises
    struct.error, ValueError for an end that PyTorch does not write.
    """
    size = file.seek(0, io.SEEK_END)
    file.seek(max(0, size - _END - _LOCATOR))
    tail = file.read()
    (at,) = struct.unpack_from("<L", tail, len(tail) - 6)
    if tail[-_END : -_END + 4] != b"PK\x05\x06" or tail[-2:] != b"\0\0":
        raise ValueError("something stands behind the end")
    if tail[:4] != b"PK\x06\x07" or len(tail) < _END + _LOCATOR:
        return int(at)
    (said,) = struct.unpack_from("<Q", tail, 8)
    if said != size - _END - _LOCATOR - _END_64:
        raise ValueError("its second end is not where it says")
    file.seek(said + 48)
    (at_64,) = struct.unpack("<Q", file.read(8))
    if at not in (at_64, 0xFFFFFFFF):
        raise ValueError("its two ends differ")
    return int(at_64)


def _entries(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """By name. What two readers could understand in two ways is refused: PyTorch's own is another one than this."""
    listed = archive.infolist()
    entries = {info.filename: info for info in listed}
    roots = {name.partition("/")[0] for name in entries}
    is_odd = any("\\" in name or ".." in name.split("/") or name.startswith("/") for name in entries)
    if (
        len(entries) != len(listed)
        or len({name.lower() for name in entries}) != len(listed)
        or is_odd
        or len(listed) > MAX_ENTRIES
    ):
        raise Refused("it has names that stand for more than one file", COPY, "hidden-name")
    if len(roots) != 1:
        raise Refused("its files are not all in one folder, as PyTorch writes them", COPY)
    return entries


def _content(archive: zipfile.ZipFile, name: str) -> bytes:
    info = archive.getinfo(name)
    if info.file_size > MAX_PICKLE:
        raise Refused(f"{name} in it has {info.file_size >> 20} MiB", COPY, "bomb")
    try:
        with archive.open(info) as stream:
            raw = stream.read(MAX_PICKLE + 1)
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError, RuntimeError, EOFError):
        raise Refused("the archive is damaged or cut off", COPY) from None
    if len(raw) > MAX_PICKLE:
        raise Refused(f"{name} in it unpacks to more than {MAX_PICKLE >> 20} MiB", COPY, "bomb")
    return raw
