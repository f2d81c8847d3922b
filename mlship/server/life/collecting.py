"""How often the collector of cycles looks while models load."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

# Net new objects after which the collector looks while models load; Python's own 700 cost a tenth of a scikit-learn server's
# start, because nearly all that imports and unpickling make stays.
COLLECT_WHILE_LOADING = 50_000


@contextmanager
def collecting_seldom() -> Iterator[None]:
    """Within, only after so many objects; then as before."""
    usual = gc.get_threshold()
    gc.set_threshold(COLLECT_WHILE_LOADING, *usual[1:])
    try:
        yield
    finally:
        gc.set_threshold(*usual)
