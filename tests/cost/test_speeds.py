"""Machines as servers of a queue."""

from __future__ import annotations

from pytest import mark

from mlship.cost.book import Machine
from mlship.cost.speeds import unit_of, unit_of_vcpus
from mlship.cost.workload import Unit

C7I = Machine("aws", "c7i.xlarge", "c7i", "compute", "x86_64", 4, 8.0)
C7G = Machine("aws", "c7g.xlarge", "c7g", "compute", "arm64", 4, 8.0, has_whole_cores=True)
G5 = Machine("aws", "g5.12xlarge", "g5", "gpu", "x86_64", 48, 192.0, "A10G", 4)
T3 = Machine("aws", "t3.small", "t3", "burstable", "x86_64", 2, 2.0)
E2_MICRO = Machine("gcp", "e2-micro", "e2", "burstable", "x86_64", 0.25, 1.0)


def test_a_hyper_thread_is_less_than_a_core_and_says_so():
    assert unit_of(C7I) == Unit(4, 0.625, 8.0, "c7i.xlarge: 4 vCPU, hyper-threads, each 0.625 of a core (assumed)")
    assert unit_of(C7G) == Unit(4, 1.0, 8.0, "c7g.xlarge: 4 vCPU, whole cores (assumed)")


def test_a_measured_speed_takes_the_place_of_the_assumption():
    assert unit_of(C7I, {"c7i": 0.8}) == Unit(4, 0.8, 8.0, "c7i.xlarge: 4 vCPU, each of measured speed 0.8 (c7i)")
    assert unit_of(C7I, {"c7i": 0.8, "c7i.xlarge": 0.9}).speed == 0.9
    assert unit_of(C7I, {"c7g": 0.8, "": 3.0}) == unit_of(C7I)


def test_accelerators_are_the_servers():
    told = "g5.12xlarge: 4 x A10G, one request at a time each, "
    assert unit_of(G5) == Unit(4, 1.0, 192.0, told + "as fast as where it was measured (assumed)")
    assert unit_of(G5, {"A10G": 0.5}) == Unit(4, 0.5, 192.0, told + "measured speed 0.5 (A10G)")


def test_credits_are_assumed_to_last():
    assert unit_of(T3).assumption.endswith("(assumed); its processor credits never run out (assumed)")
    assert unit_of(T3, {"t3": 0.4}).assumption.endswith("0.4 (t3); its processor credits never run out (assumed)")


def test_a_part_of_a_processor_is_a_slower_server():
    assert (unit_of(E2_MICRO).servers, unit_of(E2_MICRO).speed) == (1, 0.25 * 0.625)
    assert unit_of(E2_MICRO, {"e2-micro": 0.8}).speed == 0.2


@mark.parametrize(("vcpus", "servers", "speed"), [(0.25, 1, 0.25), (1, 1, 1.0), (1.5, 2, 0.75), (4, 4, 1.0)])
def test_a_container_has_the_servers_that_its_quota_can_use_up(vcpus: float, servers: int, speed: float):
    found = unit_of_vcpus(vcpus, 2.0, whole_cores=True, what="ecs arm64")
    assert found == Unit(servers, speed, 2.0, f"ecs arm64: {vcpus:g} vCPU, whole cores (assumed)")
    assert unit_of_vcpus(vcpus, 2.0, whole_cores=False, what="ecs").speed == speed * 0.625


def test_unknown_memory_stays_unknown():
    unknown = Machine("aws", "p5.4xlarge", "p5", "gpu", "x86_64", 16, None, "H100", 1)
    assert unit_of(unknown).memory_gib is None
