"""deploy --archive: what is taken in, and from which configuration; what is refused before anything is."""

from __future__ import annotations

import platform
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from mlship.errors import MlshipError
from mlship.flows.archive_deploy import fitting_front, take
from mlship.flows.context import Context, Where
from mlship.flows.opening import project_of
from mlship.home import Home
from mlship.image.front import front_key
from mlship.image.record import SCHEMA, BuildRecord, BuildRecords
from mlship.oci.archive import Contents, write_archive
from mlship.oci.archive_reading import opened_archive
from mlship.oci.image import FRONT_LABEL, Image
from mlship.oci.layer import Entry, write_layer
from mlship.oci.layout import Layout
from mlship.progress import Silent
from mlship.runner import LocalRunner

HERE, ELSEWHERE = ("linux/arm64", "linux/amd64") if platform.machine() == "aarch64" else ("linux/amd64", "linux/arm64")
YAML = "name: churn\ntarget: {target}\nmodel: a.joblib\nenv: {{FROM: {place}}}\n"


@pytest.fixture
def context(tmp_path: Path) -> Context:
    folder = tmp_path / "island"
    folder.mkdir()
    return Context(Home(tmp_path / "home"), LocalRunner(), Silent(), {}, folder, lambda: 5.0, "anna@test pid 1")


def archive(folder: Path, platforms: tuple[str, ...] = (HERE,), target: str = "local", key: str = "", **record: Any) -> Path:
    layout = Layout(folder / "there")

    def image(of: str, **labels: str) -> Image:
        layer = write_layer(layout, [Entry("a", content=of.encode())], role="model", name="a")
        return layout.write_image([layer], {"Labels": labels}, of)

    images = tuple(image(of, **{"mlship.project": "churn"}) for of in platforms)
    fronts = tuple(image(of, **{FRONT_LABEL: key or front_key()}) for of in platforms)
    contents = {image.platform: image.content for image in images}
    records = [
        asdict(replace(BuildRecord("i", one.content, "churn", one.platform, 0.0, "0.1", (), platforms=contents), **record))
        for one in images
    ]
    facts = {"records": records, "configuration": YAML.format(target=target, place="archive"), "git": "3f2a91c"}
    file = folder / "island" / "churn.tar"
    write_archive(layout, Contents("churn", images, fronts, (), facts), file, "9.9", Silent())
    return file


def test_image_record_and_configuration_come_from_the_archive(tmp_path: Path, context: Context) -> None:
    where, taken = take(context, Where(), archive(tmp_path, (ELSEWHERE, HERE)))
    project = project_of(context, where)
    assert taken.configuration is None
    assert (project.env["FROM"], project.root, where.git) == ("archive", context.cwd, "3f2a91c")
    (image,) = Layout(context.home.images).images()
    record = BuildRecords(context.home.images).of_content(taken.content)
    assert image.content == taken.content and image.platform == HERE
    assert record is not None and record.created == 5.0


def test_a_file_of_the_project_beside_it_counts_before_the_archives_own(tmp_path: Path, context: Context) -> None:
    (context.cwd / "mlship.yaml").write_text(YAML.format(target="local", place="site"))
    where, taken = take(context, Where(), archive(tmp_path))
    assert project_of(context, where).env["FROM"] == "site"
    assert taken.configuration == context.cwd / "mlship.yaml"


def test_a_file_of_another_project_counts_only_when_it_is_named(tmp_path: Path, context: Context) -> None:
    other = context.cwd / "mlship.yaml"
    other.write_text("name: fraud\nmodel: a.joblib\n")
    file = archive(tmp_path)
    where, _ = take(context, Where(), file)
    assert project_of(context, where).name == "churn"
    with pytest.raises(MlshipError, match="is the project fraud, not churn"):
        take(context, Where(file=other), file)


def refusal(context: Context, file: Path) -> MlshipError:
    with pytest.raises(MlshipError) as raised:
        take(context, Where(), file)
    assert not context.home.root.exists(), "nothing is taken in"
    return raised.value


def test_an_archive_for_other_machines_is_refused(tmp_path: Path, context: Context) -> None:
    error = refusal(context, archive(tmp_path, (ELSEWHERE,)))
    assert error.what == f"churn.tar is for {ELSEWHERE}, and the target runs {HERE}"
    assert f"platforms: [{HERE}]" in error.fix


@pytest.mark.parametrize(
    ("wrong", "code"),
    [({"schema": SCHEMA + 1}, "newer-archive"), ({"project": "fraud"}, "damaged-archive"), ({"models": 7}, "damaged-archive")],
)
def test_an_archive_whose_record_does_not_fit_is_refused(
    tmp_path: Path, context: Context, wrong: dict[str, Any], code: str
) -> None:
    assert refusal(context, archive(tmp_path, **wrong)).code == code


def test_an_environment_that_its_configuration_lacks_is_refused(tmp_path: Path, context: Context) -> None:
    with pytest.raises(MlshipError, match="prod"):
        take(context, Where(environment="prod"), archive(tmp_path))
    assert not context.home.root.exists()


def test_the_front_of_another_mlship_is_refused_before_it_is_missed(tmp_path: Path, context: Context) -> None:
    said = r"the front in churn.tar is of mlship 9\.9, and this is mlship"
    with opened_archive(archive(tmp_path, key="other")) as opened, pytest.raises(MlshipError, match=said) as raised:
        fitting_front(context, opened, HERE)
    assert raised.value.code == "other-front"
    with opened_archive(archive(tmp_path)) as opened:
        assert fitting_front(context, opened, HERE) is not None
