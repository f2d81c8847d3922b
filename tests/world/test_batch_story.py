"""A file of real flowers through the image, as the server answers them one by one; wrong rows, a kill and another model on the way."""

from __future__ import annotations

import csv
import json
import math
import os
import signal
import subprocess
import time
from dataclasses import replace

import pyarrow
import pytest
from pyarrow import parquet
from story import PRELUDE, Story, posted

pytestmark = pytest.mark.world

TRAIN = """\
import csv, joblib
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

flowers = load_iris()
model = LogisticRegression(max_iter=500, C=VERSION).fit(flowers.data, flowers.target_names[flowers.target])
joblib.dump(model, "model.joblib")
asked(flowers.data[::10], model.predict(flowers.data[::10]), model.predict_proba(flowers.data[::10]))
with open("flowers.csv", "w", newline="") as file:
    writer = csv.writer(file)
    writer.writerow(["id", *NAMES])
    writer.writerows([f"f-{number}", *row] for number, row in enumerate(flowers.data.tolist()))
"""
NAMES = ["sepal_length", "sepal_width", "petal_length", "petal_width"]

HOOKS = """\
import os, time
from mlship.server.hooks import WrongInput

def preprocess(rows):
    for place, row in enumerate(rows):
        if row[0] > 100:
            raise WrongInput("no iris is so long", row=place, feature="sepal_length")
        if row[0] == 66.0:
            os._exit(3)
    if len(rows) > 4:  # so that the warm-up is none
        time.sleep(float(os.environ.get("SLOW_S", "0")))
    return rows
"""

YAML = """\
name: iris
model: {uri: model.joblib, sample: sample.json, engine: original}
serve: {passthrough: [id], outputs: {likely: "probabilities"}}
"""


@pytest.fixture
def iris(story: Story) -> Story:
    story.write("train.py", f"{PRELUDE}NAMES = {NAMES}\n{TRAIN}")
    story.write("mlship.yaml", YAML)
    story.train()
    rows = json.loads((story.folder / "asked.json").read_text())["instances"]
    story.write("sample.json", json.dumps([dict(zip(NAMES, row, strict=True)) for row in rows]))
    return story


def test_a_file_is_answered_as_its_rows_are_one_by_one(iris: Story) -> None:
    table = (iris.folder / "flowers.csv").read_text().splitlines()
    table[4] = table[4].replace("3.1", "narrow")
    table[7] = "f-6,1,2"
    iris.write("flowers.csv", "\n".join(table))
    laboratory, environ = str(iris.python.parents[1]), {k: v for k, v in iris.environ.items() if k != "VIRTUAL_ENV"}
    iris = replace(iris, environ=environ)  # nothing tells the environment but the build's --python
    assert "no training environment was found" in iris.refused("build")
    iris.mlship("build", "--python", laboratory)
    said = iris.mlship("predict", "--data", "flowers.csv", "--out", "answers.csv", "--chunk", "40")
    assert (said["rows"], said["answered"], said["rejected"]) == (150, 148, 2)
    assert said["reason"] == 'row 3, feature "sepal_width": expected a number, got the string "narrow"'
    rejects = [json.loads(line) for line in (iris.folder / "answers.csv.rejects.jsonl").read_text().splitlines()]
    assert [(line["row"], line["feature"]) for line in rejects] == [(3, "sepal_width"), (6, None)]
    with (iris.folder / "answers.csv").open(newline="") as file:
        answers = list(csv.DictReader(file))
    assert [int(answer["row"]) for answer in answers] == [number for number in range(150) if number not in (3, 6)]
    with iris.running() as endpoint:
        for answer in answers[::15]:
            line = table[1 + int(answer["row"])]
            status, alone = posted(endpoint, f"{table[0]}\n{line}\n".encode(), "text/csv")
            assert status == 200
            assert are_close(next(csv.DictReader(alone.splitlines())), {k: v for k, v in answer.items() if k != "row"})
    assert in_other_forms(iris) == [answer["predictions"] for answer in answers]
    few, many = (answered_with_ids(iris, rows) for rows in (1_000, 30_000))
    assert many < few + 40 * 10**6, f"{few} bytes of memory for 2 MB of rows, {many} for 60 MB"


def answered_with_ids(iris: Story, count: int) -> int:
    """The bytes of memory that it takes to answer so many rows, each with an id of 2 kB that goes through."""
    rows = (
        f"{json.dumps(dict(zip(NAMES, (number % 7, 3, 4, 1), strict=True), id=f'{number:02000}'))}\n" for number in range(count)
    )
    with (iris.folder / "wide.jsonl").open("w") as file:
        file.writelines(rows)
    said, peak = iris.measured("predict", "--data", "wide.jsonl", "--out", f"wide-{count}.jsonl")
    assert (said["answered"], said["rejected"]) == (count, 0)
    return peak


def in_other_forms(iris: Story) -> list[str]:
    """The same rows as Parquet, and their answers as Parquet and JSON lines, equal to each other."""
    with (iris.folder / "flowers.csv").open(newline="") as file:
        rows = [row for number, row in enumerate(csv.DictReader(file)) if number not in (3, 6)]
    columns = {"id": [row["id"] for row in rows], **{name: [float(row[name]) for row in rows] for name in NAMES}}
    parquet.write_table(pyarrow.table(columns), iris.folder / "flowers.parquet", row_group_size=60)
    for out in ("answers.parquet", "answers.jsonl"):
        assert iris.mlship("predict", "--data", "flowers.parquet", "--out", out, "--chunk", "50")["rejected"] == 0
    lines = [json.loads(line) for line in (iris.folder / "answers.jsonl").read_text().splitlines()]
    table = parquet.read_table(iris.folder / "answers.parquet").to_pylist()
    assert table == lines
    assert list(lines[0]) == ["row", "predictions", "likely", "id"]
    return [line["predictions"] for line in lines]


def test_a_run_that_is_killed_goes_on_and_takes_no_other_data_or_model(iris: Story) -> None:
    iris.write("hooks.py", HOOKS)
    iris.write("mlship.yaml", f"{YAML}env: {{SLOW_S: '0.25'}}\n".replace("outputs:", "hooks: hooks.py, outputs:"))
    rows = json.loads((iris.folder / "asked.json").read_text())["instances"] * 20
    rows[7], rows[150] = [101.0, 1, 1, 1], [66.0, 1, 1, 1]
    iris.write("sample.json", json.dumps(rows[:5]))
    lines = "".join(f"{json.dumps(row)}\n" for row in rows)
    iris.write("rows.jsonl", lines)
    built = iris.mlship("build")["image"]["content"]
    words = ("predict", "--image", built, "--data", "rows.jsonl", "--out", "answers.jsonl", "--chunk", "10", "--processes", "2")
    killed(iris, words)
    assert not (iris.folder / "answers.jsonl").exists()

    iris.write("rows.jsonl", lines.replace("5.1", "5.2"))
    assert "an unfinished run for these answers was about other data" in (said := iris.refused(*words))
    assert "answers.jsonl.unfinished to begin anew" in said
    iris.write("rows.jsonl", lines)
    iris.train(2)
    newer = iris.mlship("build")["image"]["content"]
    assert f"--image {built[7:19]} to go on with it" in iris.refused("predict", "--image", newer, *words[3:])

    said = iris.mlship(*words)
    assert (said["rows"], said["answered"], said["rejected"]) == (300, 298, 2)
    assert 0 < said["resumed"] < 300
    answers = [json.loads(line)["row"] for line in (iris.folder / "answers.jsonl").read_text().splitlines()]
    assert answers == [number for number in range(300) if number not in (7, 150)]
    rejects = {line["row"]: line["reason"] for line in map(json.loads, (iris.folder / "answers.jsonl.rejects.jsonl").open())}
    assert rejects == {7: "row 7: no iris is so long", 150: "row 150: the model's process ended with exit 3"}
    assert not list(iris.folder.glob("*.unfinished"))


def killed(story: Story, words: tuple[str, ...]) -> None:
    """Runs the command until something of it is kept, and ends it as no program can notice."""
    state = story.folder / "answers.jsonl.unfinished" / "state.json"
    command = subprocess.Popen([*story.command, *words, "--quiet"], cwd=story.folder, env=dict(story.environ))
    for _ in range(600):
        assert command.poll() is None
        if state.exists() and json.loads(state.read_text())["reached"]["rows"]:
            break
        time.sleep(0.05)
    os.kill(command.pid, signal.SIGKILL)
    assert command.wait() == -signal.SIGKILL


def test_what_the_model_does_not_take_at_all_is_refused_before_a_row_is_read(iris: Story) -> None:
    table = (iris.folder / "flowers.csv").read_text()
    iris.write("flowers.csv", table.replace("sepal_width", "sepal_widht"))
    said = iris.refused("predict", "--data", "flowers.csv", "--out", "answers.csv")
    assert 'the CSV has a column "sepal_widht" that the model does not know; did you mean "sepal_width"?' in said
    assert not list(iris.folder.glob("answers*"))
    iris.write("all.jsonl", "1\n2\n")
    said = iris.refused("predict", "--data", "all.jsonl", "--out", "answers.csv")
    assert "no row was answered: all 2 were rejected" in said
    assert len((iris.folder / "answers.csv.rejects.jsonl").read_text().splitlines()) == 2


def are_close(one: dict[str, str], other: dict[str, str]) -> bool:
    """Cells of CSV; numbers may differ in their last digits with the size of the batch."""
    pairs = [(value(one[name]), value(other[name])) for name in one]
    return one.keys() == other.keys() and all(
        math.isclose(a, b, rel_tol=1e-9) if isinstance(a, float) and isinstance(b, float) else a == b for a, b in pairs
    )


def value(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text
