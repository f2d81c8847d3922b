"""python mlflow_model.py FOLDER: the model in MLflow's own form beside model.joblib."""

import sys
from pathlib import Path

import joblib
import mlflow.sklearn

folder = Path(sys.argv[1])
mlflow.sklearn.save_model(
    joblib.load(folder / "model.joblib"),
    str(folder / "mlflow"),
    pyfunc_predict_fn="predict_proba",
    serialization_format="cloudpickle",
)
