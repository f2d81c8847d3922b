"""Not one wrong or swapped answer: 64 connections, each with its own rows, each answer against its own expected value."""

from __future__ import annotations

import asyncio
import signal

import pytest
from serving_client import Asker, Talk, Tally
from serving_models import Judged, Server, judged_model

CONNECTIONS = 64
STEPS = {"linear": 16, "unchecked": 4, "forest": 4}  # of each connection; what one costs differs as much


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Judged]:
    folder = tmp_path_factory.mktemp("judged")
    return {name: judged_model(name, folder / name) for name in STEPS}


@pytest.mark.parametrize("name", STEPS)
def test_each_caller_gets_the_answer_to_its_own_rows_whatever_its_neighbours_do(models: dict[str, Judged], name: str) -> None:
    judged, tally = models[name], Tally()
    with judged.server() as server:
        asyncio.run(mixed_load(server.port, judged, tally, STEPS[name]))
        assert not tally.complaints, tally.complaints[:3]
        assert tally.right > CONNECTIONS * STEPS[name] / 3 and tally.refused > 20, tally
        server.signal(signal.SIGTERM)
        assert errors_until_the_end(server) == []


def test_answers_stay_right_until_the_last_when_the_server_is_told_to_stop_in_mid_load(models: dict[str, Judged]) -> None:
    judged, tally = models["linear"], Tally()
    with judged.server(MLSHIP_DRAIN_DELAY_S="0.5") as server:
        over = asyncio.run(load_until_closed(server, judged, tally))
        assert not tally.complaints, tally.complaints[:3]
        assert over == CONNECTIONS, f"{CONNECTIONS - over} connections were not told that they close"
        assert errors_until_the_end(server) == []


async def mixed_load(port: int, judged: Judged, tally: Tally, steps: int) -> None:
    await asyncio.gather(*(misbehaving(port, judged, tally, seed, steps) for seed in range(CONNECTIONS)))


async def misbehaving(port: int, judged: Judged, tally: Tally, seed: int, steps: int) -> None:
    """One connection: mostly one request at a time; also many at once, byte by byte, or gone in the middle."""
    asker = Asker(judged, seed)
    talk = await Talk(port, judged, tally).open()
    for _ in range(steps):
        kind = asker.random.random()
        if kind < 0.6:
            await talk.ask(asker.question())
        elif kind < 0.75:
            await talk.ask(*(asker.question() for _ in range(asker.random.choice((2, 5, 20)))))
        elif kind < 0.85:
            await talk.ask(asker.good(1), piece=40)
        else:
            raw = asker.good(2).raw
            talk.leave(raw[: asker.random.choice((len(raw), len(raw) // 2, 30))])
            await talk.open()
    talk.abort()


async def load_until_closed(server: Server, judged: Judged, tally: Tally) -> int:
    """Each caller asks until it is told that its connection closes. Returns how many were told."""

    async def caller(seed: int) -> bool:
        asker = Asker(judged, seed)
        talk = await Talk(server.port, judged, tally).open()
        try:
            while not talk.is_over:
                await talk.ask(asker.question())
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            tally.complaints.append(f"connection {seed}: a request was lost: {error!r}")
        return talk.is_over

    callers = [asyncio.create_task(caller(seed)) for seed in range(CONNECTIONS)]
    while tally.right < CONNECTIONS * 4 and not tally.complaints:
        await asyncio.sleep(0.01)
    server.signal(signal.SIGTERM)
    return sum(await asyncio.gather(*callers))


def errors_until_the_end(server: Server) -> list[object]:
    """What a server that has been told to stop has logged as errors, and as warnings, such as a worker that died."""
    server.event("stopped", 60)
    assert server.wait(60) == 0
    return [line for line in server.errors if line["level"] != "info"]
