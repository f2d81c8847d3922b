"""Several blobs at a time: the first failure, or an interrupt, ends them all soon."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TypeVar

from mlship.oci.registry.client import Registry, Stopped

PARALLEL = 4
Given = TypeVar("Given")


def in_parallel(registry: Registry, work: Callable[[Given], None], given: Sequence[Given]) -> None:
    """Does the work for each, in this order, PARALLEL at a time. Raises what the first of them raised that failed."""

    def guarded(each: Given) -> None:
        registry.go_on()
        try:
            work(each)
        except BaseException:
            registry.stop()
            raise

    registry.start()
    with ThreadPoolExecutor(PARALLEL) as pool:
        futures = [pool.submit(guarded, each) for each in given]
        try:
            wait(futures)
        except BaseException:  # an interrupt
            registry.stop()
            raise
    for future in futures:
        error = future.exception()
        if error is not None and not isinstance(error, Stopped):
            raise error
