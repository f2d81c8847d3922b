"""Google's discovery documents find nothing wrong in what is rendered: run.v2 in what is sent, run.v1 in what gcloud is given."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

pytest.importorskip("googleapiclient", reason="no discovery documents: pip install google-api-python-client")
sys.path.insert(0, str(Path(__file__).parents[1] / "targets"))

from cloud_run_cases import CASES
from google_contract import find, wrongs_in_request
from inspecting_proxy import Asked

from mlship.targets.gcp.cloud_run.rendering import render

pytestmark = pytest.mark.world
PLACE = "projects/acme-ml/locations/us-central1"


def ejected(case: str) -> dict[str, Any]:
    """With the namespace, which is the project: gcloud fills it in where it is not said, and templates have none."""
    service: dict[str, Any] = yaml.safe_load(render(CASES[case])["eject/service.yaml"])
    for metadata in (service["metadata"], service["spec"]["template"]["metadata"]):
        metadata.setdefault("namespace", "acme-ml")
    return service


def wrongs(method: str, host: str, path: str, body: Any, **query: str) -> list[str]:
    target = "/" + path + ("?" + "&".join(f"{name}={text}" for name, text in query.items()) if query else "")
    asked = Asked(method, host, "/" + path, query, {}, json.dumps(body).encode(), target=target)
    return wrongs_in_request(find(asked), asked)


@pytest.mark.parametrize("case", CASES)
def test_what_is_sent_is_what_run_v2_takes(case: str) -> None:
    rendered = {name: json.loads(raw) for name, raw in render(CASES[case]).items() if name.startswith("apply/")}
    created = rendered["apply/service/1-create-service.json"]
    place = {"serviceId": created["serviceId"]}
    assert wrongs("POST", "run.googleapis.com", f"v2/{PLACE}/services", created["service"], **place) == []
    for name in ("apply/service/2-stage.json", "apply/service/3-shift.json"):
        said = rendered[name]
        path = f"v2/{PLACE}/services/mlship-churn"
        assert wrongs("PATCH", "run.googleapis.com", path, said["service"], updateMask=said["updateMask"]) == []


@pytest.mark.parametrize("case", CASES)
def test_what_gcloud_is_given_is_what_run_v1_takes(case: str) -> None:
    service = ejected(case)
    path = "apis/serving.knative.dev/v1/namespaces/acme-ml/services/mlship-churn"
    assert wrongs("PUT", "us-central1-run.googleapis.com", path, service) == []


def test_a_field_that_there_is_not_would_be_found() -> None:
    service = ejected("as it comes")
    service["spec"]["template"]["spec"]["containers"][0]["livenessprobe"] = {}
    path = "apis/serving.knative.dev/v1/namespaces/acme-ml/services/mlship-churn"
    (wrong,) = wrongs("PUT", "us-central1-run.googleapis.com", path, service)
    assert wrong.endswith("there is no livenessprobe")
