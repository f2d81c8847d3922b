"""init for a class of one's own, with this test's own environment as the one that it was trained in."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from mlship.config.load import load_project
from mlship.errors import MlshipError
from mlship.flows import init
from mlship.flows.context import Context
from mlship.home import Home
from mlship.progress import Silent
from mlship.runner import LocalRunner

MODEL = """class Longest:
    inputs = {"words": "string"}

    def load(self, path):
        self.least = int(path.read_text())

    def predict(self, rows):
        return [max(len(word) for word in row["words"].split()) >= self.least for row in rows]
"""


@pytest.fixture
def context(tmp_path: Path) -> Context:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "longest.py").write_text(MODEL)
    (folder / "least.txt").write_text("4")
    (folder / "rows.csv").write_text("words\none two\nthree four\n")
    return Context(
        home=Home(tmp_path / "home"),
        runner=LocalRunner(),
        progress=Silent(),
        environ={"DOCKER_HOST": f"unix://{tmp_path}/no-engine"},
        cwd=folder,
        clock=lambda: 1_760_000_000.0,
        who="anna@test pid 1",
    )


def test_a_class_of_ones_own_gets_loader_code_and_sample(context: Context) -> None:
    folder = context.cwd
    made = init.init(context, folder / "least.txt", loader="longest:Longest", data=folder / "rows.csv", python=sys.executable)
    assert made.model.title == "Longest"
    assert made.model.inputs == "1 feature (1 text)"
    assert (folder / "mlship.yaml").read_text() == (
        "name: least\n"
        "model:\n"
        "  uri: least.txt\n"
        "  framework: python\n"
        "  loader: longest:Longest\n"
        "  code: [longest.py]\n"
        "  sample: sample.json\n"
    )
    assert (folder / "sample.json").read_text() == '{"instances": [\n  {"words": "one two"},\n  {"words": "three four"}\n]}\n'
    assert load_project(folder / "mlship.yaml").models[0][1].loader == "longest:Longest"


def test_a_class_that_is_not_in_its_module_leaves_no_file(context: Context) -> None:
    with pytest.raises(MlshipError, match="the module longest has no class Longer"):
        init.init(context, context.cwd / "least.txt", loader="longest:Longer", python=sys.executable)
    assert not (context.cwd / "mlship.yaml").exists()


def test_a_class_without_an_environment_is_refused(context: Context) -> None:
    with pytest.raises(MlshipError, match="no training environment was found"):
        init.init(context, context.cwd / "least.txt", loader="longest:Longest")


def test_rows_of_data_need_the_interpreter_that_trained_the_model(context: Context) -> None:
    folder = context.cwd
    (folder / "requirements.txt").write_text("numpy\n")
    environ = {**context.environ, "PATH": str(Path(sys.executable).parent)}
    with pytest.raises(MlshipError, match=r"requirements.txt names packages, not an interpreter.*--python python3"):
        init.init(replace(context, environ=environ), folder / "least.txt", loader="longest:Longest", data=folder / "rows.csv")
