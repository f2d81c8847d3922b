"""Two models in one server, asked by NVIDIA's own client: tensors in JSON and binary, one at a time and many at once."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from serving_models import Judged, Server, judged_model

from mlship.server import manifest

tritonclient = pytest.importorskip("tritonclient.http", reason="the client is in the dev extra")
InferenceServerException = pytest.importorskip("tritonclient.utils").InferenceServerException
pytestmark = pytest.mark.world

MANY = 48


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Judged]:
    folder = tmp_path_factory.mktemp("tensors")
    return {name: judged_model(name, folder / name) for name in ("linear", "pipeline")}


@pytest.fixture(scope="module")
def server(models: dict[str, Judged]) -> Iterator[Server]:
    linear = models["linear"]
    (linear.folder / "manifest.json").write_bytes(manifest.to_json(both(models)))
    with linear.server(MLSHIP_RELEASE="r41-9c01d2") as server:
        yield server


def both(models: dict[str, Judged]) -> manifest.Manifest:
    """The first model's manifest with the second model in it."""
    first, second = (manifest.from_json((judged.folder / "manifest.json").read_bytes()) for judged in models.values())
    entry = replace(second.models[0], path=str(models["pipeline"].folder / second.models[0].path))
    serving = replace(first.serving, protocols=("native", "v2", "tfserving"))
    return replace(first, models=(first.models[0], entry), serving=serving)


@pytest.fixture
def client(server: Server) -> Iterator[Any]:
    with tritonclient.InferenceServerClient(f"127.0.0.1:{server.port}", concurrency=8, network_timeout=30) as client:
        yield client


def tensor(name: str, values: Any, datatype: str, binary: bool = True) -> Any:
    sent = tritonclient.InferInput(name, list(values.shape), datatype)
    return sent.set_data_from_numpy(values, binary_data=binary)


def of_linear(judged: Judged, rows: slice, dtype: str = "float64", binary: bool = True) -> list[Any]:
    return [tensor("input-0", np.array(judged.rows[rows], dtype=dtype), {"float64": "FP64", "float32": "FP32"}[dtype], binary)]


def of_pipeline(judged: Judged, rows: slice, binary: bool = True) -> list[Any]:
    asked = judged.rows[rows]
    columns = {name: [row[name] for row in asked] for name in asked[0]}
    return [
        tensor("city", np.array(columns["city"], dtype=object).reshape(-1, 1), "BYTES", binary),
        tensor("age", np.array(columns["age"]).astype("int32"), "INT32", binary),
        tensor("fee", np.array(columns["fee"]), "FP64", binary),
    ]


def test_the_client_finds_server_models_and_versions(client: Any) -> None:
    assert client.is_server_live() and client.is_server_ready()
    assert client.is_model_ready("linear") and client.is_model_ready("pipeline", "41")
    assert not client.is_model_ready("lineal") and not client.is_model_ready("linear", "40")
    assert client.get_server_metadata()["extensions"] == ["binary_tensor_data"]
    told = client.get_model_metadata("linear")
    assert (told["versions"], told["inputs"][0]["shape"]) == (["41"], [-1, 30])
    assert [entry["datatype"] for entry in client.get_model_metadata("pipeline")["inputs"]] == ["FP64", "FP64", "BYTES"]


@pytest.mark.parametrize("binary", [True, False])
def test_the_client_reads_what_the_models_answer(client: Any, models: dict[str, Judged], binary: bool) -> None:
    some = slice(3, 20)
    for name, inputs in (("linear", of_linear), ("pipeline", of_pipeline)):
        judged = models[name]
        got = client.infer(name, inputs(judged, some, binary=binary), request_id="r-1", model_version="41")
        assert got.get_response()["id"] == "r-1"
        np.testing.assert_array_equal(got.as_numpy("predictions"), judged.classes[some])
        np.testing.assert_allclose(got.as_numpy("probabilities"), judged.probabilities[some], rtol=1e-12)
        wanted = [tritonclient.InferRequestedOutput("probabilities", binary_data=binary)]
        only = client.infer(name, inputs(judged, some), outputs=wanted)
        np.testing.assert_allclose(only.as_numpy("probabilities"), judged.probabilities[some], rtol=1e-12)
        assert only.as_numpy("predictions") is None


def test_many_at_once_get_each_their_own_answer(client: Any, models: dict[str, Judged]) -> None:
    """What is joined in one call of a model is taken apart again, whatever form it came in."""
    linear, pipeline = models["linear"], models["pipeline"]
    asked: list[tuple[Judged, slice, Any]] = []
    for index in range(MANY):
        rows = slice(index, index + 1 + index % 3)
        asked += [
            (linear, rows, client.async_infer("linear", of_linear(linear, rows, binary=index % 2 == 0))),
            (pipeline, rows, client.async_infer("pipeline", of_pipeline(pipeline, rows, binary=index % 2 == 0))),
        ]
    for judged, rows, given in asked:
        np.testing.assert_allclose(given.get_result().as_numpy("probabilities"), judged.probabilities[rows], rtol=1e-9)


def test_the_client_shows_what_is_wrong_in_the_servers_words(client: Any, models: dict[str, Judged]) -> None:
    rows = np.array(models["linear"].rows[:3])
    rows[2, 4] = np.inf
    for inputs, model, status, words in (
        ([tensor("input-0", rows, "FP64")], "linear", "422", 'row 2, feature "x4": expected a number, got Infinity'),
        ([tensor("input-0", rows[:, :29], "FP64")], "linear", "422", "has shape [3, 29]; the model takes [rows, 30]"),
        ([tensor("predict", rows[:, :29], "FP64")], "linear", "422", 'the model takes no tensor "predict"'),
        ([tensor("input-0", rows.astype(bool), "BOOL")], "linear", "422", "is BOOL: expected a number"),
        ([tensor("input-0", rows, "FP64")], "lineal", "404", 'there is no model "lineal" here; did you mean "linear"?'),
        (of_pipeline(models["pipeline"], slice(0, 2))[1:], "pipeline", "422", 'there is no tensor "city"'),
    ):
        with pytest.raises(InferenceServerException) as refused:
            client.infer(model, inputs)
        assert (refused.value.status(), words in refused.value.message()) == (status, True), refused.value.message()


def test_a_body_beyond_the_limit_is_refused_in_the_clients_form(client: Any) -> None:
    rows = np.zeros((20_000, 30))
    with pytest.raises(InferenceServerException, match=r"\[413\] the body is larger than"):
        client.infer("linear", [tensor("input-0", rows, "FP64")])


def test_each_model_answers_in_every_form_under_its_name(server: Server, models: dict[str, Judged]) -> None:
    judged = models["pipeline"]
    body = {"instances": judged.rows[:2]}
    own = server.ask("/predict/pipeline", body).json
    np.testing.assert_allclose(own["probabilities"], judged.probabilities[:2], rtol=1e-12)
    rows = server.ask("/v1/models/pipeline/versions/41:predict", body).json["predictions"]
    assert [row["predictions"] for row in rows] == judged.classes[:2]
    columns = {name: [row[name] for row in judged.rows[:2]] for name in judged.rows[0]}
    np.testing.assert_allclose(
        server.ask("/v1/models/pipeline:predict", {"inputs": columns}).json["outputs"]["probabilities"],
        judged.probabilities[:2],
        rtol=1e-12,
    )
    assert server.ask("/predict", {"instances": models["linear"].rows[:1]}).json["predictions"] == models["linear"].classes[:1]
    assert set(server.ask("/mlship/release").json["models"]) == {"linear", "pipeline"}


def test_no_path_of_a_strangers_making_becomes_a_time_series(server: Server) -> None:
    for path in (
        "/v2/models/a/infer",
        "/v2/models/b/infer",
        "/v1/models/c:predict",
        "/predict/d",
        "/v2/models/linear/versions/9",
    ):
        server.ask(path, {})
    told = server.ask("/metrics").body.decode()
    routes = {line.split('route="')[1].split('"')[0] for line in told.splitlines() if 'route="' in line}
    assert not [route for route in routes if "/a/" in route or route.endswith(("/d", "c:predict", "9"))]
    assert "/v2/models/{model}/infer" in routes


def test_a_model_that_does_not_load_is_named(models: dict[str, Judged], tmp_path: Path) -> None:
    document = both({"linear": models["linear"], "pipeline": models["pipeline"]})
    lost = replace(document.models[1], path="gone.joblib", name="fraud")
    (tmp_path / "manifest.json").write_bytes(
        manifest.to_json(
            replace(document, models=(replace(document.models[0], path=str(models["linear"].folder / "model.joblib")), lost))
        )
    )
    judged = replace(models["linear"], folder=tmp_path)
    with pytest.raises(AssertionError) as stopped, judged.server():
        pass
    assert "fraud" in str(stopped.value) and json.dumps("ready") not in str(stopped.value)


def test_the_only_tensor_of_a_matrix_may_have_any_name(client: Any, models: dict[str, Judged]) -> None:
    judged = models["linear"]
    sent = tensor("predict", np.array(judged.rows[:3]), "FP64")
    told = client.infer("linear", [sent]).as_numpy("probabilities")
    assert np.allclose(told, judged.probabilities[:3])


def test_the_guide_s_example_does_what_it_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    guide = (Path(__file__).parents[2] / "docs" / "guide.md").read_text(encoding="utf-8")
    (example,) = [text for text in re.findall(r"```python\n(.*?)```", guide, re.S) if "tritonclient" in text]
    judged = judged_model("churn", tmp_path / "churn")
    with judged.server() as server:
        exec(example.replace("127.0.0.1:8080", f"127.0.0.1:{server.port}"), {})
    model = joblib.load(judged.folder / "model.joblib")
    expected = model.predict_proba(pd.DataFrame({"age": [31, 64], "city": ["Rome", "Oslo"]}))
    assert capsys.readouterr().out.strip() == str(expected)
