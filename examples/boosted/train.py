"""Boosted trees with categories and holes: how heavy is a penguin? 344 real birds of the Palmer Archipelago.

Species, island and sex are words, 11 birds have no sex noted, 2 were never measured; the trees take all that as it is. The data
ships in the package palmerpenguins.

    python -m venv .venv && .venv/bin/pip install -r requirements.txt
    .venv/bin/python train.py --version 1

Writes model.ubj (XGBoost's own format, which holds the words of the categories) and data.csv (the birds without their weight).
"""

import argparse

import xgboost
from palmerpenguins import load_penguins
from sklearn.model_selection import train_test_split

WORDS = ["species", "island", "sex"]
MEASURED = ["bill_length_mm", "bill_depth_mm", "flipper_length_mm"]
VERSIONS = {1: {"n_estimators": 60, "max_depth": 3}, 2: {"n_estimators": 120, "max_depth": 4}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--version", type=int, choices=VERSIONS, default=1)
    parser.add_argument("--seed", type=int, default=7)
    arguments = parser.parse_args()

    birds = load_penguins().dropna(subset="body_mass_g")
    inputs = birds[WORDS + MEASURED].astype(dict.fromkeys(WORDS, "category"))
    train, test, train_mass, test_mass = train_test_split(
        inputs, birds["body_mass_g"], test_size=0.25, random_state=arguments.seed
    )
    model = xgboost.XGBRegressor(
        **VERSIONS[arguments.version], learning_rate=0.1, enable_categorical=True, random_state=arguments.seed
    ).fit(train, train_mass)

    model.save_model("model.ubj")
    inputs.to_csv("data.csv", index=False)
    wrong = abs(model.predict(test) - test_mass).mean()
    print(f"version {arguments.version}: {wrong:.0f} g wrong on average of {len(test)} unseen birds -> model.ubj")


if __name__ == "__main__":
    main()
