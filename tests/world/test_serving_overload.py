"""At three times what the server can do, it goes on doing what it can, and says so to the rest.

Whether all of the peak is left is measured by bench/serving/overload.py on a machine that has nothing else to do, and proved without a
machine in tests/server/test_pressure.py. Here a server that gives way (whose answers come too late, or that only refuses) is told from
one that stands, on whatever machine; large bodies take processor time to read, to compute and to refuse, and are counted by the
server's own processor second.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from mlship.server import manifest

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "tests/server"), str(ROOT / "bench/serving")]

import meter  # noqa: E402
from open_loop import Seen, closed_loop, open_loop, open_loop_apart, peak, percentile, probed  # noqa: E402
from served import running, written  # noqa: E402
from serving_models import Judged, judged_model  # noqa: E402
from wired import prediction, request  # noqa: E402

pytestmark = [pytest.mark.world, pytest.mark.alone]

SECONDS = 5.0
ROWS = 256  # of a large body
STANDS = 0.5  # of the peak, at least: a server that gives way has a tenth left, or nothing
LATEST_S = 2.0  # an accepted answer: half of the deadline, and as much again for a machine that is busy


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
    assert seen.rate(1.0, SECONDS) >= STANDS * most
    assert seen.p99_s() <= LATEST_S
    assert percentile(livez, 0.99) < LATEST_S


def test_large_bodies_that_are_refused_leave_the_others_what_they_need(tmp_path: Path) -> None:
    """Each refused body has to be taken in, and each refusal sent: processor time that nobody is answered for."""
    judged = with_one_worker(judged_model("wood", tmp_path / "wood"))
    rows = [judged.rows[index % len(judged.rows)] for index in range(ROWS)]
    raw = request("POST", "/predict", "Content-Type: application/json", body=json.dumps({"instances": rows}).encode())
    with judged.server() as server:
        began = meter.cpu_s(server.process.pid)
        usual = closed_loop(server.port, raw, 64, 2.0)
        most, ended, kept_off = usual.rate(0.2, 2.0), meter.cpu_s(server.process.pid), meter.waited_s(server.process.pid)
        with probed(server.port) as livez:
            seen = open_loop_apart(server.port, raw, 3 * most, SECONDS)
        used_s = meter.cpu_s(server.process.pid) - ended
        slower = 1 + (meter.waited_s(server.process.pid) - kept_off) / used_s
        over = time.monotonic()
        while peak(server.port, raw, 1, 0.2) == 0:
            assert time.monotonic() < over + 5
        told(most, seen, livez)
    a_second = len(usual.served) / (ended - began)
    under_load = len(seen.served) / used_s
    print(f"by processor second {under_load:.0f} of {a_second:.0f}; neighbours made all {slower:.2f} times slower")
    assert seen.wrong == []
    assert set(seen.refused) == {503}
    assert under_load >= STANDS * a_second
    assert seen.p99_s() <= LATEST_S * slower
    assert percentile(livez, 0.99) < LATEST_S


def with_one_worker(judged: Judged) -> Judged:
    """With the deadline that callers have who set none."""
    path = judged.folder / "manifest.json"
    document = manifest.from_json(path.read_bytes())
    path.write_bytes(manifest.to_json(replace(document, serving=manifest.Serving(workers=1))))
    return judged


def told(most: float, seen: Seen, livez: list[float]) -> None:
    print(
        f"\npeak {most:.0f}/s; sent {seen.sent}, served {seen.rate(1.0, SECONDS):.0f}/s ({seen.rate(1.0, SECONDS) / most:.0%}), "
        f"p99 {seen.p99_s():.3f} s, refused {dict(seen.refused)}, livez p99 {percentile(livez, 0.99) * 1000:.0f} ms of {len(livez)}, "
        f"wrong {seen.wrong[:3]} {len(seen.wrong)}"
    )
