"""Holding a project's lease while it is changed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from mlship.errors import MlshipError
from mlship.progress import Progress
from mlship.releases.records import Lease, LeaseHeld, LeaseLost
from mlship.targets.base import Records

TTL_S = 30.0  # a killed client on another machine blocks a project no longer than this
POLL_S = 0.5


class HeldLease:
    """A lease that is renewed in the background; `check` raises LeaseLost when it was lost."""

    def __init__(self, records: Records, lease: Lease, clock: Callable[[], float]) -> None:
        self._records = records
        self._lease = lease
        self._clock = clock
        self._lost: MlshipError | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._keep, daemon=True, name="lease")

    def check(self) -> None:
        """Asks the records. Raises LeaseLost, however long this process was stopped. To be called before anything is changed."""
        if self._lost is None:
            self._renew()
        if self._lost is not None:
            raise self._lost

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()
        with suppress(MlshipError):  # it ends by itself in a moment, and what was done says how the command ended
            self._records.release(self._lease)

    def _keep(self) -> None:
        while self._lost is None and not self._stop.wait(self._lease.ttl_s / 3):
            self._renew()

    def _renew(self) -> None:
        try:
            self._lease = self._records.renew(self._lease, self._clock())
        except LeaseLost as lost:
            self._lost = lost
        except MlshipError as unreachable:
            if self._clock() >= self._lease.expires:
                self._lost = unreachable


@contextmanager
def held(
    records: Records, who: str, clock: Callable[[], float], sleep: Callable[[float], None], progress: Progress
) -> Iterator[HeldLease]:
    """Takes the lease, renews it while the block runs, gives it back.

    Waits once for a holder that may be dead: as long as its lease had left to run. Raises LeaseHeld when it was renewed.
    """
    lease = HeldLease(records, _acquire(records, who, clock, sleep, progress), clock)
    lease.start()
    try:
        yield lease
    finally:
        lease.stop()


def _acquire(
    records: Records, who: str, clock: Callable[[], float], sleep: Callable[[float], None], progress: Progress
) -> Lease:
    try:
        return records.acquire(who, clock(), TTL_S)
    except LeaseHeld as other:
        wait_s = min(max(other.seconds_left, 0.0), TTL_S) + 0.5
        progress.step("lease", f"{other.holder} has it; it ends in {wait_s:.0f} s unless it is renewed")
    # Asked often: an autoscaler gives its lease back after a moment.
    for _ in range(int(wait_s / POLL_S)):
        sleep(POLL_S)
        with suppress(LeaseHeld):
            return records.acquire(who, clock(), TTL_S)
    return records.acquire(who, clock(), TTL_S)
