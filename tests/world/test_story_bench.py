"""bench against real servers: what it finds is kept, and the cost model's queue predicts what callers wait under load."""

from __future__ import annotations

import json
import os
import socket
import statistics
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from story import PRELUDE, Story

from mlship.bench.generator import Generator
from mlship.bench.quantiles import quantile
from mlship.bench.question import Address, Question, raw
from mlship.bench.records import Benches
from mlship.cost.capacity import latency
from mlship.cost.workload import ServiceTime
from mlship.errors import Exit, MlshipError
from mlship.flows.bench import RESTS
from mlship.runner import LocalRunner

RUNS, SECONDS = 18, 1.6
BUSY_SHARE = 0.4
STEADY = 0.15
RIGHT = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

TRAIN = """\
import random

random.seed(7)
rows = [{"steps": int((8000 + random.gammavariate(2, 14000)) / VERSION)} for _ in range(80)]
json.dump(rows, open("sample.json", "w"))
json.dump({}, open("weights.json", "w"))
asked(rows, [row["steps"] * 2 for row in rows])
"""

BUSY = """\
import os


class Busy:
    inputs = {"steps": "int64"}

    def load(self, path):
        self.answered = 0
        self.honest = int(os.environ.get("LIE_AFTER", "0")) or 10**12

    def predict(self, rows):
        return [self._one(*(row.values() if isinstance(row, dict) else row)) for row in rows]

    def _one(self, steps):
        total = 0
        for step in range(steps):
            total += step * step % 7
        self.answered += 1
        return steps * 2 + (self.answered > self.honest)
"""

YAML = """\
name: busy
target: local
model: {uri: weights.json, framework: python, loader: net:Busy, code: [net.py], sample: sample.json}
serve: {workers: 1, batching: {max_rows: 1}}
"""


@pytest.fixture
def busy(bare_environment: Path, story_home: Path, tmp_path: Path) -> Story:
    """A project whose model computes as many steps as each row says, some 2 ms of them."""
    folder = tmp_path / "busy"
    folder.mkdir()
    environ = {**os.environ, "VIRTUAL_ENV": str(bare_environment), "MLSHIP_HOME": str(story_home)}
    made = Story(folder, bare_environment / "bin" / "python", environ)
    made.write("net.py", BUSY)
    made.write("train.py", PRELUDE + TRAIN)
    made.write("mlship.yaml", YAML)
    return made


@pytest.mark.alone
def test_what_is_measured_predicts_what_callers_wait(busy: Story) -> None:
    story = busy
    story.train()
    done = story.mlship("bench", "--seconds", "0.5")
    assert done["kept"] and done["answers"]["wrong"] == done["answers"]["uncompared"] == 0
    measured = Benches(Path(story.environ["MLSHIP_HOME"]) / "images").of_content(done["content"])
    assert measured is not None and len(measured.service_time_sample) >= 400 and len(measured.rested_sample) >= 400
    assert measured.memory_bytes and measured.cold_start_s and measured.throughput_one_core
    assert 0.1 < measured.throughput * measured.mean_s < 10  # neighbours of this machine come and go

    with undisturbed(), story.running() as endpoint:
        told = predicted_and_seen(story, endpoint)
    print("p99 in ms: " + "  ".join(f"predicted {predicted * 1000:.1f} seen {seen * 1000:.1f}" for predicted, seen in told))
    # 0.72 to 0.85 in four runs on a quiet machine that changes its speed by itself, 0.90 to 0.96 beside others: 20 % is the goal,
    # and a goal is no test; what is wrong by half is wrong
    assert 0.5 <= statistics.median(predicted / seen for predicted, seen in told) <= 1.5, told


@contextmanager
def undisturbed() -> Iterator[None]:
    """What is started within goes before all else on this machine, where that is allowed: neighbours are no part of the promise."""
    policy, priority = os.sched_getscheduler(0), os.sched_getparam(0)
    with suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    try:
        yield
    finally:
        os.sched_setscheduler(0, policy, priority)


def predicted_and_seen(story: Story, endpoint: str) -> list[tuple[float, float]]:
    """99th percentiles in seconds of a server that is 40 % busy, run by run: each prediction is of the moments around it.

    Short runs: this machine changes its speed within seconds, and what is to be predicted here is the wait for others. Runs in
    which it was not as fast before as after say nothing, as long as there are others.
    """
    said = urlsplit(endpoint)
    address = Address(said.hostname or "", said.port or 0)
    rows = json.loads((story.folder / "sample.json").read_text())
    load = Generator(LocalRunner(), address, [raw(Question((row,), {}), address, "/predict") for row in rows])
    load.closed(1, 1.0)
    told: dict[bool, list[tuple[float, float]]] = {True: [], False: []}
    before = load.closed(1, 0.5).times
    for run in range(RUNS):
        mean = statistics.mean(before)
        rate = BUSY_SHARE / mean
        rested = load.rested(RESTS * mean, 0.7, seed=run).times
        seen = load.open(rate, SECONDS, run)
        after = load.closed(1, 0.5).times
        alone = tuple(sorted((*before, *after)))
        service = ServiceTime(statistics.mean(alone), alone, "bench", rested=rested, rested_mean_s=statistics.mean(rested))
        found = latency(service, rate, 1)
        assert found is not None
        told[abs(statistics.mean(after) / mean - 1) < STEADY].append((found[1], quantile(seen.times, 0.99)))
        before = after
    return told[True] if len(told[True]) >= RUNS / 3 else [*told[True], *told[False]]


def test_a_live_release_is_loaded_and_its_wrong_answers_are_found(busy: Story) -> None:
    busy.train(20)
    live = busy.mlship("deploy", "--yes")
    try:
        done = busy.mlship("bench", "--seconds", "0.5")
        assert (done["endpoint"], done["release"]) == (live["endpoint"], live["release"]["id"])
        assert done["kept"] and done["bench"]["memory_bytes"] is None
        said = busy.refused("bench", "--seconds", "0.5", "--built", "--model", "bussy")
        assert "busy has no model bussy; it has busy" in said

        busy.write("mlship.yaml", YAML + "env: {LIE_AFTER: '1500'}\n")
        busy.mlship("deploy", "--yes")  # right at first, and so verified
        told = busy.mlship("bench", "--seconds", "2", exit=5)
        assert "the build's own answer is" in json.dumps(told)
    finally:
        busy.mlship("destroy", "--yes")


@contextmanager
def serving(answer: bytes, requests: int = 0) -> Iterator[Address]:
    """Answers each request with these bytes; closes each connection after so many where that is said."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=512)

    def serve(connection: socket.socket) -> None:
        answered = 0
        with connection:
            while connection.recv(65536):
                connection.sendall(answer)
                answered += 1
                if answered == requests:
                    return

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield Address("127.0.0.1", listener.getsockname()[1])
    finally:
        listener.close()


def generator(address: Address) -> Generator:
    return Generator(LocalRunner(), address, [raw(Question((row,), {}), address, "/predict") for row in range(3)])


def test_the_load_asks_as_often_as_it_should() -> None:
    with serving(RIGHT) as address:
        seen = generator(address).open(400, 3.0, seed=1)
        assert seen.sent == pytest.approx(400 * 3.3, rel=0.1)
        assert len(seen.times) == pytest.approx(400 * 3.0, rel=0.1)
        assert sum(given.count for given in seen.given) == seen.sent and not seen.lost
        assert {given.question for given in seen.given} == {0, 1, 2}
        fast = generator(address).closed(4, 2.0)
        assert fast.throughput > 1000 and fast.times[0] > 0
        rested = generator(address).rested(0.01, 1.0)
        assert 30 < len(rested.times) < 150 and not rested.lost  # a hundred rests on average
        counted = generator(address).closed(1, 0.1, least=20_000)
        assert len(counted.times) >= 20_000 and counted.seconds > 0.1


def test_a_server_that_closes_connections_is_asked_on_new_ones() -> None:
    with serving(RIGHT.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"), requests=1) as address:
        load = generator(address)
        for seen in (load.closed(4, 0.5), load.open(200, 0.5, seed=1), load.rested(0.005, 0.5)):
            assert seen.times and not seen.lost


def test_what_is_cut_is_lost_and_told() -> None:
    with serving(b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nhalf", requests=1) as address:
        seen = generator(address).closed(2, 0.3)
    assert not seen.times and seen.lost["the connection was closed"] > 2


def test_refusals_that_differ_are_counted_together() -> None:
    with serving(b"HTTP/1.1 401 No\r\nContent-Length: 2\r\n\r\nno") as address:
        seen = generator(address).closed(1, 0.2)
    assert {(given.status, given.body) for given in seen.given} == {(401, b"")} and not seen.times


def test_what_is_no_http_is_lost_and_told() -> None:
    with serving(b"SSH-2.0-OpenSSH_9.2\r\n") as address:
        seen = generator(address).open(50, 0.5, seed=1)
    assert not seen.times and set(seen.lost) == {"the answer is not HTTP"}


def test_nothing_that_listens_is_unreachable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(MlshipError) as failed:
        generator(Address("127.0.0.1", port)).closed(1, 0.1)
    assert failed.value.exit is Exit.UNREACHABLE
