"""Who gets which share of the callers, as a value."""

from __future__ import annotations

import itertools

import pytest
from docker_memory import deployment

from mlship.errors import MlshipError
from mlship.keeper.haproxy_config import checked
from mlship.releases.history import Entry, History, Underway
from mlship.targets.docker import traffic
from mlship.targets.docker.fleet import numbers_for
from mlship.targets.docker.network import free_addresses, front_address
from mlship.targets.docker.reconcile import committed_document
from mlship.targets.docker.traffic import Server

OLD = tuple(Server(f"r1-aaaaaa-{number}", f"172.20.0.{number + 1}") for number in (1, 2, 3, 4))
NEW = tuple(Server(f"r2-bbbbbb-{number}", f"172.20.0.{number + 5}") for number in (1, 2, 3, 4))


@pytest.mark.parametrize(("new", "old"), list(itertools.product((1, 2, 3, 4, 7), repeat=2)))
@pytest.mark.parametrize("share", [0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.99])
def test_weights_come_as_near_to_the_share_as_whole_numbers_can(share: float, new: int, old: int) -> None:
    one, other = traffic.weights(share, new, old)
    assert 1 <= one <= 256
    assert 1 <= other <= 256
    assert new * one / (new * one + old * other) == pytest.approx(share, abs=0.02 if share in (0.01, 0.99) else 0.002)


def test_all_and_nothing_leave_no_crumbs() -> None:
    assert traffic.weights(0, 4, 4) == (0, 256)
    assert traffic.weights(1, 4, 4) == (256, 0)
    assert traffic.weights(0.5, 4, 0) == (256, 0)


def test_a_document_is_what_the_keeper_takes() -> None:
    document = traffic.document({"limits": {"rate": "100/s", "connections": 50}}, 2.0, traffic.at_share(NEW, OLD, 0.25))
    assert checked(document)["limits"] == {"rate": 100, "connections": 50}
    assert traffic.shares(document) == pytest.approx({"r1-aaaaaa": 0.75, "r2-bbbbbb": 0.25}, abs=0.001)
    assert traffic.servers_of(document) == traffic.at_share(NEW, OLD, 0.25)
    assert traffic.document({}, 2.0, ())["limits"] == {"rate": 0, "connections": 0}


def test_a_release_at_zero_is_named_and_an_empty_document_has_no_shares() -> None:
    assert traffic.shares(traffic.document({}, 2.0, traffic.at_share(NEW, OLD, 1.0))) == {"r1-aaaaaa": 0.0, "r2-bbbbbb": 1.0}
    assert traffic.shares(None) == {}


def test_replicas_with_the_lowest_numbers_stay_and_gaps_are_filled() -> None:
    assert numbers_for(4, []) == [1, 2, 3, 4]
    assert numbers_for(2, [1, 2, 3, 4]) == [1, 2]
    assert numbers_for(4, [2, 5]) == [1, 2, 3, 5]
    assert numbers_for(0, [1]) == []


def test_addresses_leave_out_the_engine_the_front_and_whoever_is_there() -> None:
    assert front_address("172.20.0.0/16") == "172.20.255.254"
    assert free_addresses("172.20.0.0/24", {"172.20.0.3"}, 3) == ["172.20.0.2", "172.20.0.4", "172.20.0.5"]
    with pytest.raises(MlshipError, match=r"the network 172\.20\.0\.0/29 has no 5 free addresses"):
        free_addresses("172.20.0.0/29", (), 5)


def history(live: int, underway: int = 0) -> History:
    release = deployment(live).release
    known = History("churn", "", "docker").deployed(release, Entry(1, release.id, "deploy", "test", 0.0), {})
    if not underway:
        return known
    begun = Underway(deployment(underway).release, release.id, "deploy", 0, 0.25, 0.0)
    return known.begun(begun, Entry(2, begun.release.id, "begin", "test", 0.0))


def servers(sequence: int, weight: int = 256) -> tuple[Server, ...]:
    return (Server(f"{deployment(sequence).release.id}-1", f"172.20.0.{sequence + 1}", weight),)


def test_only_what_the_records_name_keeps_its_callers() -> None:
    both = traffic.document({}, 2.0, (*servers(1), *servers(2)))
    assert committed_document(both, history(1, underway=2)) == both
    assert committed_document(both, history(1)) == traffic.with_servers(both, servers(1))
    assert committed_document(both, None) == both


def test_a_front_without_the_live_release_is_written_anew() -> None:
    assert committed_document(traffic.document({}, 2.0, servers(2)), history(1)) is None
    assert committed_document(traffic.document({}, 2.0, ()), history(1)) is None
