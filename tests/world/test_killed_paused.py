"""A command that was stopped for longer than its lease, while another one came and went, changes nothing any more."""

from __future__ import annotations

import signal
import time

import pytest
from shop import Caller, Shop

pytestmark = pytest.mark.world
SLOW_S = 3


def test_a_paused_deploy_neither_commits_nor_shifts_late(shop: Shop) -> None:
    shop.run("deploy", "--yes")
    lease = shop.home / "local" / shop.name / "default" / "lease.json"
    with Caller(shop.status()["endpoint"]):
        shop.configure({"ON_LOAD": f"time.sleep({SLOW_S})"})  # time to be stopped in
        shop.run("build")
        paused = shop.start("deploy", "--yes")
        while not lease.exists():
            assert paused.poll() is None
            time.sleep(0.01)
        time.sleep(SLOW_S / 2)
        paused.send_signal(signal.SIGSTOP)
        shop.configure()
        shop.next_version()
        waited = shop.run("deploy", "--yes")
        live = shop.serves_alone()
        paused.send_signal(signal.SIGCONT)
        said = paused.communicate(timeout=60)[0]
        assert paused.returncode == 4, said
        assert "somebody else" in said
        assert shop.serves_alone() == live
    assert waited.seconds > 20, "it waited for the lease to end"
    assert [entry["action"] for entry in shop.story.mlship("history")["entries"]] == ["deploy", "deploy"]
