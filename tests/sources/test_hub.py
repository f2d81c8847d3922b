"""The hub's API and the door to the web: what is asked, what is followed, and in what words it is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from mlship.errors import Exit, MlshipError
from mlship.runner import LocalRunner
from mlship.sources.base import Cut, Opening
from mlship.sources.hf import HfSource
from mlship.sources.web import is_inward

# Addresses and no names: a test looks nothing up.
HUB, STORE, COMMIT = "https://8.8.8.8", "https://9.9.9.9", "a1" * 20
FILES = [
    {"rfilename": ".gitattributes", "size": 3, "blobId": "b" * 40},
    {"rfilename": "config.json", "size": 5, "blobId": "c" * 40},
    {"rfilename": "model.safetensors", "size": 9, "blobId": "d" * 40, "lfs": {"sha256": "e" * 64, "size": 9, "pointerSize": 1}},
    {"rfilename": "pytorch_model.bin", "size": 9, "blobId": "f" * 40},
    {"rfilename": "onnx/model.onnx", "size": 9, "blobId": "f" * 40},
]


class Hub:
    """answers: path -> an answer; asked: what came."""

    def __init__(self, **answers: httpx.Response) -> None:
        self.answers = {f"/api/models/acme/churn/revision/{rev}": httpx.Response(200, json={"sha": COMMIT, "siblings": FILES})
                        for rev in ("main", "v1", COMMIT)}  # fmt: skip
        self.asked: list[httpx.Request] = []
        self.file = httpx.Response(302, headers={"Location": f"{STORE}/blob"})
        self.body = httpx.Response(200, content=b"123456789")

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        if request.url.path.startswith("/acme/churn/resolve/"):
            said = self.file
        elif request.url.host == "9.9.9.9":
            said = self.body
        else:
            said = self.answers.get(request.url.path, httpx.Response(404, json={"error": "Repository not found"}))
        return httpx.Response(said.status_code, headers=said.headers, content=iter([said.content]))  # one can be read once


def source(hub: Any, address: str = "hf://acme/churn@v1", **environ: str) -> HfSource:
    opening = Opening(
        address, Path(), {"HF_ENDPOINT": HUB, "HF_TOKEN_PATH": "/nowhere", **environ}, LocalRunner(), "mlship.yaml:2"
    )
    return HfSource(opening, httpx.MockTransport(hub))


def test_a_revision_is_pinned_to_its_commit_and_other_forms_of_the_weights_stay_there() -> None:
    found = source(Hub()).snapshot()
    assert (found.title, found.version, found.is_file) == ("churn", f"commit {COMMIT}", False)
    assert [item.name for item in found.items] == [".gitattributes", "config.json", "model.safetensors"]
    assert [item.digests for item in found.items[1:]] == [{"git": "c" * 40}, {"sha256": "e" * 64}]


def test_one_file_is_named_by_its_path() -> None:
    found = source(Hub(), "hf://acme/churn/onnx/model.onnx").snapshot()
    assert (found.title, found.is_file, found.items[0].size) == ("model.onnx", True, 9)


def test_a_token_goes_to_the_hub_and_not_where_it_leads() -> None:
    hub = Hub()
    opened = source(hub, "hf://acme/churn/model.safetensors", HF_TOKEN="hf_secret")
    hub.body = httpx.Response(206, content=b"456789", headers={"Content-Range": "bytes 3-8/9"})
    with opened.read(opened.snapshot().items[0], 3) as body:
        assert (body.start, b"".join(body.pieces)) == (3, b"456789")
    assert [(request.url.host, request.headers.get("authorization")) for request in hub.asked] == [
        ("8.8.8.8", "Bearer hf_secret"),
        ("8.8.8.8", "Bearer hf_secret"),
        ("9.9.9.9", None),
    ]
    assert hub.asked[-1].headers["range"] == "bytes=3-"


@pytest.mark.parametrize(
    "target",
    [
        "http://169.254.169.254/latest/meta-data/",
        "https://169.254.169.254/",
        "http://168.63.129.16/machine",
        "https://[fe80::1]/",
        "https://[::ffff:169.254.169.254]/",
        "https://127.0.0.1/",
        "https://10.0.0.7/",
        "https://metadata.google.internal/computeMetadata/v1/",
        "file:///etc/passwd",
        "ftp://9.9.9.9/x",
    ],
)
def test_a_redirect_into_the_machine_s_own_surroundings_is_not_followed(target: str) -> None:
    hub = Hub()
    opened = source(hub, "hf://acme/churn/model.safetensors")
    item = opened.snapshot().items[0]
    hub.file = httpx.Response(302, headers={"Location": target})
    with pytest.raises((MlshipError, Cut), match=r"is not followed|a redirect that is not safe"), opened.read(item, 0):
        pass
    assert {request.url.host for request in hub.asked} == {"8.8.8.8"}


def test_a_hub_of_the_house_may_lead_to_a_store_of_the_house() -> None:
    inward = "10.0.0.7 localhost 0x0a000001 10.1 64:ff9b::a9fe:a9fe 2002:a9fe:a9fe::1 fec0::1 ::ffff:10.0.0.1"
    assert all(is_inward(host) for host in inward.split())
    assert not any(is_inward(host) for host in ("8.8.8.8", "64:ff9b::808:808", "2001:4860:4860::8888"))
    opened = source(hub := Hub(), "hf://acme/churn/model.safetensors", HF_ENDPOINT="https://10.0.0.7")
    hub.file = httpx.Response(302, headers={"Location": "https://10.0.0.8/blob"})
    with pytest.raises(MlshipError, match="there is no"), opened.read(opened.snapshot().items[0], 0):
        pass
    assert hub.asked[-1].url.host == "10.0.0.8"


@pytest.mark.parametrize(
    ("address", "status", "exit", "said"),
    [
        ("hf://acme/other", 404, Exit.USAGE, "the hub has no acme/other with the revision main"),
        ("hf://acme/churn@v1/nothing.bin", 200, Exit.USAGE, "there is no nothing.bin in acme/churn"),
        ("hf://acme/churn@v1", 401, Exit.DENIED, "may not be read with these credentials"),
        ("hf://acme/churn@v1", 503, Exit.UNREACHABLE, "the hub cannot be reached for hf://acme/churn@v1: it answers 503"),
    ],
)
def test_what_cannot_be_had_is_said(address: str, status: int, exit: Exit, said: str) -> None:
    hub = Hub()
    if status not in (200, 404):
        hub.answers["/api/models/acme/churn/revision/v1"] = httpx.Response(status)
    opened = source(hub, address)
    opened._web._pause = lambda _: None
    with pytest.raises(MlshipError, match=said) as raised:
        opened.snapshot()
    assert raised.value.exit is exit and raised.value.where == "mlship.yaml:2" and raised.value.fix


@pytest.mark.parametrize("said", [[], {"sha": COMMIT, "siblings": [{"size": 1}]}, {"sha": COMMIT, "siblings": ["x"]}])
def test_what_no_hub_answers_is_refused_in_words(said: Any) -> None:
    hub = Hub()
    hub.answers["/api/models/acme/churn/revision/v1"] = httpx.Response(200, json=said)
    with pytest.raises(MlshipError, match="the hub answers without a commit"):
        source(hub).snapshot()
