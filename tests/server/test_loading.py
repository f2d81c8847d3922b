"""What a process does with the collector once its models are loaded."""

from __future__ import annotations

import subprocess
import sys

WAITING = """
import gc
from mlship.server.life.loading import settle

settle()
before = gc.get_stats()[2]["collections"]
waiting = [[[1.5, None] for _ in range(2000)] for _ in range(150)]
print(gc.get_stats()[2]["collections"] - before)
"""


def test_the_rows_of_many_large_bodies_that_wait_are_hardly_ever_looked_at_by_the_collector() -> None:
    done = subprocess.run([sys.executable, "-c", WAITING], capture_output=True, text=True, check=True)
    assert int(done.stdout) <= 1
