from __future__ import annotations

from dataclasses import replace

from mlship.cli.payloads import pushed_payload
from mlship.cli.views.pushed import pushed_text
from mlship.flows.results import PushedLayer, PushReport

REPORT = PushReport(
    reference="r.io/ml/churn:1.4",
    deploy="r.io/ml/churn@sha256:c0ffee",
    contents=("sha256:c4",),
    kind="oci",
    variant="oci",
    moved=3_100_000,
    layers=(
        PushedLayer("base", "debian", "sha256:b", 30_000_000, "present"),
        PushedLayer("packages", "packages", "sha256:p", 35_000_000, "mounted"),
        PushedLayer("model", "churn", "sha256:m", 3_100_000, "sent"),
    ),
    seconds=0.4,
)


def all_of_it(how: str) -> PushReport:
    return replace(REPORT, layers=tuple(replace(layer, how=how) for layer in REPORT.layers), moved=0)


def test_a_push_says_what_moved_and_what_to_deploy_from() -> None:
    assert pushed_text(REPORT) == (
        "Pushed r.io/ml/churn:1.4  3.1 MB moved: 1 layer sent, 1 mounted, 1 there already, 0.4 s\n"
        "  as r.io/ml/churn@sha256:c0ffee"
    )


def test_where_nothing_moved_that_is_said() -> None:
    assert pushed_text(all_of_it("present")).startswith(
        "Pushed r.io/ml/churn:1.4  0 B moved: all 3 layers there already, 0.4 s"
    )
    assert "0 B moved: 3 layers mounted, 0.4 s" in pushed_text(all_of_it("mounted"))


def test_the_papers_that_went_along_are_named() -> None:
    papers = ("churn.spdx.json", "churn.cdx.json")
    assert pushed_text(replace(REPORT, papers=papers)).splitlines()[-1] == "  papers churn.spdx.json, churn.cdx.json"


def test_json_counts_the_layers_and_lists_them() -> None:
    told = pushed_payload(REPORT)
    assert (told["deploy"], told["moved"], told["sent"], told["mounted"], told["present"]) == (
        REPORT.deploy,
        3_100_000,
        1,
        1,
        1,
    )
    assert told["layers"][2] == {"role": "model", "name": "churn", "digest": "sha256:m", "size": 3_100_000, "how": "sent"}
    assert told["findings"] == []
