"""Files as torch.save and torch.export write them (torch 2.13), without torch: opcodes by hand, in stored archives."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from collections.abc import Mapping

TENSOR = (
    b"ctorch._utils\n_rebuild_tensor_v2\n((X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\x000X\x03\0\0\0cpuK\x04tQ"
    b"K\0K\x04\x85K\x01\x85\x89ccollections\nOrderedDict\n)RtR"
)


def text(word: str) -> bytes:
    return b"X" + len(word).to_bytes(4, "little") + word.encode()


def pickled(*items: tuple[str, bytes], ordered: bool = True) -> bytes:
    """A dict of these opcodes, with the state that a state_dict has."""
    start = b"ccollections\nOrderedDict\n)R(" if ordered else b"}("
    state = b"}X\x09\0\0\0_metadata}sb" if ordered else b""
    return b"\x80\x02" + start + b"".join(text(name) + value for name, value in items) + b"u" + state + b"."


STATE = pickled(("l.weight", TENSOR), ("l.bias", TENSOR))
CHECKPOINT = pickled(("epoch", b"K\x03"), ("model_state_dict", STATE[2:-1]), ordered=False)
WHOLE = b"\x80\x02c__main__\nNet\n)\x81}X\x08\0\0\0trainingNsb."
EVIL = b"\x80\x02cposix\nsystem\nX\x02\0\0\0id\x85R."


def archive(files: Mapping[str, bytes], root: str = "net") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, content in files.items():
            file.writestr(f"{root}/{name}" if root else name, content)
    return buffer.getvalue()


def saved(pickle: bytes = STATE, **more: bytes) -> bytes:
    return archive({"data.pkl": pickle, "byteorder": b"little", "data/0": b"\0" * 16, "version": b"3\n", **more})


def script(code: bytes = b"class Net(Module):\n") -> bytes:
    return archive({"data.pkl": WHOLE, "code/__torch__.py": code, "constants.pkl": b"\x80\x02).", "version": b"6\n"})


def two_lists(seen: bytes, hidden: bytes) -> bytes:
    """An archive that is `seen` for who reads its list just before the end, and `hidden` for who goes where the end says."""
    (size, at), (other_size, other_at) = (struct.unpack_from("<LL", raw, len(raw) - 10) for raw in (seen, hidden))
    listing, place = bytearray(seen[at : at + size]), 0
    before = hidden[:other_at].ljust(at, b"\0")
    while place < size:
        (offset,) = struct.unpack_from("<L", listing, place + 42)
        struct.pack_into("<L", listing, place + 42, offset + len(before) - at)
        place += 46 + sum(struct.unpack_from("<HHH", listing, place + 28))
    end = seen[-22:-6] + struct.pack("<LH", len(before), 0)
    return before + hidden[other_at : other_at + other_size] + seen[:at] + bytes(listing) + end


def exported(weights: Mapping[str, object] | None = None, **more: bytes) -> bytes:
    config = {"l.weight": {"path_name": "weight_0", "use_pickle": False}} if weights is None else dict(weights)
    return archive(
        {
            "data/weights/weight_0": b"\0" * 16,
            "data/weights/model_weights_config.json": json.dumps({"config": config}).encode(),
            "data/constants/model_constants_config.json": b'{"config": {}}',
            "models/model.json": b"{}",
            "data/sample_inputs/model.pt": saved(b"\x80\x02" + TENSOR + b"\x85}\x86."),
            "archive_format": b"pt2",
            "archive_version": b"0",
            **more,
        }
    )


def safetensors(header: object, size: int = 16) -> bytes:
    raw = json.dumps(header).encode()
    return len(raw).to_bytes(8, "little") + raw + b"\0" * size
