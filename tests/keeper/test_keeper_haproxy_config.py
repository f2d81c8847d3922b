"""Golden documents give golden files, and nothing that is not checked reaches them."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from mlship.keeper.haproxy_config import Unfit, checked, render, shape

FRONTS = Path(__file__).parent / "fronts"
NASTY = [
    "", "r1\n    bind :1", "r1 check", "r1#", "r1'", 'r1"', "r1\\", "$HOME", "r1;", "r1\0", "R1", "é", "-r1", "r1-", "r1\r", "a" * 64,
    "r1\u2028", "１", None, 1, ["r1"], {"a": 1}, True,
]  # fmt: skip


def document(name: str = "canary") -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FRONTS / f"{name}.json").read_text())
    return found


@pytest.mark.parametrize("name", ["empty", "canary", "guarded"])
def test_a_document_gives_its_golden_file(name: str) -> None:
    assert render(document(name)) == (FRONTS / f"{name}.cfg").read_text()


@pytest.mark.parametrize("nasty", NASTY, ids=repr)
@pytest.mark.parametrize("place", ["release", "name", "both", "address"])
def test_a_server_cannot_smuggle_anything_in(place: str, nasty: Any) -> None:
    front = document()
    server = front["servers"][0]
    if place == "both":
        server["release"], server["name"] = nasty, f"{nasty}-1"
    else:
        server[place] = nasty
    with pytest.raises(Unfit, match=r"front\.servers\[0\]\."):
        render(front)


@pytest.mark.parametrize(
    "address", ["172.20.0.2 ", "172.20.0.2\n", "172.20.0.02", "172.20.2", "::1", "localhost", "0x7f000001", 2886992898]
)
def test_an_address_is_four_numbers(address: Any) -> None:
    front = document()
    front["servers"][0]["address"] = address
    with pytest.raises(Unfit, match=r"front\.servers\[0\]\.address is .*, no IPv4 address"):
        render(front)


@pytest.mark.parametrize(
    "name", ["r1-abcdef", "r1-abcdef-0", "r1-abcdef-01", "r1-abcdef-1-1", "r1-abcdef-1\n", "r9-abcdef-1", "r1-abcdef-１"]
)
def test_a_server_is_named_after_its_release(name: str) -> None:
    front = document()
    front["servers"][0]["name"] = name
    with pytest.raises(Unfit, match="not r1-abcdef-<number>"):
        render(front)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        *[(("port",), value) for value in (0, 65536, "8080", 8080.0, True, None, "8080\n")],
        *[(("bufsize",), value) for value in (1, 2**21, "65536")],
        *[(("request_timeout_s",), value) for value in (0, -1, 3601, "2", True, float("nan"), float("inf"))],
        *[(("keep_alive_s",), value) for value in (0, "10s", float("-inf"))],
        *[(("schema",), value) for value in (0, 2, "1", True)],
        *[(("limits", "rate"), value) for value in (-1, 1.5, "1", 10**7)],
        *[(("limits", "connections"), value) for value in (-1, None)],
        *[(("tls",), value) for value in (True, "a" * 64, {}, {"certificate": "a" * 63}, {"certificate": "../" + "a" * 61})],
        *[(("tls",), value) for value in ({"certificate": "A" * 64}, {"certificate": "a" * 64 + "\n"}, {"certificate": 1})],
        *[(("servers",), value) for value in (None, {}, "r1", [None], [[]])],
        *[(("servers", 0, "weight"), value) for value in (-1, 257, 1.0, "1", True)],
        *[(("servers", 0, "port"), value) for value in (0, "8080", 10**6)],
    ],
)  # fmt: skip
def test_a_value_that_is_not_what_it_should_be_is_named(place: tuple[Any, ...], value: Any) -> None:
    front = document()
    holder: Any = front
    for key in place[:-1]:
        holder = holder[key]
    holder[place[-1]] = value
    with pytest.raises(Unfit, match=r"^front\."):
        render(front)


def test_keys_are_exactly_the_known_ones() -> None:
    for front in ({**document(), "more": 1}, {key: value for key, value in document().items() if key != "tls"}):
        with pytest.raises(Unfit, match="front does not have exactly the keys bufsize, keep_alive_s, limits, port"):
            checked(front)
    front = document()
    front["servers"][1]["backup"] = True
    with pytest.raises(Unfit, match=r"front\.servers\[1\] does not have exactly the keys address, name"):
        checked(front)


def test_two_servers_share_neither_name_nor_address() -> None:
    for key in ("name", "address"):
        front = document()
        front["servers"][1][key] = front["servers"][0][key]
        with pytest.raises(Unfit, match=f"two with the same {key}"):
            render(front)


def test_there_is_an_end_to_servers() -> None:
    front = document()
    front["servers"] *= 500
    with pytest.raises(Unfit, match="not a list of at most 1000"):
        render(front)


def test_the_shape_knows_everything_but_the_weights() -> None:
    front = document()
    other = copy.deepcopy(front)
    for server in other["servers"]:
        server["weight"] = 7
    assert shape(other) == shape(front)
    assert shape({**front, "servers": front["servers"][::-1]}) == shape(front)
    for key, value in (
        ("port", 8081),
        ("keep_alive_s", 5),
        ("servers", front["servers"][:-1]),
        ("limits", {"rate": 1, "connections": 0}),
    ):
        assert shape({**front, key: value}) != shape(front)


def test_the_folder_of_the_front_is_the_callers_to_say() -> None:
    assert "crt /elsewhere/tls/abab" in render(document("guarded"), Path("/elsewhere"))
