from datetime import UTC, datetime

import pytest

from mlship.oci.registry.connection import Answer
from mlship.oci.registry.retrying import TRIES, is_passing, pause_s
from mlship.oci.registry.upload import CHUNK, WHOLE, Step, next_step, offset_in

NOW = datetime(2026, 11, 22, 3, 0, 0, tzinfo=UTC)


def test_pauses_grow_and_stay_bounded() -> None:
    assert [pause_s(failures, "", NOW) for failures in range(1, 8)] == [0.5, 1, 2, 4, 8, 8, 8]
    assert sum(pause_s(failures, "", NOW) for failures in range(1, TRIES)) < 20


@pytest.mark.parametrize(
    ("retry_after", "expected"),
    [
        ("3", 3),
        ("0", 0),
        ("100000", 60),
        ("99999999999999999999", 60),
        ("Sun, 22 Nov 2026 03:00:07 GMT", 7),
        ("Sun, 22 Nov 2026 02:00:00 GMT", 0),
        ("soon", 0.5),
        ("-5", 0.5),
        ("²", 0.5),
        ("Sun, 22 Nov 2026 03:00:07", 0.5),
    ],
)
def test_the_registry_says_how_long_to_wait_within_bounds(retry_after: str, expected: float) -> None:
    assert pause_s(1, retry_after, NOW) == expected


def test_only_what_passes_by_itself_is_tried_again() -> None:
    assert [status for status in range(200, 600) if is_passing(status)] == [408, 425, 429, 500, 502, 503, 504]


def test_small_blobs_go_in_one_request_and_large_ones_in_chunks() -> None:
    assert next_step(0, 0) == Step("whole", 0, 0)
    assert next_step(0, WHOLE) == Step("whole", 0, WHOLE)
    assert next_step(0, WHOLE + 1) == Step("chunk", 0, CHUNK)
    assert next_step(CHUNK, WHOLE + 1) == Step("chunk", CHUNK, 2 * CHUNK)
    assert next_step(3 * CHUNK, WHOLE + 1) == Step("chunk", 3 * CHUNK, WHOLE + 1)
    assert next_step(WHOLE + 1, WHOLE + 1) == Step("last", WHOLE + 1, WHOLE + 1)


def test_a_small_blob_that_was_cut_goes_on_where_the_registry_stands() -> None:
    assert next_step(1000, 5000) == Step("chunk", 1000, 5000)


def test_a_registry_may_demand_larger_chunks() -> None:
    assert next_step(0, 10 * CHUNK, smallest=2 * CHUNK) == Step("chunk", 0, 2 * CHUNK)


@pytest.mark.parametrize(
    ("header", "offset"), [("0-999", 1000), ("bytes=0-999", 1000), ("0-0", 0), ("", None), ("5-9", None), ("x", None)]
)
def test_the_range_of_a_session_tells_how_much_is_there(header: str, offset: int | None) -> None:
    assert offset_in(Answer(204, "http://r", {"range": header})) == offset
