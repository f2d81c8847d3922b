"""What deploy starts, and the same for systemd."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from local_service import LocalService

from mlship.errors import MlshipError
from mlship.image import plan
from mlship.targets.base import Deployment
from mlship.targets.local import render as module
from mlship.targets.local.render import render


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    return LocalService(tmp_path, environment="prod", port=9000, host="127.0.0.1").deployment(1)


def with_env(deployment: Deployment, **env: str) -> Deployment:
    served = replace(deployment.release.served, env=env)
    return replace(deployment, release=replace(deployment.release, served=served))


def test_what_is_applied_is_said_in_full(deployment: Deployment) -> None:
    document = json.loads(render(deployment)["apply/service.json"])
    assert document["sockets"] == {"public": "127.0.0.1:9000"}
    assert document["limits"] == {"cores": 1, "data_bytes_per_process": 2**30}
    assert document["environ"]["VERSION"] == "1"
    assert document["environ"]["MLSHIP_RELEASE"] == deployment.release.id


def test_a_port_that_is_not_chosen_yet_is_said_so(deployment: Deployment) -> None:
    free = replace(deployment, settings={"port": None, "host": "127.0.0.1"})
    document = json.loads(render(free)["apply/service.json"])
    assert document["sockets"] == {"public": "127.0.0.1:first free from 8080"}
    assert b"ListenStream=127.0.0.1:8080\n" in render(free)["eject/mlship-churn-prod.socket"]


def test_the_unit_files_say_the_same_service(deployment: Deployment) -> None:
    files = render(deployment)
    socket = files["eject/mlship-churn-prod.socket"].decode().splitlines()
    service = files["eject/mlship-churn-prod.service"].decode().splitlines()
    assert "ListenStream=127.0.0.1:9000" in socket
    assert {"LimitDATA=1073741824", "CPUQuota=100%", 'Environment="VERSION=1"', "Restart=always"} <= set(service)
    assert f'Environment="MLSHIP_RELEASE={deployment.release.id}"' in service


def test_values_cannot_break_out_of_a_unit_file(deployment: Deployment) -> None:
    hostile = with_env(deployment, A='"; rm -rf / %h \\ $HOME `id`')
    service = render(hostile)["eject/mlship-churn-prod.service"].decode()
    assert 'Environment="A=\\"; rm -rf / %%h \\\\ $HOME `id`"' in service.splitlines()


def test_control_characters_are_refused(deployment: Deployment) -> None:
    with pytest.raises(MlshipError, match="has control characters, which a unit file cannot hold"):
        render(with_env(deployment, A="x\nExecStartPre=/bin/evil"))


def test_nothing_that_mlship_sets_can_be_set_from_the_file(deployment: Deployment) -> None:
    hostile = with_env(deployment, MLSHIP_RELEASE="r9-ffffff", LISTEN_FDS="7", MLSHIP_MANIFEST="/etc/passwd", PORT="1")
    environ = json.loads(render(hostile)["apply/service.json"])["environ"]
    assert environ["MLSHIP_RELEASE"] == hostile.release.id
    assert not {"LISTEN_FDS", "MLSHIP_MANIFEST", "PORT"} & set(environ)


def test_paths_inside_the_image_are_those_of_the_image_builder(deployment: Deployment) -> None:
    folders = [f"{module.LAID_OUT}/{folder}" for folder in module.PYTHONPATH]
    assert folders == [plan.SERVER, plan.PACKAGES, plan.CODE]
    assert f"{module.LAID_OUT}/manifest.json" == plan.MANIFEST
    assert plan.entrypoint("python").argv[1:] == ("-s", "-P", "-m", "mlship.server")
    assert '"$python" -s -P -m mlship.server' in render(deployment)["eject/serve"].decode()


def test_the_start_script_is_a_script(deployment: Deployment, tmp_path: Path) -> None:
    script = tmp_path / "serve"
    script.write_bytes(render(deployment)["eject/serve"])
    assert subprocess.run(["sh", "-n", str(script)], check=False).returncode == 0


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze on this machine")
def test_systemd_takes_the_unit_files(deployment: Deployment, tmp_path: Path) -> None:
    hostile = with_env(deployment, A='"quoted" 100% $HOME \\n')
    for name, content in render(hostile).items():
        if name.endswith((".socket", ".service")):
            (tmp_path / Path(name).name).write_bytes(content)
    units = sorted(str(path) for path in tmp_path.glob("mlship-*"))
    done = subprocess.run(["systemd-analyze", "verify", *units], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "mlship-churn" not in done.stderr
