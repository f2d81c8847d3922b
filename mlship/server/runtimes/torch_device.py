"""Where PyTorch computes: on the GPU that this process was given, else on the CPU."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mlship.server.monitoring import log
from mlship.server.runtimes.base import LoadError
from mlship.server.runtimes.device import has_gpu

LOST = 70  # exit status of a process whose GPU does not answer any more; EX_SOFTWARE of sysexits.h


def torch_device(torch: Any) -> Any:
    """A torch.device. Raises LoadError where there is to be a GPU and torch cannot compute on it, with torch's own reason."""
    if not has_gpu():
        return torch.device("cpu")
    # convolutions would round to 10 bits of mantissa (torch's default), and answer otherwise than the build's own sample
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
    try:
        torch.ones(1, device="cuda").add_(1).cpu()
    except (RuntimeError, AssertionError) as error:
        reason = str(error).strip().split("\n", 1)[0]
        needed = f"a driver for its CUDA {torch.version.cuda}" if torch.version.cuda else "a build with CUDA"
        raise LoadError(f"torch {torch.__version__} cannot compute on the GPU: {reason}; it needs {needed}") from error
    return torch.device("cuda")


@contextmanager
def living_gpu(torch: Any) -> Iterator[None]:
    """After an error of CUDA itself, such as an index that only the GPU finds wrong, every later call of the process fails (CUDA
    Runtime API, "sticky errors"): the process ends, and the supervisor makes another. Too little memory is no such error."""
    try:
        yield
    except RuntimeError as error:
        if has_gpu() and isinstance(error, getattr(torch, "AcceleratorError", ())):  # torch 2.8 and later
            log.failure("gpu_lost", error)
            log.finish()
            os._exit(LOST)
        raise
