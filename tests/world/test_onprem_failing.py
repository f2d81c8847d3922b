"""A release that is no good never gets a caller: exit 6 with the cause, the old one untouched, nothing left behind."""

from __future__ import annotations

import pytest
from onprem import Service, no_loss, refused

from mlship.errors import Exit, MlshipError

pytestmark = [pytest.mark.world, pytest.mark.engine]

CAUSES = {
    "never": "still loading",
    "crash": "no module named churn",
    "500": "division by zero",
    "answers": "3",  # version 2 answers 3
    "lies": "r0-000000",
}


@pytest.mark.parametrize("broken", CAUSES)
def test_a_release_that_is_no_good_changes_nothing(onprem: Service, broken: str) -> None:
    first = onprem.deploy(1).history.live
    before = {entry.id: entry.attrs["State"]["StartedAt"] for entry in onprem.replicas()}
    left = [name for name in onprem.left() if "mlship/" not in name]
    with onprem.under_load() as client:
        client.reach(150)
        with pytest.raises(MlshipError) as failed:
            onprem.deploy(2, broken, startup_timeout_s=4.0 if broken == "never" else 30.0)
        client.reach(max(client.report().requests + 150, 600))
        report = client.end()
    assert failed.value.exit is Exit.VERIFY_FAILED
    assert CAUSES[broken] in refused(failed.value)
    assert f"{first} serves as before" in str(failed.value)
    no_loss(report)
    assert {entry.id: entry.attrs["State"]["StartedAt"] for entry in onprem.replicas()} == before
    assert [name for name in onprem.left() if "mlship/" not in name] == left
    onprem.exactly(first)


def test_a_canary_with_many_errors_goes_back_by_itself(onprem: Service) -> None:
    """It passes verification, which asks once; what callers get is what the gates see."""
    first = onprem.deploy(1).history.live
    gates = {"name": "canary", "steps": (0.5, 1.0), "bake_s": 4.0, "gates": ("p95_ms < 30",), "min_requests": 50}
    with onprem.under_load() as client:
        client.reach(150)
        with pytest.raises(MlshipError) as failed:
            onprem.deploy(2, "slow", rollout=gates)
        client.reach(client.report().requests + 150)
        report = client.end()
    assert failed.value.exit is Exit.VERIFY_FAILED
    assert "p95_ms" in refused(failed.value)
    no_loss(report, releases=2, requests=300)
    onprem.exactly(first)
