"""CatBoost with words and holes: which species is a penguin? 344 real birds; the data ships in the package palmerpenguins.

    python -m venv .venv && .venv/bin/pip install -r requirements.txt
    .venv/bin/python train.py

Writes species.cbm, which holds the labels of the species, and data.csv (the birds without their species).
"""

from catboost import CatBoostClassifier
from palmerpenguins import load_penguins
from sklearn.model_selection import train_test_split

NOTED = ["island", "sex"]
MEASURED = ["bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g"]

birds = load_penguins().fillna(dict.fromkeys(NOTED, "unknown"))  # CatBoost takes holes in numbers, none in categories
inputs = birds[NOTED + MEASURED]
train, test, train_species, test_species = train_test_split(
    inputs, birds["species"], test_size=0.25, stratify=birds["species"], random_state=7
)
model = CatBoostClassifier(
    iterations=60, depth=4, learning_rate=0.2, random_seed=7, thread_count=1, verbose=0, allow_writing_files=False
).fit(train, train_species, cat_features=NOTED)

model.save_model("species.cbm")
inputs.to_csv("data.csv", index=False)
print(f"species.cbm: {model.score(test, test_species):.3f} of {len(test)} unseen birds right")
