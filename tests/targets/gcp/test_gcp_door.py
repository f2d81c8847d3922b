"""What Google's refusals mean for people, which rights are granted by which role, and how metrics become measures."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pytest
from cloud_deployment import deployment

from mlship.errors import Exit
from mlship.targets.gcp import caller_cloud_run, caller_vertex
from mlship.targets.gcp.cloud_run.logs import lines_of as cloud_run_lines
from mlship.targets.gcp.cloud_run.measuring import measures_of
from mlship.targets.gcp.cloud_run.seen import Revision, Seen, Share
from mlship.targets.gcp.delivery import tag_of
from mlship.targets.gcp.door import Refused, failure_of, refusal, status_said
from mlship.targets.gcp.given import Given
from mlship.targets.gcp.preflight import Needs, Quota, _permissions, enabling, quota_findings, role_of
from mlship.targets.gcp.scope import Scope
from mlship.targets.gcp.secret_versions import in_secret_manager
from mlship.targets.gcp.variables import Path, Variable, filled
from mlship.targets.gcp.vertex.logs import lines_of as vertex_lines
from mlship.targets.gcp.vertex.operations import Operations
from mlship.targets.gcp.waiting import Waiting

REFUSALS: dict[str, tuple[tuple[str, ...], Exit, str]] = {
    "no right": (("PERMISSION_DENIED",), Exit.DENIED, "denied"),
    "a quota": (("RESOURCE_EXHAUSTED",), Exit.DENIED, "quota"),
    "too fast": (("RESOURCE_EXHAUSTED", "RATE_LIMIT_EXCEEDED"), Exit.UNREACHABLE, "busy"),
    "an API that is off": (("PERMISSION_DENIED", "SERVICE_DISABLED"), Exit.DENIED, "api-disabled"),
    "busy": (("UNAVAILABLE",), Exit.UNREACHABLE, "busy"),
    "there already": (("ALREADY_EXISTS",), Exit.USAGE, "conflict"),
    "a precondition": ((status_said(412),), Exit.USAGE, "changed"),
    "a word that nobody knows": (("SOMETHING_NEW",), Exit.USAGE, "gcp-refused"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_a_refusal_has_its_exit_and_says_what_to_do(case: str) -> None:
    (said, *reason), exit, code = REFUSALS[case]
    no = refusal("run services get_service", said, "because", *reason)
    assert (no.exit, no.code) == (exit, code)
    assert no.fix and f"run services get_service ({said}): because" in no.what


def test_an_api_that_is_off_is_named_in_what_to_do() -> None:
    said = {"service": "run.googleapis.com", "consumer": "projects/123"}
    no = refusal("x", "PERMISSION_DENIED", "off", "SERVICE_DISABLED", said)
    assert no.fix == "gcloud services enable run.googleapis.com --project=123"


def test_commands_to_paste_name_the_project_that_they_mean() -> None:
    door = Told({})
    assert in_secret_manager(door, "churn-keys") == "churn-keys --project=acme-ml"
    assert in_secret_manager(door, "projects/other/secrets/shared") == "shared --project=other"
    assert enabling(door, ["run.googleapis.com"]) == "gcloud services enable run.googleapis.com --project=acme-ml"


def test_each_form_of_an_image_has_a_tag_of_its_own() -> None:
    assert tag_of("sha256:" + "a" * 64, caller_cloud_run.PUSH) == "sha256-" + "a" * 64
    vertex = tag_of("sha256:" + "a" * 64, caller_vertex.PUSH)
    assert vertex == "sha256-" + "a" * 64 + ".docker-v2s2_single_gzip_raw" and len(vertex) <= 128


def test_an_operation_that_failed_is_a_refusal_and_one_that_did_not_is_none() -> None:
    failed = failure_of("run services update_service", {"done": True, "error": {"code": 9, "message": "not ready"}})
    assert failed is not None and failed.said == "FAILED_PRECONDITION"
    assert failure_of("run services update_service", {"done": True, "response": {}}) is None


def test_the_least_role_is_named() -> None:
    assert role_of("artifactregistry.repositories.create") == "roles/artifactregistry.admin"
    assert role_of("artifactregistry.repositories.uploadArtifacts") == "roles/artifactregistry.writer"
    assert role_of("artifactregistry.versions.delete") == "roles/artifactregistry.repoAdmin"
    assert role_of("run.services.create") == "roles/run.developer"
    assert role_of("something.else") == ""


def test_a_users_text_is_no_variable() -> None:
    document = {"image": Variable("Image"), "said": "${Image}", "name": Path("projects", Variable("Project"), "x")}
    assert filled(document, {"Image": "i", "Project": "p"}) == {"image": "i", "said": "${Image}", "name": "projects/p/x"}


class Monitoring:
    """A door that tells one revision's metrics, each class of answers on a page of its own after one that is empty."""

    project = "acme-ml"
    pages: Mapping[str, tuple[tuple[tuple[str, str], ...], str]] = {
        "": ((), "1"),
        "1": ((("2xx", "90"),), "2"),
        "2": ((("5xx", "10"),), ""),
    }

    def http(self, method: str, url: str, body: None, query: Mapping[str, str]) -> dict[str, Any]:
        if "request_count" in query["filter"]:
            classes, following = self.pages[query.get("pageToken", "")]
            return {
                "timeSeries": [
                    {"metric": {"labels": {"response_code_class": name}}, "points": [{"value": {"int64Value": count}}]}
                    for name, count in classes
                ],
                "nextPageToken": following,
            }
        buckets = {"exponentialBuckets": {"numFiniteBuckets": 2, "growthFactor": 2.0, "scale": 10.0}}
        spread = {"count": "100", "mean": 15.0, "bucketOptions": buckets, "bucketCounts": ["40", "50", "8", "2"]}
        return {"timeSeries": [{"points": [{"value": {"distributionValue": spread}}]}]}


def test_what_cloud_monitoring_counts_becomes_requests_errors_and_latencies() -> None:
    shares = (Share("mlship-churn-r1-7f3a9c", "r1-7f3a9c", 100),)
    revision = Revision("mlship-churn-r1-7f3a9c", "r1-7f3a9c", 1, "CONDITION_SUCCEEDED", since=1000.0)
    present = Seen("https://x", "e", 1, shares, {revision.name: revision})
    found = measures_of(Monitoring(), Scope("churn"), present, 2000.0)["r1-7f3a9c"]
    assert (found.requests, found.errors, found.seconds) == (100, 10, pytest.approx(1.5))
    assert list(found.buckets) == pytest.approx([0.01, 0.02, 0.04, math.inf])
    assert list(found.buckets.values()) == [40, 90, 98, 100]


class Pages:
    """A door whose lines and operations come by pages; asked: the tokens that were named."""

    project, region = "acme-ml", "us-central1"

    def __init__(self, *pages: dict[str, Any]) -> None:
        self.pages, self.asked = pages, list[str]()

    def http(self, method: str, url: str, body: Mapping[str, Any] | None, query: Any = None, *, reads: bool = False) -> Any:
        token = str((body or query or {}).get("pageToken", ""))
        self.asked.append(token)
        at = int(token or 0)
        return {**self.pages[at], **({"nextPageToken": str(at + 1)} if at + 1 < len(self.pages) else {})}


class Told:
    """A door that has one answer, or one refusal."""

    project, region, identity = "acme-ml", "europe-west1", ""

    def __init__(self, answer: dict[str, Any] | Refused) -> None:
        self.answer = answer

    def http(self, *asked: Any, reads: bool = False) -> Any:
        if isinstance(self.answer, Refused):
            raise self.answer
        return self.answer


NO = refusal("x", "INVALID_ARGUMENT", "there is no such metric")


@pytest.mark.parametrize(
    ("buckets", "is_enough"),
    [
        ([{"effectiveLimit": "5"}], False),
        ([{"effectiveLimit": "5"}, {"effectiveLimit": "50", "dimensions": {"region": "europe-west1"}}], True),
        ([{"effectiveLimit": "50"}, {"effectiveLimit": "5", "dimensions": {"region": "europe-west1"}}], False),
        ([{"effectiveLimit": "50"}, {"effectiveLimit": "5", "dimensions": {"region": "us-east1"}}], True),
        ([{"effectiveLimit": "-1"}], True),
        ([{}], False),
        ([], True),
    ],
)
def test_the_quota_in_force_is_the_regions_own(buckets: list[dict[str, Any]], is_enough: bool) -> None:
    limits = [{"unit": "1/{project}/{region}", "quotaBuckets": buckets}, {"unit": "1/{project}", "quotaBuckets": [{}]}]
    told = Told({"consumerQuotaLimits": limits})
    quota = Quota("run.googleapis.com/cpu_allocation", 10, "milli vCPU")
    wanted = deployment("gcp", "cloud-run")
    assert bool(list(quota_findings(told, wanted, "run.googleapis.com", [quota]))) is not is_enough
    assert list(quota_findings(Told(NO), wanted, "run.googleapis.com", [quota])) == []


def test_a_right_that_google_does_not_know_stops_nobody() -> None:
    has = Given(bucket="b", repository="r")
    (found,) = _permissions(Told(NO), has, deployment("gcp", "cloud-run"), Needs((), ("run.services.get",)))
    assert found.severity == "warning" and "there is no such metric" in found.what


def test_lines_come_from_every_page_until_there_are_enough() -> None:
    entries = [{"insertId": str(n), "timestamp": f"2026-11-23T00:00:0{n}Z", "textPayload": f"line {n}"} for n in (3, 2, 1)]
    door = Pages({}, {"entries": entries[:2]}, {"entries": entries[2:]})
    found = cloud_run_lines(door, Scope("churn"), "", 3, False, Waiting(lambda: 0.0, lambda seconds: None))
    assert [line.text for line in found] == ["line 1", "line 2", "line 3"]
    assert door.asked == ["", "1", "2"]
    few = Pages({"entries": entries[:2]}, {"entries": entries[2:]})
    assert [
        line.text for line in vertex_lines(few, Scope("churn"), None, "", 2, False, Waiting(lambda: 0.0, lambda seconds: None))
    ] == [
        "line 2",
        "line 3",
    ]
    assert few.asked == [""], "the second page is not needed"


def test_an_operation_on_a_later_page_is_waited_for() -> None:
    door = Pages({"operations": [{"name": "a", "done": True}]}, {"operations": [{"name": "b"}]})
    running = Operations(door, Waiting(lambda: 0.0, lambda seconds: None))._running("projects/acme-ml/endpoints/1")
    assert [one["name"] for one in running] == ["b"]


def test_who_is_live_and_who_is_staged_is_told_by_the_shares() -> None:
    shares = (
        Share("a", "r1-7f3a9c", 60, "r1-7f3a9c", "https://a"),
        Share("b", "r2-7f3a9d", 40, "r2-7f3a9d", "https://b"),
        Share("c", "r3-7f3a9e", 0, "r3-7f3a9e", "https://c"),
    )
    present = Seen("https://x", "e", 1, shares)
    assert present.weights == {"r1-7f3a9c": 0.6, "r2-7f3a9d": 0.4}
    assert present.live is shares[0] and present.staged is shares[2]
    assert present.percents == {"a": 60, "b": 40, "c": 0}
