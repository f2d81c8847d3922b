from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from test_views import BUILT

from mlship.cli import payloads
from mlship.cli.views.build import build_text
from mlship.flows.results import ArchiveReport


def test_a_build_into_a_file_says_where_it_is_and_what_to_do_with_it() -> None:
    written = replace(BUILT, archive=ArchiveReport(Path("/srv/churn.tar"), 97_500_000))
    line = "Wrote /srv/churn.tar, 98 MB: mlship deploy --archive churn.tar, on a machine without a network"
    assert line in build_text(written, "mlship deploy").splitlines()
    assert line in build_text(replace(written, unchanged=True), "mlship deploy").splitlines()
    assert payloads.built(written)["archive"] == {"path": "/srv/churn.tar", "size": 97_500_000}
    assert payloads.built(BUILT)["archive"] is None
