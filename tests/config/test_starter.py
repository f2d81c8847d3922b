"""What `init` writes is short, and is read back as what was meant."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlship.config.load import load_project
from mlship.config.names import check_environment_name, check_project_name
from mlship.config.project import Project
from mlship.config.starter import project_name, starter_text
from mlship.errors import MlshipError


def loaded(folder: Path, text: str) -> Project:
    file = folder / "mlship.yaml"
    file.write_text(text, encoding="utf-8")
    return load_project(file)


def test_two_lines_are_enough() -> None:
    assert starter_text("churn", "models/churn.joblib") == "name: churn\nmodel: models/churn.joblib\n"


def test_everything_that_init_found_is_written() -> None:
    text = starter_text(
        "churn",
        "models/churn.joblib",
        code=["churn/"],
        trust=["churn.features.Rare", "churn.features.Other"],
        sample="sample.json",
        framework="python",
        loader="churn.model:Churn",
        target="docker",
    )
    assert text == (
        "name: churn\n"
        "target: docker\n"
        "model:\n"
        "  uri: models/churn.joblib\n"
        "  framework: python\n"
        "  loader: churn.model:Churn\n"
        "  code: [churn/]\n"
        "  trust: [churn.features.Rare, churn.features.Other]\n"
        "  sample: sample.json\n"
    )


HOSTILE = [
    "a: b.joblib",
    "a #b.joblib",
    "- a",
    "[a, b]",
    "{a: b}",
    "*alias",
    "&anchor",
    "!tag",
    "%directive",
    "@at",
    "`tick`",
    "'quoted'",
    '"quoted"',
    "back\\slash",
    "null",
    "~",
    "~/x",
    "yes",
    "No",
    "true",
    "1e3",
    "0x1F",
    "3.10",
    "2026-01-01",
    "12:30:45",
    ".inf",
    "<<",
    "...",
    "---",
    " leading and trailing ",
    "größe/模型.joblib",
    "😀.joblib",
    "s3:/x",
    "a,b",
    "$(id) ${HOME} {{ x }}",
    "a:b",
    "a:",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_file_names_are_read_back_as_they_are(text: str, tmp_path: Path) -> None:
    project = loaded(tmp_path, starter_text("churn", text, code=[text], sample=text))
    (_, model), meant = project.models[0], f"./{text}" if text in ("~", "~/x", "s3:/x") else text
    assert (model.uri, model.code, model.sample) == (meant, (meant,), meant)
    assert loaded(tmp_path, starter_text("churn", text)).models[0][1].uri == meant


def test_a_file_name_with_control_characters_is_refused_with_what_to_do() -> None:
    with pytest.raises(MlshipError, match=r"a<U\+000A>b has the character U\+000A, which mlship.yaml cannot hold; rename"):
        starter_text("churn", "a\nb")


@pytest.mark.parametrize("name", ["", "Churn", "a b", "../x", "a\n", "x" * 41, "-a", "a-", "\x1b[2J"])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(MlshipError, match="is not a name: lower case letters, digits and dashes, at most 40") as raised:
        starter_text(name, "a.joblib")
    assert str(raised.value).isprintable()


@pytest.mark.parametrize("name", ["", "Prod", "a/b", "x" * 21])
def test_an_environment_that_cannot_be_one_is_refused(name: str) -> None:
    with pytest.raises(MlshipError, match="is not an environment's name: lower case letters, digits and dashes, at most 20"):
        check_environment_name(name)


def test_good_names_pass() -> None:
    assert check_environment_name("prod-eu") == "prod-eu"
    assert check_project_name("churn-2") == "churn-2"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("churn.joblib", "churn"),
        ("Churn_v2.pkl.gz", "churn-v2"),
        ("my.model", "my-model"),
        ("Größe & Preis", "groe-preis"),
        ("2026-model", "model-2026-model"),
        ("模型", "model"),
        ("", "model"),
        ("---", "model"),
        ("x" * 100, "x" * 40),
        ("a" * 39 + "-b", "a" * 39),
        ("../../etc/passwd", "etc-passwd"),
    ],
)
def test_a_name_is_made_of_any_file_name(text: str, name: str) -> None:
    assert project_name(text) == name


@given(st.text(max_size=60))
def test_every_made_name_is_one(text: str) -> None:
    check_project_name(project_name(text))
