"""Where PyTorch computes: on the GPU that this process was given, else on the CPU."""

from __future__ import annotations

from typing import Any

from mlship.server.runtimes.base import LoadError
from mlship.server.runtimes.device import has_gpu


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
