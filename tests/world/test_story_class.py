"""A class of one's own, with its weights in a folder: with and without saying what it takes."""

from __future__ import annotations

import pytest
from story import PRELUDE, Story, posted

pytestmark = pytest.mark.world

TRAIN = """\
from pathlib import Path

Path("weights/deep").mkdir(parents=True, exist_ok=True)
Path("weights/scale.json").write_text(json.dumps(VERSION))
Path("weights/deep/shift.txt").write_text("1")
rows = [[1.0, 2], [3.5, -4]]
asked(rows, [row[0] * VERSION + row[1] + 1 for row in rows])
"""

NET = """\
import json


class Line:
    {inputs}

    def load(self, path):
        self.scale = json.loads((path / "scale.json").read_text())
        self.shift = int((path / "deep" / "shift.txt").read_text())

    def predict(self, rows):
        return [self._one(*(row.values() if isinstance(row, dict) else row)) for row in rows]

    def _one(self, x, y):
        return x * self.scale + y + self.shift
"""

YAML = """\
name: line
model:
  uri: weights
  framework: python
  loader: net:Line
  code: [net.py]
"""


@pytest.mark.parametrize("inputs", ['inputs = {"x": "float64", "y": "int64"}', "container = 'list'"])
def test_a_folder_of_files_behind_a_class_is_served(story: Story, inputs: str) -> None:
    story.write("net.py", NET.format(inputs=inputs))
    story.write("train.py", PRELUDE + TRAIN)
    story.write("mlship.yaml", YAML)
    truth = story.train()
    story.mlship("check")
    story.mlship("build")
    with story.running() as endpoint:
        story.ask_all(endpoint, truth)
        status, answer = posted(endpoint, b'{"instances": [["one", 2]]}')
        assert status == 422 and "Traceback" not in str(answer)
