"""An engine that is slow or drops calls is worked with."""

from __future__ import annotations

from pathlib import Path

import pytest
from engine_proxy import ENGINE, engine_proxy
from onprem import Service, Wish, no_loss

pytestmark = [pytest.mark.world, pytest.mark.engine]


def test_a_deploy_succeeds_over_an_engine_api_that_is_slowed_by_a_quarter_second_a_message(
    onprem: Service, tmp_path: Path
) -> None:
    onprem.deploy(1, replicas=2)
    with engine_proxy(tmp_path / "e.sock", engine=ENGINE, delay_s=0.25) as host, onprem.under_load(rate=100.0) as client:
        onprem.command(Wish(2, replicas=2), environ={"DOCKER_HOST": host}).succeeds()
        client.reach(client.report().requests + 150)
        report = client.end()
    no_loss(report, releases=2)
    onprem.exactly(onprem.history.live, 2)


def test_a_deploy_and_a_rollback_succeed_where_every_fifth_connection_to_the_engine_is_cut(
    onprem: Service, tmp_path: Path
) -> None:
    first = onprem.deploy(1).history.live
    with engine_proxy(tmp_path / "e.sock", engine=ENGINE, cut_every=5) as host, onprem.under_load() as client:
        onprem.command(Wish(2), environ={"DOCKER_HOST": host}).succeeds()
        client.reach(client.report().requests + 150)
        done = onprem.mlship("rollback", "--yes", environ={"DOCKER_HOST": host})
        assert done.returncode == 0, done.stderr
        client.reach(client.report().requests + 150)
        report = client.end()
    no_loss(report, releases=2)
    onprem.exactly(first)
