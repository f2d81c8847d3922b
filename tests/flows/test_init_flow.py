"""init for a class of one's own, with this test's own environment as the one that it was trained in."""

from __future__ import annotations

import importlib
import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from mlship.config.load import load_project
from mlship.errors import FindingsError, MlshipError
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


def test_a_cloud_and_its_region_are_written_and_a_missing_one_is_said(context: Context, trained: Path) -> None:
    made = init.init(context, trained, target="aws")
    assert [finding.code for finding in made.findings] == ["no-environment", "no-region"]
    assert made.findings[1].what == "nothing says in which region of aws it is to run"
    made = init.init(context, trained, target="aws", region="eu-west-1", force=True)
    assert [finding.code for finding in made.findings] == ["no-environment"]
    assert load_project(context.cwd / "mlship.yaml").targets.aws.region == "eu-west-1"


@pytest.mark.parametrize(
    ("target", "region", "said"),
    [
        ("awss", "", "--target  there is no target awss; did you mean aws?"),
        (
            "lambda",
            "",
            "--target  lambda is a service of the target aws; --target aws, and targets.aws.service: lambda in mlship.yaml",
        ),
        ("docker", "eu-west-1", "--region  the target docker has no region; say one that has: --target aws, gcp, azure"),
        ("", "eu-west-1", "--region  no target is said; say one that has: --target aws, gcp, azure"),
        ("aws", "Frankfurt", "--region  Frankfurt is not a region of AWS, such as eu-west-1"),
    ],
)
def test_no_target_and_no_region_that_there_is_not_is_written(context: Context, target: str, region: str, said: str) -> None:
    with pytest.raises(MlshipError) as raised:
        init.init(context, context.cwd / "least.txt", loader="longest:Longest", target=target, region=region)
    assert str(raised.value) == said and not (context.cwd / "mlship.yaml").exists()


OWN_STEP = """from sklearn.base import BaseEstimator, TransformerMixin


class Double(TransformerMixin, BaseEstimator):
    def fit(self, frame, target=None):
        return self

    def transform(self, frame):
        return frame.assign(twice=frame["width"] * 2)
"""


@pytest.mark.world  # seconds of work
def test_the_target_is_left_out_where_the_model_does_not_know_its_columns(context: Context, trained: Path) -> None:
    (context.cwd / "rows.csv").write_text("width,kind,bought\n1.5,a,yes\n2.5,b,no\n3.5,a,no\n")
    made = init.init(context, trained, data=context.cwd / "rows.csv", python=sys.executable)
    assert json.loads((context.cwd / "sample.json").read_text())["instances"][0] == {"width": 1.5, "kind": "a"}
    assert made.model.inputs == "2 features (1 text)"
    assert [finding.what for finding in made.findings if finding.code == "needless"] == [
        "left out of the sample: bought; the model gives the same answers without"
    ]


def test_a_model_is_described_where_no_environment_is_found(context: Context, trained: Path) -> None:
    made = init.init(context, trained)
    assert made.model.framework == "sklearn" and made.model.size == trained.stat().st_size
    assert [finding.code for finding in made.findings] == ["no-environment"]


def test_the_only_model_of_a_folder_need_not_be_named(context: Context, trained: Path) -> None:
    made = init.init(context)
    assert made.model.framework == "sklearn"
    assert load_project(context.cwd / "mlship.yaml").models[0][1].uri == trained.name
    with pytest.raises(MlshipError, match=r"^which model\?; mlship init --model model.joblib$"):
        init.init(context, loader="longest:Longest", force=True)  # may load any file


def test_a_class_of_a_package_can_be_trusted_from_the_first_command(context: Context, trained: Path) -> None:
    (context.cwd / "double.py").rename(context.cwd.parent / "double.py")
    with pytest.raises(FindingsError) as caught:
        init.init(context, trained, python=sys.executable)
    assert "mlship init --trust NAME, once for each" in caught.value.findings[0].fix
    with pytest.raises(MlshipError, match=r"a b is not .*"):
        init.init(context, trained, trust=("a b",), python=sys.executable)


@pytest.fixture
def trained(context: Context, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A pipeline whose first step is a class of the project that keeps no column names."""
    import joblib
    import pandas as pd
    from sklearn.compose import make_column_transformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    (context.cwd / "double.py").write_text(OWN_STEP)
    monkeypatch.syspath_prepend(context.cwd)
    sys.modules.pop("double", None)
    double = importlib.import_module("double")
    frame = pd.DataFrame({"width": [1.0, 2.0, 3.0], "kind": ["a", "b", "a"]})
    columns = make_column_transformer(("passthrough", ["twice"]), (OneHotEncoder(), ["kind"]))
    model = make_pipeline(double.Double(), columns, LogisticRegression()).fit(frame, [1, 0, 0])
    joblib.dump(model, context.cwd / "clicks.joblib")
    return context.cwd / "clicks.joblib"


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
