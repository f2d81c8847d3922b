"""What a process does with the collector, and with memory that is free, once its models are loaded."""

from __future__ import annotations

import subprocess
import sys

from mlship.server.life.lull import Lull

WAITING = """
import gc
from mlship.server.life.loading import settle

settle()
before = gc.get_stats()[2]["collections"]
waiting = [[[1.5, None] for _ in range(2000)] for _ in range(150)]
print(gc.get_stats()[2]["collections"] - before, gc.get_freeze_count())
"""


def test_the_rows_of_many_large_bodies_that_wait_are_hardly_ever_looked_at_by_the_collector_and_the_models_never() -> None:
    done = subprocess.run([sys.executable, "-c", WAITING], capture_output=True, text=True, check=True)
    looked, frozen = map(int, done.stdout.split())
    assert looked <= 1 and frozen > 1_000, "what is loaded is not looked at at all: copies of the process share its pages"


LEFT = """
import gc, weakref
from mlship.server.life.loading import collect_cycles, settle

class Node:
    pass

settle()
left = weakref.WeakSet()
most = 0
for _ in range(200):
    head = [Node() for _ in range(2000)]
    for node in head:
        node.all = head
    left.add(head[0])
    del head, node
    if with_ticks:
        collect_cycles()
    most = max(most, len(left))
print(most)
"""


def test_what_a_users_code_leaves_in_cycles_goes_at_the_ticks() -> None:
    most = [
        int(subprocess.check_output([sys.executable, "-c", LEFT.replace("with_ticks", str(ticks))])) for ticks in (True, False)
    ]
    assert most[0] <= 20 < 40 < most[1], "of 200 calls that each leave 2,000 objects"


def test_memory_goes_back_in_the_tick_after_the_last_of_many_large_bodies() -> None:
    lull, ticks = Lull(), (0, 0, 5e6, 9e6, 9e6, 9e6, 9.5e6, 9.5e6, 9.9e6, 10.1e6, 10.1e6)
    assert [index for index, large in enumerate(ticks) if lull.is_now(int(large))] == [4, 10]
