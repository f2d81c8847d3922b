"""A numeric model: is a breast tumour malignant or benign? 569 real cases, 30 measurements; the data ships in scikit-learn.

    python -m venv .venv && .venv/bin/pip install -r requirements.txt
    .venv/bin/python train.py --version 1

Writes model.joblib and data.csv (the measurements without the answer).
"""

import argparse

import joblib
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

VERSIONS = {
    1: lambda seed: make_pipeline(StandardScaler(), LogisticRegression(C=0.5, max_iter=1000, random_state=seed)),
    2: lambda seed: make_pipeline(StandardScaler(), RandomForestClassifier(n_estimators=60, random_state=seed)),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--version", type=int, choices=VERSIONS, default=1)
    parser.add_argument("--seed", type=int, default=7)
    arguments = parser.parse_args()

    measurements, kind = load_breast_cancer(return_X_y=True, as_frame=True)
    train, test, train_kind, test_kind = train_test_split(
        measurements, kind, test_size=0.25, stratify=kind, random_state=arguments.seed
    )
    model = VERSIONS[arguments.version](arguments.seed).fit(train, train_kind)

    joblib.dump(model, "model.joblib", compress=3)
    test.to_csv("data.csv", index=False)
    print(f"version {arguments.version}: {model.score(test, test_kind):.3f} of {len(test)} unseen cases right -> model.joblib")


if __name__ == "__main__":
    main()
