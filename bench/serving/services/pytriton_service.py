"""PyTriton: python pytriton_service.py PORT GRPC_PORT METRICS_PORT. Triton's dynamic batching, as its own examples turn it on.

Triton listens, and calls this process for each batch; both are measured.
"""

import os
import sys
from pathlib import Path

import joblib
import numpy as np
from pytriton.decorators import batch
from pytriton.model_config import DynamicBatcher, ModelConfig, Tensor
from pytriton.triton import Triton, TritonConfig

FOLDER = Path(os.environ["BENCH_MODEL"])
model = joblib.load(FOLDER / "model.joblib")


@batch
def predict(rows: np.ndarray) -> dict[str, np.ndarray]:
    return {"predict_proba": model.predict_proba(rows)}


if __name__ == "__main__":
    http, grpc, metrics = map(int, sys.argv[1:4])
    config = TritonConfig(http_address="127.0.0.1", http_port=http, grpc_port=grpc, metrics_port=metrics, log_verbose=0)
    with Triton(config=config) as triton:
        triton.bind(
            model_name="bench",
            infer_func=predict,
            inputs=[Tensor(name="rows", dtype=np.float64, shape=(-1,))],
            outputs=[Tensor(name="predict_proba", dtype=np.float64, shape=(-1,))],
            config=ModelConfig(max_batch_size=256, batcher=DynamicBatcher()),
        )
        triton.serve()
