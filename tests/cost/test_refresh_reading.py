"""The door to the vendors' prices: tries again, trusts no size, follows nobody elsewhere, and keeps its key to itself."""

from __future__ import annotations

import gzip
from typing import Any

import httpx
import pytest

from mlship.cost.refresh import gcp, reading
from mlship.cost.refresh.reading import Reading, Vendor
from mlship.errors import Exit, MlshipError

VENDOR = Vendor("the list", "9.9.9.9", "MLSHIP_PRICES_TEST")
URL = "https://9.9.9.9/list"


class Door:
    """said: the answers, one after another; the last one stays. asked: what came. paused: seconds between the tries."""

    def __init__(
        self, *said: tuple[int, dict[str, str], bytes] | Exception, headers: dict[str, str] | None = None, largest: int = 2**23
    ) -> None:
        self.said = [*said]
        self.asked: list[httpx.Request] = []
        self.paused: list[float] = []
        self.reading = Reading(VENDOR, {}, headers, self.paused.append, httpx.MockTransport(self), largest=largest)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        said = self.said.pop(0) if len(self.said) > 1 else self.said[0]
        if isinstance(said, Exception):
            raise said
        status, headers, body = said
        return httpx.Response(status, headers=headers, content=iter([body[:7], body[7:]]))

    def document(self) -> Any:
        return self.reading.document(URL, "machines")

    def lines(self) -> list[str]:
        return self.reading.lines(URL, "machines", list)


OK = (200, {}, b'{"a": 1}')
BUSY = (429, {"Retry-After": "7"}, b"")


def test_busy_and_broken_answers_are_asked_for_again_after_the_time_they_name():
    door = Door(BUSY, (503, {}, b""), httpx.ReadError("cut"), OK)
    assert door.document() == {"a": 1}
    assert door.paused == [7.0, 4.0, 15.0]


@pytest.mark.parametrize(
    ("headers", "paused"),
    [
        ({"Retry-After": "86400"}, 60.0),
        ({"Retry-After": "Sun, 22 Nov 2026 21:00:30 GMT", "Date": "Sun, 22 Nov 2026 21:00:00 GMT"}, 30.0),
        ({"Retry-After": "Sun, 22 Nov 2026 21:00:30 GMT"}, 1.0),
        ({"Retry-After": "-5"}, 1.0),
        ({"Retry-After": "9" * 400}, 1.0),
    ],
)
def test_how_long_to_wait_is_bounded(headers, paused):
    door = Door((429, headers, b""), OK)
    door.document()
    assert door.paused == [paused]


def test_after_four_tries_it_is_said_what_was_wrong():
    door = Door((503, {}, b""))
    with pytest.raises(MlshipError, match="the list cannot be read for machines: it answers 503") as caught:
        door.document()
    assert (caught.value.exit, len(door.asked)) == (Exit.UNREACHABLE, 4)


@pytest.mark.parametrize(("status", "exit"), [(401, Exit.DENIED), (403, Exit.DENIED), (404, Exit.UNREACHABLE)])
def test_a_refusal_is_not_asked_again(status, exit):
    door = Door((status, {}, b""))
    with pytest.raises(MlshipError, match=f"the list answers {status} for machines") as caught:
        door.document()
    assert (caught.value.exit, len(door.asked)) == (exit, 1)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"<html>", "answers with something else than JSON for machines"),
        (b"[" * 100_000, "answers with something else than JSON for machines"),
        (b" " * (reading.DOCUMENT_LIMIT + 1), "answers with more than 8388608 bytes for machines"),
    ],
)
def test_a_document_that_is_none_is_refused(body, said):
    with pytest.raises(MlshipError, match=said):
        Door((200, {}, body)).document()


def test_a_packed_text_is_read_line_by_line_as_a_plain_one():
    text = "a,1\nb,2\n" * 5000
    packed = (200, {"Content-Encoding": "gzip"}, gzip.compress(text.encode()))
    assert Door(packed).lines() == Door((200, {}, text.encode())).lines() == text.splitlines()


def test_a_text_that_was_cut_is_read_again_from_its_start():
    packed = gzip.compress(b"a\n" * 9000)
    door = Door(
        (200, {"Content-Encoding": "gzip"}, packed[:-20]),
        (200, {"Content-Encoding": "gzip"}, b"not packed at all"),
        (200, {}, b"a\nb"),
        (200, {}, b"a\nb\n"),
    )
    assert door.lines() == ["a", "b"]
    assert len(door.asked) == 4


def test_a_text_without_end_is_refused():
    packed = (200, {"Content-Encoding": "gzip"}, gzip.compress(b"\n" * 2**19))
    with pytest.raises(MlshipError, match="answers with more than 131072 bytes for machines"):
        Door(packed, largest=2**17).lines()
    with pytest.raises(MlshipError, match="answers with a line of more than 131072 bytes for machines"):
        Door((200, {}, b"a" * 300_000)).lines()


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("http://9.9.9.9/other", "a redirect that is not safe, to http://9.9.9.9"),
        ("https://8.8.8.8/other", "leads to https://8.8.8.8, which is not followed"),
        ("https://127.0.0.1/", "leads to https://127.0.0.1, which is not followed"),
    ],
)
def test_a_redirect_leads_nowhere_but_to_the_vendor(target, said):
    door = Door((302, {"Location": target}, b""))
    with pytest.raises(MlshipError, match=said):
        door.document()
    assert {request.url.host for request in door.asked} == {"9.9.9.9"}


def test_a_redirect_at_the_vendors_own_host_is_followed():
    door = Door((302, {"Location": "/moved"}, b""), OK)
    assert door.document() == {"a": 1}
    assert door.asked[-1].url.path == "/moved"


def test_the_next_page_is_at_the_vendors_host_or_refused():
    door = Door(OK)
    assert door.reading.address("https://9.9.9.9:443/p?$skip=100") == "https://9.9.9.9/p?$skip=100"
    assert door.reading.address("/offers/x.json") == "https://9.9.9.9/offers/x.json"
    for other in ("https://8.8.8.8/p", "https://key@9.9.9.9/p", "//8.8.8.8/p"):
        with pytest.raises(MlshipError, match="which is not its own host"):
            door.reading.address(other)


@pytest.mark.parametrize(
    ("said", "base"),
    [
        ("", "https://9.9.9.9"),
        ("https://mirror.example/aws/", "https://mirror.example/aws"),
        ("http://127.0.0.1:5", "http://127.0.0.1:5"),
    ],
)
def test_another_base_address_may_be_named(said, base):
    assert VENDOR.base({"MLSHIP_PRICES_TEST": said}) == base


@pytest.mark.parametrize(
    "said", ["http://mirror.example", "ftp://mirror.example", "https://a:b@mirror.example", "https://m/?x", "mirror"]
)
def test_a_base_address_that_is_not_safe_is_refused(said):
    with pytest.raises(MlshipError, match=r"MLSHIP_PRICES_TEST (has the scheme|is not an address)"):
        VENDOR.base({"MLSHIP_PRICES_TEST": said})


def test_the_key_goes_into_a_header_and_into_no_message():
    headers = gcp.headers({"GOOGLE_API_KEY": " AIzaSecret \n"})
    door = Door((403, {}, b'{"error": {"message": "API key not valid: AIzaSecret"}}'), headers=headers)
    with pytest.raises(MlshipError) as caught:
        door.document()
    assert door.asked[0].headers["x-goog-api-key"] == "AIzaSecret"
    assert "AIzaSecret" not in f"{door.asked[0].url} {caught.value} {caught.value.fix} {caught.value.details}"


def test_a_key_that_cannot_be_one_is_refused_and_not_shown():
    with pytest.raises(MlshipError, match="GOOGLE_API_KEY is no API key") as caught:
        gcp.headers({"GOOGLE_API_KEY": "two\nlines"})
    assert "two" not in str(caught.value)
    assert gcp.headers({"GOOGLE_API_KEY": " "}) == {}
