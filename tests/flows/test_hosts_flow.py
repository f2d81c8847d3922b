"""Several engines: one after the other, a stop at the first failure, and an address that works from here."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlship.errors import Exit, MlshipError
from mlship.flows.context import Context, Where
from mlship.flows.hosts import endpoint_at, in_turn, places
from mlship.home import Home
from mlship.progress import Silent
from mlship.runner import LocalRunner

HOSTS = ("ssh://deploy@a", "ssh://deploy@b", "ssh://deploy@c")


@pytest.fixture
def context(tmp_path: Path) -> Context:
    return Context(Home(tmp_path / "home"), LocalRunner(), Silent(), {}, tmp_path, lambda: 0.0, "anna@test pid 1")


def written(context: Context, text: str) -> None:
    (context.cwd / "mlship.yaml").write_text(f"name: churn\nmodel: a.joblib\n{text}")


def test_a_file_with_hosts_is_a_place_for_each(context: Context) -> None:
    written(context, f"target: docker\ntargets: {{docker: {{hosts: [{', '.join(map(repr, HOSTS))}]}}}}\n")
    assert tuple(place.host for place in places(context, Where())) == HOSTS
    assert [place.host for place in places(context, Where(name="churn", target="docker"))] == list(HOSTS)
    assert places(context, Where(target="local")) == (Where(target="local"),)
    assert places(context, Where(name="fraud", target="docker")) == (Where(name="fraud", target="docker"),)


def test_a_file_without_hosts_is_one_place(context: Context) -> None:
    written(context, "target: docker\n")
    assert places(context, Where()) == (Where(),)


def test_each_host_has_its_turn() -> None:
    assert in_turn(HOSTS, lambda position: HOSTS[position][-1]) == ("a", "b", "c")


def test_the_first_failure_ends_it_with_its_own_exit_code_and_the_others_are_untouched() -> None:
    reached = []

    def act(position: int) -> None:
        reached.append(position)
        if position == 1:
            raise MlshipError(
                "r2 is not live", fix="mend it", exit=Exit.VERIFY_FAILED, code="verify-failed", details=("killed",)
            )

    with pytest.raises(MlshipError, match="ssh://deploy@b: r2 is not live; mend it") as failed:
        in_turn(HOSTS, act)
    assert reached == [0, 1]
    assert (failed.value.exit, failed.value.code) == (Exit.VERIFY_FAILED, "verify-failed")
    assert failed.value.details == ("killed", "ssh://deploy@a: done", "ssh://deploy@c: untouched")


def test_a_failure_on_the_only_host_is_said_as_it_is() -> None:
    def act(position: int) -> None:
        raise MlshipError("r2 is not live")

    with pytest.raises(MlshipError, match=r"^r2 is not live$"):
        in_turn(("",), act)


@pytest.mark.parametrize(
    ("endpoint", "engine", "published", "reached"),
    [
        ("http://127.0.0.1:8080", "", "127.0.0.1", "http://127.0.0.1:8080"),
        ("http://127.0.0.1:8080", "unix:///run/docker.sock", "0.0.0.0", "http://127.0.0.1:8080"),
        ("http://127.0.0.1:8080", "ssh://deploy@models.example:22", "0.0.0.0", "http://models.example:8080"),
        ("https://[::1]:8443", "tcp://[2001:db8::7]:2376", "::", "https://[2001:db8::7]:8443"),
        ("http://127.0.0.1:8080", "ssh://deploy@models.example", "127.0.0.1", "http://127.0.0.1:8080"),
        ("http://10.0.0.7:8080", "ssh://deploy@models.example", "10.0.0.7", "http://10.0.0.7:8080"),
        ("http://127.0.0.1:8080", "tcp://127.0.0.1:2375", "0.0.0.0", "http://127.0.0.1:8080"),
        ("", "ssh://deploy@models.example", "0.0.0.0", ""),
    ],
)
def test_the_address_of_a_service_on_another_machine(endpoint: str, engine: str, published: str, reached: str) -> None:
    assert endpoint_at(endpoint, engine, published) == reached
