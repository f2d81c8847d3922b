"""mlship.yaml in, Project or findings out: tests/cases/config/{good,bad}."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from mlship.config.load import find_file, load_project
from mlship.config.shapes import Amounts
from mlship.errors import Exit, FindingsError, MlshipError

CASES = Path(__file__).parent.parent / "cases" / "config"
SECTIONS = ("serve", "build", "resources", "scale", "rollout", "targets")
GOOD = sorted((CASES / "good").glob("*.yaml"))
BAD = sorted((CASES / "bad").glob("*.yaml"))


def asked_environment(file: Path) -> str:
    """The first line may be `# --env NAME`."""
    first = file.read_text().split("\n", 1)[0]
    return first.removeprefix("# --env ") if first.startswith("# --env ") else ""


def flat(value: Any, key: str = "") -> dict[str, Any]:
    """Dotted keys; units as they print, lists as lists."""
    if isinstance(value, msgspec.Struct):
        value = msgspec.structs.asdict(value)
    if isinstance(value, dict) and (value or not key):
        return {name: leaf for part, entry in value.items() for name, leaf in flat(entry, f"{key}.{part}".strip(".")).items()}
    if isinstance(value, tuple):
        return {key: list(value)}
    return {key: str(value) if isinstance(value, Amounts) else value}


@pytest.mark.parametrize("file", GOOD, ids=lambda file: file.stem)
def test_a_good_file_means_what_it_says(file: Path) -> None:
    project = load_project(file, asked_environment(file))
    said = {name: getattr(project, name) for name in (*SECTIONS, "name", "environment", "target", "labels", "env", "secrets")}
    said["models"] = dict(project.models)
    expected = json.loads(file.with_suffix(".json").read_text())
    found = flat(said)
    assert {name: found.get(name) for name in expected} == expected


@pytest.mark.parametrize("file", BAD, ids=lambda file: file.stem)
def test_a_bad_file_is_told_everything_that_is_wrong_with_it(file: Path) -> None:
    with pytest.raises(FindingsError) as raised:
        load_project(file, asked_environment(file))
    assert str(raised.value) == file.with_suffix(".txt").read_text().rstrip("\n")
    assert raised.value.exit == Exit.USAGE
    assert all(finding.code and finding.where for finding in raised.value.findings)


def written(folder: Path, text: str) -> Path:
    file = folder / "mlship.yaml"
    file.write_text(text)
    return file


TWO_LINES = "name: churn\nmodel: model.joblib\n"


def test_the_command_lines_target_wins_over_the_file(tmp_path: Path) -> None:
    assert load_project(written(tmp_path, TWO_LINES), target="docker").target == "docker"


def test_an_unknown_target_on_the_command_line_names_the_near_one(tmp_path: Path) -> None:
    with pytest.raises(MlshipError, match="there is no target dokcer; did you mean docker") as raised:
        load_project(written(tmp_path, TWO_LINES), target="dokcer")
    assert raised.value.where == "--target"


@pytest.mark.parametrize(("service", "target"), [("lambda", "aws"), ("cloud-run", "gcp"), ("container-apps", "azure")])
def test_a_service_on_the_command_line_names_its_target(tmp_path: Path, service: str, target: str) -> None:
    with pytest.raises(MlshipError) as raised:
        load_project(written(tmp_path, TWO_LINES), target=service)
    assert str(raised.value) == (
        f"--target  {service} is a service of the target {target}; "
        f"--target {target}, and targets.{target}.service: {service} in mlship.yaml"
    )


def test_an_unknown_target_with_nothing_near_lists_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(MlshipError, match="known: local, docker, aws"):
        load_project(written(tmp_path, TWO_LINES), target="\x1b[2Jmoon")


def test_a_project_points_to_its_keys_where_they_stand(tmp_path: Path) -> None:
    text = TWO_LINES + "serve:\n  workers: 2\nenvironments:\n  prod:\n    serve: {workers: 3}\n"
    file = written(tmp_path, text)
    base, prod = load_project(file), load_project(file, "prod")
    assert base.at("serve.workers") == "mlship.yaml:4:3 serve.workers"
    assert prod.at("serve.workers") == "mlship.yaml:7:13 serve.workers"
    assert base.at("serve.max_body") == "mlship.yaml:3:1 serve.max_body"
    assert base.root == tmp_path


def test_a_byte_order_mark_and_windows_line_ends_are_read(tmp_path: Path) -> None:
    file = tmp_path / "mlship.yaml"
    file.write_bytes(b"\xef\xbb\xbfname: churn\r\nmodel: model.joblib\r\n")
    assert load_project(file).models[0][1].uri == "model.joblib"


def test_code_behind_a_link_that_leaves_the_project_is_refused(tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (tmp_path / "secrets").mkdir()
    (project / "churn").symlink_to(tmp_path / "secrets")
    with pytest.raises(FindingsError, match="churn/ leads out of the project's folder"):
        load_project(written(project, "name: churn\nmodel: {uri: a, code: [churn/]}\n"))


def test_code_in_a_project_that_is_itself_behind_a_link_is_taken(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    file = written(tmp_path / "link", "name: churn\nmodel: {uri: a, code: [churn/]}\n")
    assert load_project(file).models[0][1].code == ("churn/",)


def test_credentials_in_a_url_are_not_repeated(tmp_path: Path) -> None:
    text = (
        "name: churn\nmodel: {uri: a, sample: 'https://anna:geheim@host/s.json'}\nbuild: {mirror: 'ftp://anna:ge@heim@host'}\n"
    )
    with pytest.raises(FindingsError) as raised:
        load_project(written(tmp_path, text))
    assert "https://***@host/s.json is a URL" in str(raised.value)
    assert "heim" not in str(raised.value)


def test_more_findings_than_anyone_reads_are_cut_off(tmp_path: Path) -> None:
    with pytest.raises(FindingsError, match=r"mlship\.yaml has at least 50 problems; these are some") as raised:
        load_project(written(tmp_path, "name: churn\nmodel: a\n" + "".join(f"k{number}: 1\n" for number in range(61))))
    assert len(raised.value.findings) == 50


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda file: None, "the file does not exist; mlship init --model FILE writes one"),
        (lambda file: file.mkdir(), "this is a folder, not a file; name the mlship.yaml in it"),
        (lambda file: os.mkfifo(file), "this is not a regular file; name a file on disk"),
        (lambda file: file.symlink_to("/dev/zero"), "this is not a regular file; name a file on disk"),
        (lambda file: file.symlink_to(file), "the file cannot be read: Too many levels of symbolic links; check the path"),
        (lambda file: file.symlink_to("mlship.yaml/x"), "the file cannot be read: "),
    ],
    ids=["missing", "folder", "fifo", "device", "loop", "below a file"],
)
def test_what_is_not_a_file_is_named(tmp_path: Path, make: Any, told: str) -> None:
    file = tmp_path / "mlship.yaml"
    make(file)
    with pytest.raises(MlshipError) as raised:
        load_project(file)
    assert told in str(raised.value)
    assert str(tmp_path) in raised.value.where


def test_a_name_that_is_no_file_name_is_refused() -> None:
    with pytest.raises(MlshipError, match="not a file name"):
        load_project(Path("a\0b"))


def test_the_file_of_the_nearest_parent_is_found(tmp_path: Path) -> None:
    file = written(tmp_path, TWO_LINES)
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    assert find_file(deep) == file
    nearer = written(tmp_path / "a", TWO_LINES)
    assert find_file(deep) == nearer


def test_no_file_anywhere_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(MlshipError, match=r"there is no mlship\.yaml in this folder or above it; mlship init --model FILE"):
        find_file(tmp_path)


def test_the_other_ending_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "mlship.yml").write_text(TWO_LINES)
    with pytest.raises(MlshipError, match=r"mv mlship\.yml mlship\.yaml"):
        find_file(tmp_path)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give files away")
def test_a_file_of_another_user_in_a_parent_folder_is_not_taken(tmp_path: Path) -> None:
    file = written(tmp_path, TWO_LINES)
    os.chown(file, 12345, -1)
    below = tmp_path / "mine"
    below.mkdir()
    with pytest.raises(MlshipError, match=r"belongs to another user \(uid 12345\); if you trust it: -f "):
        find_file(below)
    assert find_file(tmp_path) == file
    os.chown(below, 12345, -1)
    assert find_file(below) == file
