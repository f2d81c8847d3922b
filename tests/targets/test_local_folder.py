"""No name leads out of the home folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlship.errors import MlshipError
from mlship.home import Home
from mlship.targets.local.folder import ServiceFolder


@pytest.mark.parametrize("name", ["..", "a/b", "", "/etc", "A", "a b", "a\n", "x" * 41, ".hidden"])
def test_what_is_not_a_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(MlshipError, match="is not a name"):
        ServiceFolder.of(Home(tmp_path), name, "")
    if name:
        with pytest.raises(MlshipError, match="is not a name"):
            ServiceFolder.of(Home(tmp_path), "churn", name)


def test_having_no_environment_and_an_environment_are_different_services(tmp_path: Path) -> None:
    home = Home(tmp_path)
    assert ServiceFolder.of(home, "churn", "").path == tmp_path / "local" / "churn" / "default"
    assert ServiceFolder.of(home, "churn", "prod").path == tmp_path / "local" / "churn" / "prod"
    with pytest.raises(MlshipError, match="an environment cannot be called default"):
        ServiceFolder.of(home, "churn", "default")


def test_a_project_cannot_be_where_unpacked_images_are(tmp_path: Path) -> None:
    with pytest.raises(MlshipError, match="a project cannot be called rootfs"):
        ServiceFolder.of(Home(tmp_path), "rootfs", "")


@pytest.mark.parametrize("release", ["..", "r1", "r1-abcdef/..", "", "r1-ABCDEF"])
def test_what_is_not_a_release_id_is_refused(tmp_path: Path, release: str) -> None:
    with pytest.raises(MlshipError, match="is not a release id"):
        ServiceFolder.of(Home(tmp_path), "churn", "").run(release)


def test_releases_are_listed_in_their_order(tmp_path: Path) -> None:
    folder = ServiceFolder.of(Home(tmp_path), "churn", "")
    for release in ("r10-000000", "r2-ffffff", "r1-aaaaaa"):
        folder.run(release).path.mkdir(parents=True)
    assert [run.release for run in folder.kept_runs()] == ["r1-aaaaaa", "r2-ffffff", "r10-000000"]
    assert folder.kept_runs()[0].content_id() == ""
