"""What several models in one image take together."""

from __future__ import annotations

import pytest

from mlship.flows.making import needed_together

MB = 10**6


@pytest.mark.parametrize(
    ("peaks", "sizes", "together"),
    [
        ({"churn": 170}, {"churn": 20}, 170),
        ({"churn": 170, "fraud": 900}, {"churn": 20, "fraud": 700}, 920),
        ({"churn": 900, "fraud": 900}, {"churn": 700, "fraud": 700}, 1600),
        ({}, {}, 0),
    ],
)
def test_packages_are_counted_once_and_every_model_by_its_files_at_least(
    peaks: dict[str, int], sizes: dict[str, int], together: int
) -> None:
    needed = needed_together(
        {name: peak * MB for name, peak in peaks.items()}, {name: size * MB for name, size in sizes.items()}
    )
    assert needed == together * MB
