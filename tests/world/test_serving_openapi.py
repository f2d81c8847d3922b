"""The server keeps to its own OpenAPI document: schemathesis finds no 5xx and no breach of a schema."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from serving_models import Judged, Server, judged_model

SEED = "20261122"
# the routes of protocols say what form a body has; only our own say exactly which rows a model takes
OWN = ("--include-path", "/predict")


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Judged:
    return judged_model("pipeline", tmp_path_factory.mktemp("judged") / "pipeline")


@pytest.fixture(scope="module")
def server(judged: Judged) -> Iterator[Server]:
    with judged.server() as running:
        yield running


def test_no_request_that_the_document_describes_or_forbids_is_answered_against_it(server: Server, tmp_path: Path) -> None:
    # that all text is schema-valid CSV is no promise that the model takes it
    found = schemathesis(
        tmp_path, f"http://127.0.0.1:{server.port}/openapi.json", "--exclude-checks", "positive_data_acceptance"
    )
    assert found.returncode == 0, found.stdout[-6000:] + found.stderr[-2000:]


def test_every_json_body_that_fits_our_own_route_is_accepted(server: Server, tmp_path: Path) -> None:
    document = tmp_path / "openapi.json"
    document.write_text(json.dumps(only_json(server.ask("/openapi.json").json)))
    base = f"http://127.0.0.1:{server.port}"
    found = schemathesis(
        tmp_path, str(document), "--url", base, "--mode", "positive", *OWN, "--checks", "positive_data_acceptance"
    )
    assert found.returncode == 0, found.stdout[-6000:] + found.stderr[-2000:]


def schemathesis(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """One bounded run, always of the same requests."""
    program = [str(Path(sys.executable).with_name("st")), "run", *words, "--continue-on-failure", "--no-shrink"]
    bounds = ["--phases", "examples,coverage,fuzzing", "--max-examples", "8", "--seed", SEED, "--generation-deterministic"]
    return subprocess.run([*program, *bounds], cwd=folder, capture_output=True, text=True, timeout=300, check=False)


def only_json(document: dict[str, Any]) -> dict[str, Any]:
    """The document without request bodies that are text or bytes."""
    for operation in (operation for path in document["paths"].values() for operation in path.values()):
        if isinstance(operation, dict) and "requestBody" in operation:
            content = operation["requestBody"]["content"]
            operation["requestBody"]["content"] = {kind: content[kind] for kind in content if kind == "application/json"}
    return document
