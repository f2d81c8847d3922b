"""Ctrl-C and SIGTERM in the middle: exit 130, one line, no trace; the same command again converges."""

from __future__ import annotations

import signal

import pytest
from shop import Caller, Shop, instants

pytestmark = pytest.mark.world


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_command_says_so_and_converges(shop: Shop, by: signal.Signals) -> None:
    shop.versions = 1000 * by  # built by no other story
    shop.run("deploy", "--yes")
    with Caller(shop.status()["endpoint"]):
        for words in (("build",), ("deploy", "--yes")):
            shop.next_version()
            whole = shop.run(*words)
            codes = []
            for after_s in instants(whole.seconds, 4)[1:]:
                shop.next_version()
                ended = shop.killed(*words, after_s=after_s, by=by)
                codes.append(ended.code)
                assert "Traceback" not in ended.said
                told = ended.said.endswith("interrupted; run the same command again: it converges\n")
                had_ended = "Next: " in ended.said or "Undo: " in ended.said
                assert (ended.code == 130 and told) or had_ended, ended
                shop.run(*words)
                assert shop.left() == []
            assert 130 in codes
            shop.run("deploy", "--yes")
            shop.serves_alone()
