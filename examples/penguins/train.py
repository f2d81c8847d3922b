"""The commonest real model: a pandas pipeline with text columns, missing values and a transformer of our own.

Which species is a penguin? 344 real birds of the Palmer Archipelago; 11 have no sex noted, 2 were never measured. The data
ships in the package palmerpenguins.

    python -m venv .venv && .venv/bin/pip install -r requirements.txt
    .venv/bin/python train.py --version 1

Writes model.joblib and data.csv (the birds without their species).
"""

import argparse

import joblib
from palmerpenguins import load_penguins
from penguins.features import BillShape
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

MEASURED = ["bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g"]
NOTED = ["island", "sex"]

VERSIONS = {
    1: lambda seed: LogisticRegression(C=0.1, max_iter=1000, random_state=seed),
    2: lambda seed: RandomForestClassifier(n_estimators=40, random_state=seed),
}


def pipeline(classifier: object) -> Pipeline:
    """The columns that a pandas user selects by name; missing values are filled inside."""
    columns = ColumnTransformer(
        [
            ("measured", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), [*MEASURED, "bill_ratio"]),
            ("noted", make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder()), NOTED),
        ]
    )
    return Pipeline([("shape", BillShape()), ("columns", columns), ("classifier", classifier)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--version", type=int, choices=VERSIONS, default=1)
    parser.add_argument("--seed", type=int, default=7)
    arguments = parser.parse_args()

    birds = load_penguins()
    train, test, train_species, test_species = train_test_split(
        birds[NOTED + MEASURED], birds["species"], test_size=0.3, stratify=birds["species"], random_state=arguments.seed
    )
    model = pipeline(VERSIONS[arguments.version](arguments.seed)).fit(train, train_species)

    joblib.dump(model, "model.joblib", compress=3)
    birds[NOTED + MEASURED].to_csv("data.csv", index=False)
    print(
        f"version {arguments.version}: {model.score(test, test_species):.3f} of {len(test)} unseen birds right -> model.joblib"
    )


if __name__ == "__main__":
    main()
