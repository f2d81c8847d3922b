"""The parts of the load that need no server."""

import itertools
import socket

import pytest

from mlship.bench import load
from mlship.bench.generator import seen_from
from mlship.bench.load import poisson, whole
from mlship.errors import Exit, MlshipError

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


def test_an_answer_is_whole_when_all_of_its_length_is_there() -> None:
    came = HEAD + b"content-LENGTH: 4\r\nServer: x\r\n\r\nbody"
    assert all(whole(came[:cut]) is None for cut in range(len(came)))
    assert whole(came) == (200, b"body")


def test_an_answer_in_chunks_is_put_together() -> None:
    came = HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\nbod\r\n1;x=y\r\ny\r\n0\r\n\r\n"
    assert whole(came[:-3]) is None
    assert whole(came) == (200, b"body")


def test_an_answer_without_a_body_is_whole() -> None:
    assert whole(b"HTTP/1.1 503 Busy\r\nRetry-After: 1\r\n\r\n") == (503, b"")


@pytest.mark.parametrize("came", [b"SSH-2.0", b"S", b"HTTP/1.1 no 1\r\n\r\n", HEAD + b"Content-Length: x\r\n\r\n"])
def test_what_is_no_http_is_no_answer(came: bytes) -> None:
    with pytest.raises(ValueError):
        whole(came)


def test_arrivals_are_poisson_and_the_same_for_a_seed() -> None:
    due = list(poisson(1000, 20, 5.0, seed=3))
    assert due == list(poisson(1000, 20, 5.0, seed=3)) != list(poisson(1000, 20, 5.0, seed=4))
    assert due == sorted(due) and due[0] >= 5 and due[-1] < 25
    assert len(due) == pytest.approx(20_000, rel=0.03)
    gaps = [later - sooner for sooner, later in itertools.pairwise(due)]
    spread = sum((gap - 0.001) ** 2 for gap in gaps) / len(gaps)
    assert spread**0.5 == pytest.approx(0.001, rel=0.03)  # of an exponential: as large as its mean


def test_nobody_comes_at_no_time() -> None:
    assert list(poisson(0.001, 1, 0.0, seed=1)) == []


def test_what_cannot_be_reached_is_said() -> None:
    with pytest.raises(MlshipError, match=r"nothing can be asked at 127.0.0.1:1: connection refused") as failed:
        seen_from({"error": "Connection refused"}, "127.0.0.1:1")
    assert failed.value.exit is Exit.UNREACHABLE


def test_refusals_are_counted_however_many_answers_are_kept() -> None:
    job = {"host": "127.0.0.1", "port": 1, "tls": False, "questions": [""]}
    told = load.Load(job)
    with socket.socket() as unused:
        line = load.Line(unused)
        for number in range(load.BODIES + 5):
            told.note(line, (200, b"%d" % number), 1.0)
        told.note(line, (503, b"busy"), 1.0)
    assert (told.uncompared, told.answers[0, 503, b""], len(told.times)) == (5, 1, load.BODIES + 5)
