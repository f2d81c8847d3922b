"""Models that come from where they live: fetched, pinned by the lock, built and served; each place is a real one."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from small_server import answering
from source_parts import azurite, fake_gcs, hub, make_environment, mlflow_server, moto
from story import PRELUDE, Story

pytestmark = pytest.mark.world

TRAIN = """\
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
import joblib

rows, labels = load_iris(return_X_y=True)
model = LogisticRegression(C=1 / VERSION, max_iter=1000).fit(rows, labels)
joblib.dump(model, "model.joblib")
part = rows[::30]
asked(part, model.predict(part), model.predict_proba(part))
"""
S3_PUT = """\
import boto3
s3 = boto3.client("s3")
s3.create_bucket(Bucket="models", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}) if VERSION == 1 else None
s3.upload_file("model.joblib", "models", "iris/model.joblib")
"""
AZURE_PUT = """\
import os
from azure.storage.blob import ContainerClient
container = ContainerClient.from_connection_string(os.environ["AZURE_STORAGE_CONNECTION_STRING"], "models")
container.create_container()
container.upload_blob("iris/model.joblib", open("model.joblib", "rb"))
"""
GCS_PUT = """\
import os, urllib.request
from urllib.parse import quote
base = os.environ["STORAGE_EMULATOR_HOST"]
def post(path, body, kind):
    urllib.request.urlopen(urllib.request.Request(base + path, body, {"Content-Type": kind})).read()
post("/storage/v1/b?project=p", b'{"name": "models"}', "application/json")
name = quote("iris/model.joblib", safe="")
post(f"/upload/storage/v1/b/models/o?uploadType=media&name={name}", open("model.joblib", "rb").read(), "application/octet-stream")
"""
MLFLOW_LOG = """\
import mlflow
client = mlflow.MlflowClient()
run = client.create_run("0").info
client.log_artifact(run.run_id, "model.joblib", "model")
client.create_registered_model("iris") if VERSION == 1 else None
made = client.create_model_version("iris", f"{run.artifact_uri}/model", run.run_id)
client.set_registered_model_alias("iris", "champion", made.version)
open("run", "w").write(run.run_id)
"""


@pytest.fixture(scope="module")
def scientist(own_folder: Path) -> Path:
    """The interpreter of somebody who has mlship with its extras, and trains in the same environment."""
    return make_environment(own_folder / "venv")


@pytest.fixture
def shop(scientist: Path, story_home: Path, tmp_path: Path) -> Iterator[Story]:
    """A project without any model on this machine."""
    folder = tmp_path / "shop"
    folder.mkdir()
    environ = {**os.environ, "VIRTUAL_ENV": str(scientist.parent.parent), "MLSHIP_HOME": str(story_home)}
    yield Story(folder, scientist, environ, (str(scientist), "-m", "mlship"))


def train(shop: Story, put: str = "", version: int = 1) -> dict:
    """Trains elsewhere, with the place's settings; the file does not stay. Gives the truth, and the file's digest."""
    elsewhere = shop.folder.parent / "training"
    elsewhere.mkdir(exist_ok=True)
    (elsewhere / "train.py").write_text(PRELUDE + TRAIN + put)
    command = [str(shop.python), "-W", "ignore", "train.py", str(version)]
    subprocess.run(command, cwd=elsewhere, check=True, env=dict(shop.environ), capture_output=True)
    truth = json.loads((elsewhere / "asked.json").read_text())
    return {**truth, "sha256": hashlib.sha256((elsewhere / "model.joblib").read_bytes()).hexdigest(), "folder": elsewhere}


def note(answer: dict) -> str:
    return next((finding["message"] for finding in answer["findings"] if finding["code"] == "newer-model"), "")


def with_settings(shop: Story, settings: dict[str, str]) -> Story:
    return replace(shop, environ={**shop.environ, **settings})


def test_a_model_in_s3_is_pinned_built_and_served(shop: Story, tmp_path: Path) -> None:
    with moto(shop.python, tmp_path) as settings:
        shop = with_settings(shop, settings)
        first = train(shop, S3_PUT)
        shop.mlship("init", "--model", "s3://models/iris/model.joblib", "--name", "iris", "--target", "local")
        built = shop.mlship("build")["image"]["content"]
        deployed = shop.mlship("deploy", "--yes")
        try:
            shop.ask_all(deployed["endpoint"], first)
            train(shop, S3_PUT, 2)
            (moved,) = shop.mlship("deploy", "--yes")["notes"]
            assert "by now, and mlship.lock pins etag" in moved and "mlship build --retrained" in moved
            assert shop.mlship("build", "--locked")["image"]["content"] == built
            newer = shop.mlship("build", "--locked", "--retrained")
            assert newer["image"]["content"] != built
            said = shop.refused("init", "--model", "s3://models/iris/model.jobli", "--force")
            assert "there is nothing at s3://models/iris/model.jobli" in said and "aws s3 ls" in said
            closed = b"<Error><Code>AccessDenied</Code></Error>"
            with answering(lambda path, headers: (403, closed, "application/xml")) as place:
                other = with_settings(shop, {"AWS_ENDPOINT_URL": f"http://{place}"})
                assert "s3:GetObject" in other.refused("init", "--model", "s3://models/x", "--force", exit=8)
        finally:
            shop.mlship("destroy", "--yes")
    # the place is gone: what is locked is here, what is not cannot be had
    assert shop.mlship("build", "--locked")["image"]["content"] == built
    said = shop.refused("build", "--retrained", exit=13)
    assert "s3://models/iris/model.joblib cannot be reached" in said and "nothing was changed" in said
    kinds = {kind["name"] for kind in shop.mlship("cache", "info")["cache"]["kinds"]}
    assert "cache/models" in kinds
    assert "storysecret" not in (shop.folder / "mlship.lock").read_text()


def test_a_model_comes_from_azure(shop: Story, tmp_path: Path) -> None:
    with azurite(tmp_path) as settings:
        shop = with_settings(shop, settings)
        truth = train(shop, AZURE_PUT)
        made = shop.mlship("init", "--model", "az://models/iris/model.joblib", "--target", "local")
        assert made["models"][0]["sha256"] == truth["sha256"]
        said = shop.refused("init", "--model", "az://models/iris/other", "--force")
        assert "there is nothing at az://models/iris/other" in said
        wrong = with_settings(shop, {key: text.replace("Key=E", "Key=F") for key, text in settings.items()})
        assert "az login" in wrong.refused("init", "--model", "az://models/iris/model.joblib", "--force", exit=8)


def test_a_model_comes_from_google(shop: Story, tmp_path: Path) -> None:
    with fake_gcs(shop.python, tmp_path) as settings:
        shop = with_settings(shop, settings)
        truth = train(shop, GCS_PUT)
        made = shop.mlship("init", "--model", "gs://models/iris/model.joblib", "--target", "local")
        assert made["models"][0]["sha256"] == truth["sha256"]
        assert "there is nothing at gs://models/iris/o" in shop.refused("init", "--model", "gs://models/iris/o", "--force")


def test_a_model_comes_from_the_hub_over_a_line_that_breaks(shop: Story) -> None:
    with hub() as (made, settings):
        shop = with_settings(shop, settings)
        truth = train(shop)
        commit = made.push(
            "acme/iris", "main", {"README.md": b"#", "model.joblib": (truth["folder"] / "model.joblib").read_bytes()}
        )
        words = ("init", "--model", "hf://acme/iris/model.joblib", "--target", "local")
        made.cut, made.is_still = 200, True
        killed = subprocess.Popen([*shop.command, *words], cwd=shop.folder, env=dict(shop.environ), stderr=subprocess.DEVNULL)
        partial = Path(shop.environ["MLSHIP_HOME"]) / "cache/partial"
        while not any(path.stat().st_size == 200 for path in partial.rglob("*") if path.is_file()):
            assert killed.poll() is None
            time.sleep(0.02)
        killed.kill()
        killed.wait()
        made.cut, made.is_still = 300, False
        report = shop.mlship(*words)
        (model,) = report["models"]
        assert (model["sha256"], model["source_version"]) == (truth["sha256"], f"commit {commit}")
        assert made.ranges == ["", "bytes=200-", "bytes=500-"]
        said = shop.refused("init", "--model", "hf://acme/other", "--force")
        assert "the hub has no acme/other" in said


def test_an_alias_of_mlflow_is_pinned_and_told_what_is_deployed(shop: Story, tmp_path: Path) -> None:
    shop = with_settings(shop, {"MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/registry.db"})
    first = train(shop, MLFLOW_LOG)
    address = "models:/iris@champion/model.joblib"
    shop.mlship("init", "--model", address, "--name", "iris", "--target", "local")
    file = shop.folder / "mlship.yaml"
    file.write_text(file.read_text().replace("model: ", "model: {write_back: true, uri: ").rstrip() + "}\n")
    deployed = shop.mlship("deploy", "--yes")
    try:
        shop.ask_all(deployed["endpoint"], first)
        assert deployed["notes"] == ["MLflow knows: version 1 of iris@champion/model.joblib has the alias deployed"]
    finally:
        shop.mlship("destroy", "--yes")
    train(shop, MLFLOW_LOG, 2)
    assert note(shop.mlship("check")) == f"{address} is version 2 by now, and mlship.lock pins version 1"
    (locked,) = json.loads((shop.folder / "mlship.lock").read_text())["models"]["models"]
    assert (locked["path"], locked["version"], locked["sha256"]) == (address, "version 1", first["sha256"])
    asked = "import json, mlflow\nv = mlflow.MlflowClient().get_model_version_by_alias('iris', 'deployed')\n"
    told = [str(shop.python), "-c", f"{asked}print(json.dumps([v.version, v.tags]))"]
    said = subprocess.run(told, env=dict(shop.environ), check=True, capture_output=True, text=True).stdout
    version, tags = json.loads(said.splitlines()[-1])
    assert str(version) == "1" and tags["mlship.release"] == deployed["release"]["id"]


def test_an_mlflow_server_hands_out_versions_and_runs(shop: Story, tmp_path: Path) -> None:
    with mlflow_server(shop.python, tmp_path) as settings:
        shop = with_settings(shop, settings)
        truth = train(shop, MLFLOW_LOG)
        run = (truth["folder"] / "run").read_text()
        for address, version in (
            ("models:/iris@champion", "version 1"),
            ("models:/iris/1", "version 1"),
            (f"runs:/{run}/model", f"run {run}"),
        ):
            made = shop.mlship("init", "--model", f"{address}/model.joblib", "--name", "iris", "--force", "--target", "local")[
                "models"
            ][0]
            assert (made["sha256"], made["source_version"]) == (truth["sha256"], version)
        assert "there is no models:/nobody/3" in shop.refused("init", "--model", "models:/nobody/3", "--force")
        asked: list[str] = []

        def inside(path: str, headers: Mapping[str, str]) -> tuple[int, bytes, str]:
            asked.append(path)
            return 200, b"{}", "application/json"

        with (
            answering(inside) as inner,
            answering(lambda path, headers: (302, f"http://{inner}/latest/meta-data".encode(), "text/plain")) as leading,
        ):
            led = with_settings(shop, {"MLFLOW_TRACKING_URI": f"http://{leading}"})
            said = led.refused("init", "--model", "models:/iris@champion", "--force", exit=13)
            assert "failed with error code 302" in said and "(3xx) is not followed" in said and asked == []


def test_what_dvc_tracks_comes_from_its_remote(shop: Story) -> None:
    def run(*words: str) -> None:
        subprocess.run(words, cwd=shop.folder, check=True, capture_output=True)

    dvc = str(shop.python.with_name("dvc"))
    truth = train(shop)
    (truth["folder"] / "model.joblib").rename(shop.folder / "model.joblib")
    for words in (("git", "init", "-q"), (dvc, "init", "-q"), (dvc, "remote", "add", "-q", "-d", "store", "../store"),
                  (dvc, "add", "-q", "model.joblib"), (dvc, "push", "-q"), ("git", "add", "."),
                  ("git", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "first"), ("git", "tag", "v1")):  # fmt: skip
        run(*words)
    (shop.folder / "model.joblib").unlink()
    subprocess.run(["rm", "-rf", ".dvc/cache"], cwd=shop.folder, check=True)
    made = shop.mlship("init", "--model", "model.joblib", "--name", "iris", "--target", "local")
    assert made["models"][0]["sha256"] == truth["sha256"] and not (shop.folder / "model.joblib").exists()
    made = shop.mlship("init", "--model", "dvc://model.joblib@v1", "--name", "iris", "--target", "local", "--force")
    assert made["models"][0]["sha256"] == truth["sha256"]
