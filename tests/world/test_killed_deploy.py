"""deploy, rollback and destroy may be killed at any instant and run again, while callers notice nothing."""

from __future__ import annotations

import pytest
from shop import Caller, Shop, instants

pytestmark = pytest.mark.world
UPDATES, ROLLBACKS, LIVES = 10, 5, 4


def test_an_update_killed_at_any_instant_converges_and_no_caller_notices(shop: Shop) -> None:
    shop.run("deploy", "--yes")
    with Caller(shop.status()["endpoint"]):
        built(shop)
        whole = shop.run("deploy", "--yes")
        for after_s in instants(whole.seconds, UPDATES):
            built(shop)
            shop.killed("deploy", "--yes", after_s=after_s)
            shop.run("deploy", "--yes")
            shop.serves_alone()


def test_a_rollback_killed_at_any_instant_converges_and_no_caller_notices(shop: Shop) -> None:
    shop.run("deploy", "--yes")
    built(shop)
    shop.run("deploy", "--yes")
    with Caller(shop.status()["endpoint"]):
        back = shop.run("rollback", "--yes")
        for after_s in instants(back.seconds, ROLLBACKS):
            built(shop)
            shop.run("deploy", "--yes")
            before = shop.status()["previous"]["id"]
            shop.killed("rollback", "--yes", after_s=after_s)
            shop.run("rollback", "--to", before, "--yes")
            assert shop.serves_alone() == before


def test_a_first_deploy_and_a_destroy_killed_at_any_instant_converge(shop: Shop) -> None:
    first = shop.run("deploy", "--yes")
    last = shop.run("destroy", "--yes")
    for deploying_s, destroying_s in zip(instants(first.seconds, LIVES), instants(last.seconds, LIVES), strict=True):
        shop.killed("deploy", "--yes", after_s=deploying_s)
        shop.run("deploy", "--yes")
        shop.serves_alone()
        shop.killed("destroy", "--yes", after_s=destroying_s)
        shop.run("destroy", "--yes")
        assert shop.processes() == []
        assert not (shop.home / "local" / shop.name).exists()


def built(shop: Shop) -> None:
    shop.next_version()
    shop.run("build")
