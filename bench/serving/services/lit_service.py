"""LitServe with batching: python lit_service.py PORT. Its fast queue (ZeroMQ) was slower on one core, so it stays off."""

import os
import sys
from pathlib import Path

import joblib
import litserve
import numpy as np

FOLDER = Path(os.environ["BENCH_MODEL"])
TAKES_FRAMES = FOLDER.name == "pipeline"
if TAKES_FRAMES:
    import pandas as pd


class Model(litserve.LitAPI):
    def setup(self, device):
        self.model = joblib.load(FOLDER / "model.joblib")

    def decode_request(self, request):
        return pd.DataFrame(request["instances"]) if TAKES_FRAMES else np.asarray(request["instances"])

    def batch(self, inputs):
        self.sizes = [len(rows) for rows in inputs]
        return pd.concat(inputs, ignore_index=True) if TAKES_FRAMES else np.concatenate(inputs)

    def predict(self, rows):
        return self.model.predict_proba(rows)

    def unbatch(self, output):
        return np.split(output, np.cumsum(self.sizes)[:-1])

    def encode_response(self, output):
        return {"predictions": output.tolist()}


if __name__ == "__main__":
    server = litserve.LitServer(Model(max_batch_size=64, batch_timeout=0.001), accelerator="cpu", workers_per_device=1)
    server.run(port=int(sys.argv[1]), host="127.0.0.1", num_api_servers=1, log_level="error", generate_client_file=False)
