"""KServe's SDK with its V1 protocol, one worker, gRPC off."""

import os
from pathlib import Path

import joblib
from kserve import Model, ModelServer

FOLDER = Path(os.environ["BENCH_MODEL"])


class Served(Model):
    def load(self):
        self.model = joblib.load(FOLDER / "model.joblib")
        self.ready = True
        return self.ready

    def predict(self, payload, headers=None, response_headers=None):
        rows = payload["instances"]
        if FOLDER.name == "pipeline":
            import pandas as pd

            rows = pd.DataFrame(rows)
        return {"predictions": self.model.predict_proba(rows).tolist()}


if __name__ == "__main__":
    model = Served("bench")
    model.load()
    ModelServer(workers=1, enable_grpc=False, enable_latency_logging=False, access_log_format=None).start([model])
