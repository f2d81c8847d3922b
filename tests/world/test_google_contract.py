"""The discovery documents find planted mistakes, and take what Google's own clients send; the fakes of tests stand on that."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("googleapiclient", reason="no google-api-python-client: pip install google-api-python-client")

from google_contract import check_answer, check_request, find, wrongs_in_request
from google_identity import credentials_file
from google_storage import Storage
from google_world import Google, No
from inspecting_proxy import Asked, inspecting_proxy

from mlship.targets.gcp.door import Refused
from mlship.targets.gcp.sdk import SdkDoor

pytestmark = pytest.mark.world
VERTEX = "us-central1-aiplatform.googleapis.com"
ENDPOINT = "/v1/projects/p/locations/us-central1/endpoints/7"
DEPLOYED = {"model": "projects/p/locations/us-central1/models/churn@2", "dedicatedResources": {"minReplicaCount": 1}}
MACHINE = {"machineSpec": {"machineType": "n2-standard-2", "acceleratorType": "NVIDIA_L4", "acceleratorCount": 1}}


def asked(method: str, path: str, body: Any = None, host: str = VERTEX, **query: str) -> Asked:
    raw = b"" if body is None else json.dumps(body).encode()
    return Asked(method, host, path, query, {"content-type": "application/json"}, raw, target=path)


def deploy(**changes: Any) -> Asked:
    model = {**DEPLOYED, "dedicatedResources": {"minReplicaCount": 1, **MACHINE}}
    return asked("POST", f"{ENDPOINT}:deployModel", {"deployedModel": {**model, **changes}})


def test_a_request_without_a_mistake_names_its_method() -> None:
    method = check_request(deploy(displayName="r1-7f3a9c"))
    assert method.id == "aiplatform.projects.locations.endpoints.deployModel"
    assert method.params == {"endpoint": ENDPOINT[4:]}


PLANTED = [
    (deploy(modle="m"), "body.deployedModel: there is no modle"),
    (deploy(displayName=7), "body.deployedModel.displayName: 7 is no text"),
    (deploy(createTime="2026-11-23T04:00:00Z"), "body.deployedModel.createTime: is only told, never taken"),
    (deploy(dedicatedResources={"minReplicaCount": 1}), "body.deployedModel.dedicatedResources: machineSpec is missing"),
    (deploy(dedicatedResources={"minReplicaCount": "1", **MACHINE}), "minReplicaCount: '1' is no int32"),
    (
        deploy(dedicatedResources={"minReplicaCount": 1, "machineSpec": {"acceleratorType": "NVIDIA_L5"}}),
        "acceleratorType: 'NVIDIA_L5' is none of",
    ),
    (asked("POST", f"{ENDPOINT}:deployModel", {}), "body: deployedModel is missing"),
    (asked("POST", f"{ENDPOINT}:deployModel", {"deployedModel": []}), "body.deployedModel: [] is no object"),
    (asked("PATCH", ENDPOINT, {"trafficSplit": {"1": 100.5}}, updateMask="trafficSplit"), "trafficSplit.1: 100.5 is no int32"),
    (asked("PATCH", ENDPOINT, {}, updateMask="deployedModels"), "?updateMask: deployedModels cannot be changed"),
    (asked("PATCH", ENDPOINT, {}, updateMask="traffic"), "?updateMask: there is no traffic"),
    (asked("GET", ENDPOINT, None, view="FULL"), "there is no parameter view"),
    (asked("GET", ENDPOINT, {"a": 1}), "takes no body"),
    (asked("GET", "/v1/projects/p/locations/l/endpoints", None, pageSize="many"), "?pageSize: 'many' is no integer"),
    (
        asked("POST", "/storage/v1/b", {"name": "x"}, "storage.googleapis.com"),
        "the parameter project is missing",
    ),
    (
        asked("POST", "/v1/projects/p/secrets/s:addVersion", {"payload": {"data": "=="}}, "secretmanager.googleapis.com"),
        "payload.data: '==' is no byte",
    ),
    (
        asked(
            "POST",
            "/v2/projects/p/locations/l/services",
            {"template": {"timeout": "5 s", "containers": [{}]}},
            "run.googleapis.com",
            serviceId="x",
        ),
        "body.template.timeout: '5 s' is no google-duration",
    ),
]


@pytest.mark.parametrize(("wrong", "said"), PLANTED, ids=[said for _, said in PLANTED])
def test_a_planted_mistake_is_found(wrong: Asked, said: str) -> None:
    assert any(said in found for found in wrongs_in_request(find(wrong), wrong)), wrongs_in_request(find(wrong), wrong)


@pytest.mark.parametrize(
    ("method", "path", "host"),
    [
        ("POST", f"{ENDPOINT}:deploy", VERTEX),
        ("PUT", ENDPOINT, VERTEX),
        ("GET", "/v1/projects/p/endpoints/7", VERTEX),
        ("GET", "/v2/x", "translate.googleapis.com"),
    ],
)
def test_what_google_does_not_have_is_refused(method: str, path: str, host: str) -> None:
    with pytest.raises(AssertionError, match=r"Google has no|nobody plays"):
        find(asked(method, path, host=host))


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"nmae": "x"}, "there is no nmae"),
        ({"createTime": "yesterday"}, "createTime: 'yesterday' is no google-datetime"),
        ({"deployedModels": {"id": "1"}}, "deployedModels: {'id': '1'} is no list"),
        ({"deployedModels": [{"status": {"availableReplicaCount": "1"}}]}, "availableReplicaCount: '1' is no int32"),
    ],
)
def test_a_fake_may_not_answer_what_google_would_not(answer: Mapping[str, Any], said: str) -> None:
    with pytest.raises(AssertionError) as found:
        check_answer(find(asked("GET", ENDPOINT)), answer)
    assert said in str(found.value)


def test_the_door_meets_a_storage_that_compares(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    google = Google(plays={"storage": Storage()})
    with inspecting_proxy(google.answer, tmp_path) as environ:
        for name, text in {**environ, **credentials_file(tmp_path)}.items():
            monkeypatch.setenv(name, text)
        door = SdkDoor("", "europe-west1", sleep=lambda seconds: None)
        door.make_bucket("records", {"a": "b"})
        door.write_object("records", "a/b.json", b"1\r\n", 0)
        kept = door.read_object("records", "a/b.json")
        assert kept is not None and kept.raw == b"1\r\n"
        with pytest.raises(Refused) as changed:
            door.write_object("records", "a/b.json", b"2", 0)
        assert changed.value.code == "changed"
        assert google.count("objects.insert") == 2

        def denied(method: Any, asked: Asked) -> None:
            raise No("PERMISSION_DENIED", "not you")

        google.before = denied
        with pytest.raises(Refused) as refused:
            door.read_object("records", "a/b.json")
        assert refused.value.code == "denied"
