"""Several engines: one after the other, a stop at the first failure, and an address that works from here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from mlship.errors import Exit, MlshipError
from mlship.flows.context import Context, Where
from mlship.flows.hosts import AtHost, endpoint_at, in_turn, looked_at, places
from mlship.flows.opening import Opened
from mlship.flows.plan import shared_sequence
from mlship.flows.results import PlanView, ReleaseView
from mlship.flows.rollback import Seen, agreed_release, counterpart, named_release
from mlship.home import Home
from mlship.progress import Silent
from mlship.releases.history import Entry, History
from mlship.releases.release import Release, Served, ServedModel
from mlship.runner import LocalRunner
from mlship.targets import fake
from mlship.targets.base import Action, Observed

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


def test_a_failure_tells_which_host_serves_what_and_how_to_take_back_what_is_done() -> None:
    def act(position: int) -> None:
        if position == 1:
            raise MlshipError("r2-bbbbbb is not live: it is slow; r1-aaaaaa serves as before", fix="mend it")

    views = [view("r1-aaaaaa", "r2-bbbbbb"), view("r1-aaaaaa", "r2-bbbbbb"), view("", "r2-bbbbbb")]
    with pytest.raises(MlshipError) as failed:
        in_turn(HOSTS, act, views)
    assert failed.value.details == (
        "ssh://deploy@a: done, r2-bbbbbb serves",
        "ssh://deploy@c: untouched, nothing serves",
    )
    assert failed.value.fix == "mend it; mlship rollback churn --target docker --to r1-aaaaaa takes back what is done"


def test_nothing_is_taken_back_where_nothing_was_done_or_nothing_served_before() -> None:
    def act(position: int) -> None:
        if position == len(fine):
            raise MlshipError("no", fix="mend it")

    for fine in ((), (view("", "r1-aaaaaa"),), (view("r1-aaaaaa", "r1-aaaaaa"),)):
        with pytest.raises(MlshipError) as failed:
            in_turn(HOSTS, act, [*fine, *[view("", "r1-aaaaaa")] * (3 - len(fine))])
        assert failed.value.fix == "mend it"


def test_a_host_where_something_is_only_taken_back_is_served_by_what_is_live_there() -> None:
    def act(position: int) -> None:
        if position == 1:
            raise MlshipError("no", fix="mend it")

    back = replace(view("r2-bbbbbb", "r1-aaaaaa"), actions=(Action("restore", "r2-bbbbbb", "r1-aaaaaa"),))
    with pytest.raises(MlshipError) as failed:
        in_turn(HOSTS, act, [back] * 3)
    assert failed.value.details == (f"{HOSTS[0]}: done, r1-aaaaaa serves", f"{HOSTS[2]}: untouched, r1-aaaaaa serves")
    assert failed.value.fix == "mend it", "there is nothing that one could want back"


def view(before: str, after: str) -> PlanView:
    previous = ReleaseView(before, "", {}, 0.0) if before else None
    release = ReleaseView(after, "", {}, 0.0)
    return PlanView("churn", "", "docker", "haproxy", release, previous, (), (), (), (), (), (), "", "")


def test_a_host_that_cannot_be_looked_at_is_said_before_anything_is_changed_anywhere() -> None:
    def look(position: int) -> None:
        if position == 2:
            raise MlshipError("no Docker engine answers", fix="start it", exit=Exit.UNREACHABLE)

    with pytest.raises(MlshipError) as failed:
        looked_at(HOSTS, look)
    assert failed.value.what == "ssh://deploy@c: no Docker engine answers"
    assert failed.value.details == ("nothing was changed on any host",)
    assert failed.value.fix == "start it; to go on without this host, take it out of targets.docker.hosts"
    with pytest.raises(MlshipError, match=r"^no Docker engine answers; start it$"):
        looked_at(("",), lambda _: look(2))


def test_every_step_names_its_host() -> None:
    heard = []

    class Heard(Silent):
        def step(self, name: str, detail: str = "") -> None:
            heard.append((name, detail))

        def amount(self, name: str, done: int, total: int | None = None, unit: str = "B") -> None:
            heard.append((name, f"{done}/{total} {unit}"))

    told = AtHost(Heard(), HOSTS[0])
    told.step("stage", "r2-bbbbbb")
    told.step("retire")
    told.amount("deliver", 1, 2, "B")
    assert heard == [("stage", f"{HOSTS[0]}  r2-bbbbbb"), ("retire", HOSTS[0]), ("deliver", "1/2 B")]


def release(number: int, version: int) -> Release:
    return Release(number, Served(f"sha256:{version:064x}", (ServedModel("churn", f"{version:064x}"),)), 0.0)


def history(*served: Release, live: int = -1, rejected: Sequence[Release] = ()) -> History:
    """served: in order. live: the position of the one that serves now."""
    entries = tuple(Entry(number, one.id, "deploy", "anna", 0.0) for number, one in enumerate(served, 1))
    reasons = dict.fromkeys((one.id for one in rejected), "slow")
    return History("churn", "", "docker", len(served), served[live].id, (*served, *rejected), entries, reasons)


def seen(*histories: History) -> list[Seen]:
    return [
        Seen(
            Opened("churn", "", "docker", "haproxy", fake.FakeTarget("churn", "", fake.World()), None, host),
            Observed(history=one, serving=one.live),
            one,
        )
        for host, one in zip(HOSTS, histories, strict=False)
    ]


def test_a_release_gets_one_number_on_all_hosts_whatever_failed_on_one_of_them() -> None:
    new = release(9, 7).served
    failed_here, behind = history(release(1, 1), rejected=[release(2, 2)]), history(release(1, 1))
    assert shared_sequence([failed_here, behind], [new, new]) == 3
    done_here = history(release(1, 1), release(3, 7))
    assert shared_sequence([behind, done_here], [new, new]) == 3
    assert shared_sequence([behind], [new]) == 2


def test_a_rollback_goes_to_one_release_on_all_hosts_also_under_another_number() -> None:
    both = seen(history(release(1, 1), release(2, 2)), history(release(4, 1), release(5, 2)))
    assert agreed_release(both) == release(1, 1)
    assert counterpart(both[1].history, release(1, 1)) == release(4, 1)
    assert counterpart(both[0].history, release(1, 1)) == release(1, 1)
    assert named_release([one.history for one in both], "r5") == release(5, 2)
    with pytest.raises(MlshipError, match="there is no release r9 of churn"):
        named_release([one.history for one in both], "r9")
    with pytest.raises(MlshipError, match="there is no release r7-"):
        counterpart(both[0].history, release(7, 7))


@pytest.mark.parametrize(
    ("here", "there", "before_here", "before_there"),
    [
        (history(release(1, 1), release(2, 2)), history(release(1, 1), rejected=[release(2, 2)]), 1, 0),
        (history(release(0, 9), release(1, 1), release(2, 2)), history(release(0, 9), release(1, 1)), 1, 9),
        (history(release(0, 9), release(1, 1), rejected=[release(2, 2)]), history(release(1, 1), release(2, 2)), 9, 1),
    ],
    ids=["the second failed", "the second was not reached", "a rollback stopped between them"],
)
def test_hosts_that_would_not_go_back_to_the_same_are_refused_with_what_brings_them_together(
    here: History, there: History, before_here: int, before_there: int
) -> None:
    with pytest.raises(MlshipError, match="the hosts of churn would not go back to the same release") as refused:
        agreed_release(seen(here, there))
    first = release(1, 1).id
    assert f"mlship rollback churn --target docker --to {first} brings all of them to it" in refused.value.fix
    names = {0: "nothing", 1: first, 9: release(0, 9).id}
    assert refused.value.details == (
        f"{HOSTS[0]}: {here.live} serves, before it {names[before_here]}",
        f"{HOSTS[1]}: {there.live} serves, before it {names[before_there]}",
    )


def test_hosts_with_nothing_to_go_back_to_are_told_so() -> None:
    with pytest.raises(MlshipError, match="churn has no earlier good release to go back to"):
        agreed_release(seen(history(release(1, 1)), history(release(1, 1))))


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
