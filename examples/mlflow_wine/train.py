"""A model that MLflow saved: which of three cultivars is a wine of? 178 real wines, 13 measurements; the data ships in scikit-learn.

    python -m venv .venv && .venv/bin/pip install -r requirements.txt
    .venv/bin/python train.py

Writes the folder wine, as `mlflow.sklearn.log_model` does in a run: model, signature, input example, requirements.
"""

import shutil

import mlflow
from mlflow.models import infer_signature
from sklearn.datasets import load_wine
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

FOLDER = "wine"


def main() -> None:
    measurements, cultivar = load_wine(return_X_y=True, as_frame=True)
    train, test, train_cultivar, test_cultivar = train_test_split(
        measurements, cultivar, test_size=0.25, stratify=cultivar, random_state=7
    )
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(train, train_cultivar)

    shutil.rmtree(FOLDER, ignore_errors=True)
    mlflow.sklearn.save_model(
        model, FOLDER, input_example=test.head(20), signature=infer_signature(train, model.predict(train))
    )
    print(f"{model.score(test, test_cultivar):.3f} of {len(test)} unseen wines right -> {FOLDER}/")


if __name__ == "__main__":
    main()
