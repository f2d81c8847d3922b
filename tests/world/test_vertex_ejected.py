"""What is ejected makes the same end state as `deploy`, field by field: gcloud itself runs the script against the small Vertex AI."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("google.cloud.aiplatform_v1", reason="no google-cloud-aiplatform: pip install 'mlship[gcp]'")
pytest.importorskip("googleapiclient", reason="no google-api-python-client: pip install google-api-python-client")
sys.path.insert(0, str(Path(__file__).parents[1] / "targets"))

from contract import carry_out, wanted
from registry_parts import real_registry
from vertex_account import Account, VertexService, account

from mlship.targets.plan import plan

pytestmark = [pytest.mark.world, pytest.mark.brought]
TOLD = ("createTime", "versionCreateTime", "updateTime", "id", "etag")  # what Google makes of it
GPU = {
    "instance": "g2-standard-4",
    "service_account": "churn@acme-ml.iam.gserviceaccount.com",
    "reservation": "us-central1-a/ml-gpus",
}
SPOT = {"cost": {"profile": "spot", "on_demand_base": 1}, "scale": {"metric": "gpu", "per_replica": 70}}
CASES: list[tuple[Mapping[str, Any], Mapping[str, Any], tuple[int, int]]] = [
    (GPU, SPOT, (4, 6)),
    ({}, {"scale": {"metric": "rps", "per_replica": 2.5}}, (1, 4)),
]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    if shutil.which("gcloud") is None:
        pytest.skip("no gcloud: cloud.google.com/sdk")
    folder = tmp_path_factory.mktemp("vertex")
    with real_registry(folder / "registry") as port, account(folder, port) as world, pytest.MonkeyPatch.context() as patched:
        for name, text in world.environ.items():
            patched.setenv(name, text)
        world.vertex.operations.looks = 1  # gcloud looks every few seconds
        yield world


@pytest.mark.parametrize(("settings", "operating", "replicas"), CASES, ids=["gpu-and-spot", "requests"])
def test_gcloud_makes_what_deploy_makes(
    settings: Mapping[str, Any], operating: Mapping[str, Any], replicas: tuple[int, int], tmp_path: Path, world: Account
) -> None:
    world.reset()
    service = VertexService(tmp_path, world, **settings)
    target = service.open()
    deployment = replace(wanted(service, target, 1), replicas=replicas, labels={"team": "growth"})
    deployment = replace(deployment, operating={**deployment.operating, **operating})
    done = carry_out(target, plan("deploy", deployment, target.observe()))
    deployment = replace(deployment, release=done.history.releases[-1])
    by_mlship = end_state(world)
    image = world.vertex.models["mlship-churn"].versions["1"]["containerSpec"]["imageUri"]
    world.reset()
    by_gcloud(target.render(deployment), image, tmp_path / "out", world)
    assert end_state(world) == by_mlship
    assert by_mlship["split"] and sum(by_mlship["split"].values()) == 100


def by_gcloud(rendered: Mapping[str, bytes], image: str, folder: Path, world: Account) -> None:
    for name, written in rendered.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(written)
    environ = {
        **world.environ,
        "PATH": f"{Path(str(shutil.which('gcloud'))).parent}:/usr/bin:/bin",
        "HOME": str(folder),
        "IMAGE": image,
        "EVERY": "0",
        "CLOUDSDK_AUTH_CREDENTIAL_FILE_OVERRIDE": world.environ["GOOGLE_APPLICATION_CREDENTIALS"],
        "CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE": world.environ["SSL_CERT_FILE"],
        "CLOUDSDK_CORE_DISABLE_USAGE_REPORTING": "1",
        "CLOUDSDK_COMPONENT_MANAGER_DISABLE_UPDATE_CHECK": "1",
    }
    script = folder / "eject" / "deploy.sh"
    ended = subprocess.run(["sh", script], env=environ, capture_output=True, text=True, timeout=180)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def end_state(world: Account) -> dict[str, Any]:
    """What serves, without what Google makes of it and the endpoint that only mlship asks."""
    endpoint = world.vertex.endpoints["mlship-churn"]
    names = {id: one["displayName"] for id, one in endpoint.deployed.items()}
    return {
        "model": {number: without(one) for number, one in world.vertex.models["mlship-churn"].versions.items()},
        "endpoint": without(endpoint.said),
        "deployed": {names[id]: {**without(one), "model": one["version"]} for id, one in endpoint.deployed.items()},
        "split": {names[id]: share for id, share in endpoint.split.items()},
    }


def without(said: Mapping[str, Any]) -> dict[str, Any]:
    """Nothing and what is left out are the same."""
    return {name: value for name, value in said.items() if name not in (*TOLD, "version") and value not in ([], {}, "", False)}
