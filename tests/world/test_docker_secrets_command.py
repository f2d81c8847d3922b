"""Secrets and a certificate from mlship.yaml to the model's code, with the real command, image and server."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from docker_told import everything_told
from free_ports import free_port
from made_certificate import made_certificate
from shop import Shop
from story import Story

pytestmark = [pytest.mark.world, pytest.mark.engine]

NAME = f"secret-till-{os.getpid()}"
# Run by the served model only: a build knows nothing of `env`, and gets no secrets.
ON_LOAD = "assert len(os.environ['SHOP_KEY']) == 64 and 'TLS_KEY' not in os.environ"
FILE = """
secrets: {SHOP_KEY: {docker: env}, TLS_KEY: {docker: "file:front.key"}}
targets: {docker: {port: %d, tls: {cert: front.pem, key: secret:TLS_KEY}, limits: {rate: 1000/s}}}
"""


@pytest.fixture
def till(engine: Any, bare_environment: Path, story_home: Path, tmp_path: Path) -> Iterator[Shop]:
    folder = tmp_path / "shop"
    folder.mkdir()
    environ = {**os.environ, "VIRTUAL_ENV": str(bare_environment), "MLSHIP_HOME": str(story_home)}
    made = Shop(Story(folder, bare_environment / "bin" / "python", environ), NAME, "docker")
    made_certificate(folder, "front")
    made.configure({"ON_LOAD": ON_LOAD}, FILE % free_port())
    yield made
    made.run("destroy", "--yes")
    labelled = {"label": f"mlship.project={NAME}"}
    assert engine.containers.list(all=True, filters=labelled) == engine.volumes.list(filters=labelled) == []


def test_a_secret_reaches_the_model_and_nothing_else(till: Shop, engine: Any) -> None:
    key = secrets.token_hex(32)
    tls_key = (till.story.folder / "front.key").read_text().splitlines()[1]
    missing = "SHOP_KEY.docker  the variable SHOP_KEY is not set; set SHOP_KEY in the environment of this command"
    assert missing in till.story.refused("check")
    assert missing in till.story.refused("deploy", "--yes")
    assert engine.volumes.list(filters={"label": f"mlship.project={NAME}"}) == [], "nothing was changed"

    till.story = Story(till.story.folder, till.story.python, {**till.story.environ, "SHOP_KEY": key})
    till.environ["SHOP_KEY"] = key
    said = [json.dumps(till.story.mlship("deploy", "--yes"))]
    assert json.loads(said[0])["endpoint"].startswith("https://")
    plan = till.story.mlship("plan")
    assert not plan["plan"]["create"] and not plan["plan"]["update"], plan
    for words in (("status",), ("history",), ("verify",), ("logs",), ("render",), ("check",)):
        said.append(till.run(*words).said)
    rendered = [
        path.read_text(errors="replace") for path in till.story.folder.rglob("*") if path.is_file() and path.name != "front.key"
    ]
    remembered = subprocess.run(["grep", "-rlF", key, str(till.home)], capture_output=True, text=True, check=False).stdout
    for value in (key, tls_key):
        assert value not in "\n".join([*said, *rendered, everything_told(engine, NAME)])
    assert remembered == ""
    assert json.loads(_history(engine))["releases"][0]["served"]["secrets"] == {"SHOP_KEY": "1"}


def _history(engine: Any) -> str:
    [state] = [
        volume for volume in engine.volumes.list(filters={"label": f"mlship.project={NAME}"}) if "_secrets_" not in volume.name
    ]
    return (Path(state.attrs["Mountpoint"]) / "history.json").read_text()
