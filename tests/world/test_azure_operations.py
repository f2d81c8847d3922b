"""Microsoft's own clients, unmodified, sign in at the fake login and wait for the fake's operations as for Azure's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("azure.identity", reason="no azure-identity: pip install 'mlship[azure]'")

from azure_operations import ARM, ASYNC, BOTH, LOCATION, SUBSCRIPTION, Form, Login, Operations, refused
from inspecting_proxy import Asked, Told, inspecting_proxy, told

pytestmark = pytest.mark.world
PATH = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/ml/providers/Microsoft.App/containerApps/churn"
URL = f"https://{ARM}{PATH}?api-version=2025-07-01"


class World:
    """One thing that can be put and deleted, by operations."""

    def __init__(self, form: Form = ASYNC, **settings: Any) -> None:
        self.login, self.form, self.there = Login(), form, ""
        self.operations = Operations(looks=1, **settings)
        self.methods: list[str] = []

    def answer(self, asked: Asked) -> Told:
        said = self.login.answer(asked)
        if said is None:
            self.methods.append(f"{asked.method} {asked.path.rpartition('/')[2]}")
            said = self.login.refusal(asked) or self.operations.answer(asked) or self._own(asked)
        return said

    def _own(self, asked: Asked) -> Told:
        if asked.method == "GET":
            return told(self._body("Succeeded")) if self.there else refused(404, "ResourceNotFound", "no")
        state = "" if asked.method == "DELETE" else "there"

        def finish() -> Any:
            self.there = state
            return self._body("Succeeded") if state else None

        return self.operations.accepted(asked, self._body("InProgress") if state else None, finish, form=self.form)

    def _body(self, state: str) -> dict[str, Any]:
        return {"id": PATH, "name": "churn", "properties": {"provisioningState": state}}


def client() -> Any:
    from azure.core.pipeline.policies import RequestIdPolicy
    from azure.identity import DefaultAzureCredential
    from azure.mgmt.core import ARMPipelineClient
    from azure.mgmt.core.policies import ARMChallengeAuthenticationPolicy

    policy = ARMChallengeAuthenticationPolicy(DefaultAzureCredential(), f"https://{ARM}/.default")
    return ARMPipelineClient(f"https://{ARM}", policies=[RequestIdPolicy(), policy])


def run(method: str) -> Any:
    from azure.core.polling import LROPoller
    from azure.core.rest import HttpRequest
    from azure.mgmt.core.polling.arm_polling import ARMPolling

    arm = client()
    first = arm._pipeline.run(HttpRequest(method, URL, json={} if method == "PUT" else None))
    return LROPoller(arm, first, lambda answer: answer.http_response.json(), ARMPolling()).result()


@pytest.fixture
def signed_in(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name, text in Login().environ.items():
        monkeypatch.setenv(name, text)
    return monkeypatch


@pytest.mark.parametrize("form", [ASYNC, LOCATION, BOTH])
def test_microsofts_client_waits_until_an_operation_has_ended(tmp_path: Path, signed_in: Any, form: Form) -> None:
    world = World(form)
    with inspecting_proxy(world.answer, tmp_path) as environ:
        for name, text in environ.items():
            signed_in.setenv(name, text)
        assert run("PUT")["properties"] == {"provisioningState": "Succeeded"}
    number = "op-1"
    assert world.methods[:3] == ["PUT churn", f"GET {number}", f"GET {number}"]
    assert world.login.audiences == [f"https://{ARM}"]


def test_an_operation_that_fails_late_says_why(tmp_path: Path, signed_in: Any) -> None:
    from azure.core.exceptions import HttpResponseError

    world = World(fails=("OutOfQuota", "no machine is left"))
    with inspecting_proxy(world.answer, tmp_path) as environ:
        for name, text in environ.items():
            signed_in.setenv(name, text)
        with pytest.raises(HttpResponseError, match=r"OutOfQuota.*no machine is left"):
            run("PUT")
    assert world.there == ""


def test_a_wrong_secret_and_no_token_are_refused(tmp_path: Path, signed_in: Any) -> None:
    from azure.core.exceptions import ClientAuthenticationError

    world = World()
    signed_in.setenv("AZURE_CLIENT_SECRET", "another")
    with inspecting_proxy(world.answer, tmp_path) as environ:
        for name, text in environ.items():
            signed_in.setenv(name, text)
        with pytest.raises(ClientAuthenticationError, match="AADSTS7000215"):
            run("PUT")
    unsigned = world.login.refusal(Asked("GET", ARM, PATH, {}, {}))
    other = Asked("GET", ARM, PATH, {}, {"authorization": f"Bearer {world.login.token('https://storage.azure.com')}"})
    assert unsigned is not None and unsigned.status == 401
    assert world.login.refusal(other) is not None
    assert world.login.refusal(other, "https://storage.azure.com/") is None


def test_an_operation_lasts_as_long_as_the_clock_says() -> None:
    now = [0.0]
    operations = Operations(lambda: now[0], looks=0, lasts_s=600)
    first = operations.accepted(Asked("PUT", ARM, PATH, {"api-version": "1"}, {}), {}, lambda: {"a": 1})
    assert (first.status, first.headers["Retry-After"]) == (201, "1")
    path = first.headers["Azure-AsyncOperation"].partition(ARM)[2].partition("?")[0]

    def status() -> bytes:
        said = operations.answer(Asked("GET", ARM, path, {"api-version": "1"}, {}))
        assert said is not None
        return said.body

    assert b"InProgress" in status()
    now[0] = 599
    assert b"InProgress" in status()
    now[0] = 600
    assert b"Succeeded" in status()
