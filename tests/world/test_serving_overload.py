"""At three times what the server can do, it goes on doing what it can, and says so to the rest.

The models sleep, so that the figures are the server's and not those of a busy machine.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "tests/server")]

from open_loop import Seen, open_loop, peak, percentile, probed  # noqa: E402
from served import running, written  # noqa: E402
from wired import prediction  # noqa: E402

pytestmark = [pytest.mark.world, pytest.mark.alone]

SECONDS = 5.0


@pytest.mark.parametrize("row_s", ["0.02", "0.003"], ids=["20 ms a row, in a thread", "3 ms a row, in the loop"])
def test_three_times_the_peak_is_answered_at_the_peak_and_the_rest_refused(tmp_path: Path, row_s: str) -> None:
    raw = prediction(1.5)
    with running(written(tmp_path), DOUBLER_ASLEEP_S=row_s) as server:
        most = peak(server.port, raw, 16, 2.0)
        with probed(server.port) as livez:
            seen = open_loop(server.port, raw, 3 * most, SECONDS)
        over = time.monotonic()
        while peak(server.port, raw, 1, 0.2) == 0:
            assert time.monotonic() < over + 5
        told(most, seen, livez)
    assert seen.wrong == []
    assert set(seen.refused) <= {503, 429}
    assert seen.rate(1.0, SECONDS) >= 0.9 * most
    assert seen.p99_s() <= 1.0
    assert percentile(livez, 0.99) < 0.25


def told(most: float, seen: Seen, livez: list[float]) -> None:
    print(
        f"\npeak {most:.0f}/s; sent {seen.sent}, served {seen.rate(1.0, SECONDS):.0f}/s ({seen.rate(1.0, SECONDS) / most:.0%}), "
        f"p99 {seen.p99_s():.3f} s, refused {dict(seen.refused)}, livez p99 {percentile(livez, 0.99) * 1000:.0f} ms of {len(livez)}, "
        f"wrong {seen.wrong[:3]} {len(seen.wrong)}"
    )
