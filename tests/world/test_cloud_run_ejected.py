"""gcloud itself reads what is ejected for Cloud Run, and sends all of it: `gcloud run services replace` against the small Cloud Run."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

pytest.importorskip("googleapiclient", reason="no discovery documents: pip install google-api-python-client")
sys.path.insert(0, str(Path(__file__).parents[1] / "targets"))


from cloud_run_cases import CASES
from google_contract import Method, find, wrongs_in_request
from google_identity import credentials_file, token_told
from google_world import No
from inspecting_proxy import Asked, Told, inspecting_proxy, told

from mlship.targets.gcp.cloud_run.rendering import render

pytestmark = [pytest.mark.world, pytest.mark.brought]
# The documents call it required, and gcloud itself leaves it out: Cloud Run fills it in.
FILLED_IN = "body.spec.template.metadata: namespace is missing"
OF_GCLOUD = "run.googleapis.com/client-"  # annotations by which it names itself
READY = [{"type": kind, "status": "True"} for kind in ("Ready", "ConfigurationsReady", "RoutesReady")]


@dataclass
class Knative:
    """run.v1, as gcloud asks it: a service is there after it was created, and ready at once."""

    services: dict[str, Any] = field(default_factory=dict)

    def answer(self, asked: Asked) -> Told:
        if asked.host == "oauth2.googleapis.com":
            return token_told(asked)
        method = find(asked)
        assert [wrong for wrong in wrongs_in_request(method, asked) if wrong != FILLED_IN] == []
        try:
            return told(self._played(method, asked))
        except No as no:
            return no.told(method.document)

    def _played(self, method: Method, asked: Asked) -> Any:
        if method.name == "services.create":
            said = asked.json
            self.services[said["metadata"]["name"]] = {
                **said,
                "metadata": {**said["metadata"], "generation": 1},
                "status": {"observedGeneration": 1, "conditions": READY, "url": "https://mlship-churn-abc.a.run.app"},
            }
            return self.services[said["metadata"]["name"]]
        assert method.name == "services.get", method.name
        name = asked.path.rpartition("/")[2]
        if name not in self.services:
            raise No("NOT_FOUND", f"there is no service {name}")
        return self.services[name]


@pytest.fixture(scope="module")
def gcloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Knative, dict[str, str]]]:
    if shutil.which("gcloud") is None:
        pytest.skip("no gcloud: cloud.google.com/sdk")
    folder = tmp_path_factory.mktemp("gcloud")
    played = Knative()
    with inspecting_proxy(played.answer, folder / "proxy") as environ:
        environ |= credentials_file(folder)
        yield (
            played,
            {
                **environ,
                "PATH": f"{Path(str(shutil.which('gcloud'))).parent}:/usr/bin:/bin",
                "HOME": str(folder),
                "CLOUDSDK_AUTH_CREDENTIAL_FILE_OVERRIDE": environ["GOOGLE_APPLICATION_CREDENTIALS"],
                "CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE": environ["SSL_CERT_FILE"],
                "CLOUDSDK_CORE_DISABLE_USAGE_REPORTING": "1",
                "CLOUDSDK_COMPONENT_MANAGER_DISABLE_UPDATE_CHECK": "1",
            },
        )


def replaced(environ: dict[str, str], file: Path) -> subprocess.CompletedProcess[str]:
    command = ["gcloud", "run", "services", "replace", str(file), "--region", "us-central1", "--project", "acme-ml", "--quiet"]
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=120)


def without_marks(service: Any) -> Any:
    """Without what gcloud says of itself, and without the namespace that it fills in."""
    for metadata in (service["metadata"], service["spec"]["template"]["metadata"]):
        metadata.pop("namespace", None)
        metadata["annotations"] = {name: text for name, text in metadata["annotations"].items() if OF_GCLOUD not in name}
    return service


@pytest.mark.parametrize("case", ["as it comes", "a company's", "a GPU"])
def test_gcloud_sends_all_that_is_ejected(case: str, tmp_path: Path, gcloud: tuple[Knative, dict[str, str]]) -> None:
    played, environ = gcloud
    played.services.clear()
    file = tmp_path / "service.yaml"
    file.write_bytes(render(CASES[case])["eject/service.yaml"])
    ended = replaced(environ, file)
    assert ended.returncode == 0, ended.stderr
    [service] = played.services.values()
    del service["status"], service["metadata"]["generation"]
    assert without_marks(service) == without_marks(yaml.safe_load(file.read_bytes()))


def test_gcloud_refuses_a_misspelt_key(tmp_path: Path, gcloud: tuple[Knative, dict[str, str]]) -> None:
    played, environ = gcloud
    played.services.clear()
    written = yaml.safe_load(render(CASES["as it comes"])["eject/service.yaml"])
    written["spec"]["template"]["spec"]["containerConcurency"] = 80
    file = tmp_path / "service.yaml"
    file.write_text(yaml.safe_dump(written))
    ended = replaced(environ, file)
    assert ended.returncode != 0 and "containerConcurency" in ended.stderr and not played.services
