"""The GPUs of a server with resources.gpu: found before any worker is made, one for each worker, which sees no other.

Nothing of CUDA stays in the process that asks: one that has used it cannot be copied. So a child asks the driver, and ends. The
workers are told by CUDA_VISIBLE_DEVICES, which CUDA reads once, when a framework first uses it (CUDA Programming Guide,
"CUDA Environment Variables").
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlship.server.runtimes.device import GPU

VISIBLE = "CUDA_VISIBLE_DEVICES"
DRIVER = "libcuda.so.1"  # the driver's own; no image has it
DEVICES = Path("/dev")
_NAME_BYTES = 100


class NoCards(Exception):
    """The GPUs that the server is to have are not there; the message says what is missing."""


@dataclass(frozen=True)
class Card:
    """One GPU. id: for CUDA_VISIBLE_DEVICES. name: as the driver says it, `NVIDIA L4`."""

    id: str
    name: str


@dataclass(frozen=True)
class Told:
    """What the driver says. names: of the GPUs that it shows. trouble: why it shows none."""

    names: tuple[str, ...] = ()
    trouble: str = ""


Ask = Callable[[], Told]


def cards_for(wanted: int, environ: Mapping[str, str], ask: Ask) -> tuple[Card, ...]:
    """One card a worker; none where none are wanted. Raises NoCards where there are fewer: such a server is never ready.

    ask: the one door to the driver.
    """
    if not wanted:
        return ()
    told = ask()
    if len(told.names) < wanted:
        raise NoCards(_missing(wanted, told))
    said = [one.strip() for one in environ.get(VISIBLE, "").split(",") if one.strip()]
    ids = said or [str(place) for place in range(len(told.names))]
    return tuple(Card(id, name) for id, name in zip(ids[:wanted], told.names, strict=False))


def take(cards: Sequence[Card], index: int, environ: MutableMapping[str, str]) -> None:
    """In a worker, before it imports anything of a framework: it has its own card, and sees no other."""
    environ.pop(GPU, None)
    if cards:
        card = cards[index]
        # by place in the bus, as nvidia-smi numbers them and as they were asked for; else CUDA puts the fastest first
        environ.update({VISIBLE: card.id, "CUDA_DEVICE_ORDER": "PCI_BUS_ID", GPU: card.name})


def asked_driver() -> Told:
    """What the driver shows, asked in a child: CUDA would not work in copies of a process that has begun with it."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.environ["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"
            names, trouble = _driver()
            os.write(writing, json.dumps([names, trouble]).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as answer:
        raw = answer.read()
    _, status = os.waitpid(child, 0)
    if not raw:
        return Told(trouble=f"the NVIDIA driver ended the process that asked it (status {status})")
    names, trouble = json.loads(raw)
    return Told(tuple(names), trouble)


def _driver() -> tuple[list[str], str]:
    """Names and trouble, by the driver's own interface (CUDA Driver API: cuInit, cuDeviceGetCount, cuDeviceGetName)."""
    try:
        cuda = ctypes.CDLL(DRIVER)
    except OSError:
        return [], ""
    if code := cuda.cuInit(0):
        return [], f"the NVIDIA driver cannot be used: {_error(cuda, code)}"
    count = ctypes.c_int()
    if code := cuda.cuDeviceGetCount(ctypes.byref(count)):
        return [], f"the NVIDIA driver does not count its GPUs: {_error(cuda, code)}"
    names = []
    for place in range(count.value):
        name, device = ctypes.create_string_buffer(_NAME_BYTES), ctypes.c_int()
        cuda.cuDeviceGet(ctypes.byref(device), place)
        cuda.cuDeviceGetName(name, _NAME_BYTES, device)
        names.append(name.value.decode(errors="replace") or f"GPU {place}")
    return names, ""


def _error(cuda: ctypes.CDLL, code: int) -> str:
    """`CUDA_ERROR_NO_DEVICE (100)`."""
    text = ctypes.c_char_p()
    with contextlib.suppress(AttributeError):
        cuda.cuGetErrorName(code, ctypes.byref(text))
    return f"{(text.value or b'error').decode(errors='replace')} ({code})"


def _missing(wanted: int, told: Told) -> str:
    """What is wrong, and what to do about it, by what can be seen from here."""
    asked = f"resources.gpu is {wanted}, and this server finds "
    if told.names:
        return f"{asked}{len(told.names)}: {', '.join(told.names)}; give it {wanted}, or write less"
    if told.trouble:
        fix = "its version has to be new enough for the CUDA of the image, and the same in container and kernel: nvidia-smi"
        return f"{asked}no GPU: {told.trouble}; {fix}"
    if not any(DEVICES.glob("nvidia[0-9]*")):
        fix = "in a container: docker run --gpus all, with the NVIDIA container toolkit on the machine; on the machine itself: its driver"
        return f"{asked}no GPU: there is no /dev/nvidia0, and no {DRIVER}; {fix}"
    fix = "in a container the NVIDIA runtime brings it (--gpus all, not --device); on the machine itself install the driver's libraries"
    return f"{asked}no GPU that it can use: /dev/nvidia* is there, and the driver's {DRIVER} is not; {fix}"
