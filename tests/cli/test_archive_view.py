from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from test_views import BUILT

from mlship.cli import payloads
from mlship.cli.views.build import build_text
from mlship.cli.views.deploy import taken_text
from mlship.flows.results import ArchiveReport, TakenIn


def test_a_build_into_a_file_says_where_it_is_and_what_to_do_with_it() -> None:
    written = replace(BUILT, archive=ArchiveReport(Path("/srv/churn.tar"), 97_500_000))
    line = "Wrote /srv/churn.tar, 98 MB: mlship deploy --archive churn.tar, on a machine without a network"
    assert line in build_text(written, "mlship deploy").splitlines()
    assert line in build_text(replace(written, unchanged=True), "mlship deploy").splitlines()
    assert payloads.built(written)["archive"] == {"path": "/srv/churn.tar", "size": 97_500_000}
    assert payloads.built(BUILT)["archive"] is None


def test_what_is_taken_in_says_whose_configuration_counts() -> None:
    own = TakenIn(Path("/srv/churn.tar"), "sha256:c41e07a1b2c3d4", None)
    sites = replace(own, configuration=Path("/srv/mlship.yaml"))
    assert taken_text(own) == "Taken in  /srv/churn.tar, content c41e07a1b2c3, with the mlship.yaml in it"
    assert taken_text(sites).endswith(", with /srv/mlship.yaml")
    assert payloads.taken_in(own)["archive"]["configuration"] is None
    assert payloads.taken_in(sites)["archive"]["configuration"] == "/srv/mlship.yaml"
    assert payloads.taken_in(None) == {}
