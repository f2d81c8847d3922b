"""One model of plain arrays in every kind of file that people save."""

from __future__ import annotations

import pytest
from story import PRELUDE, Story

pytestmark = pytest.mark.world

TRAIN = """\
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

rows, labels = load_iris(return_X_y=True)
model = LogisticRegression(C=1 / VERSION, max_iter=1000).fit(rows, labels - 2)
{save}
part = rows[::30]
asked(part, model.predict(part), model.predict_proba(part))
"""

SAVED = {
    "model.pkl": 'import pickle\nwith open("model.pkl", "wb") as file:\n    pickle.dump(model, file, protocol=5)',
    "model.joblib.gz": 'import joblib\njoblib.dump(model, "model.joblib.gz", compress=("gzip", 3))',
    "model.skops": 'import skops.io\nskops.io.dump(model, "model.skops")',
}


@pytest.mark.parametrize("file", SAVED)
def test_the_file_is_served_from_its_image(story: Story, file: str) -> None:
    story.write("train.py", PRELUDE + TRAIN.format(save=SAVED[file]))
    truth = story.train()
    story.mlship("init", "--model", file, "--target", "local")
    story.mlship("build")
    with story.running() as endpoint:
        story.ask_all(endpoint, truth, ("lists", "objects", "csv"))
