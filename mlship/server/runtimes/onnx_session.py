"""onnxruntime, with the threads and the GPU that this process has: the only place that imports it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from mlship.server.runtimes.base import LoadError
from mlship.server.runtimes.device import has_gpu
from mlship.server.runtimes.worker_threads import threads

# Of onnxruntime 1.29 and later: without it an import opens a database below the home folder, starts a thread, and reports to
# its maker over the network (Privacy.md of onnxruntime 1.32.0). It has to stand before the first import.
NO_TELEMETRY = "ORT_DISABLE_TELEMETRY"
CUDA = "CUDAExecutionProvider"
FATAL = 4  # SessionOptions.log_severity_level; errors are raised, too, and what a caller sent has no place in a log


def session(path: Path) -> Any:
    """An InferenceSession of the file. Raises LoadError for a graph that onnxruntime does not take, ImportError."""
    os.environ[NO_TELEMETRY] = "1"
    import onnxruntime

    options = onnxruntime.SessionOptions()
    # named, they also keep the pool from binding itself to the host's cores, which a container may not have
    options.intra_op_num_threads = threads()
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = FATAL
    # idle threads that spin would take the time of the other workers
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        made = onnxruntime.InferenceSession(str(path), options, providers=_providers(onnxruntime))
    except MemoryError:
        raise
    except Exception as error:  # its own classes share no other base
        raise LoadError(f"onnxruntime {onnxruntime.__version__} does not take the graph: {said(error)[:300]}") from None
    if has_gpu() and CUDA not in made.get_providers():
        raise LoadError(
            f"onnxruntime {onnxruntime.__version__} cannot compute on the GPU: its CUDA, or cuDNN, does not fit the driver; "
            "it would have gone on with the CPU"
        )
    return made


def _providers(onnxruntime: Any) -> list[Any]:
    """In the order in which they are asked for each node of the graph; some nodes have no form for CUDA."""
    if not has_gpu():
        return ["CPUExecutionProvider"]
    # NVIDIA's libraries lie beside it as packages, where no loader looks (CUDA Execution Provider, "Preload DLLs")
    onnxruntime.preload_dlls()
    return [(CUDA, {"use_tf32": "0"}), "CPUExecutionProvider"]


def said(error: Exception) -> str:
    """onnxruntime's own words, without its codes: `[ONNXRuntimeError] : 2 : INVALID_ARGUMENT : ... Status Message: ...`."""
    first = str(error).strip().split("\n", 1)[0].rpartition("Status Message: ")[2]
    return first.split(" : ", 3)[-1] if first.startswith("[ONNXRuntimeError]") else first
