"""Asking a deployed model the way that callers do: `:predict`, and `:rawPredict` where every byte of the answer counts.

`:predict` passes predictions through a google.protobuf.Value, in which 1 and 1.0 are the same: the release is asked by it, a sample is
compared by `:rawPredict`. Neither can name a deployed model: PredictRequest has no such field (aiplatform.v1, 20261106; the same was
answered in github.com/googleapis/python-aiplatform/issues/827, 2022); ExplainRequest has one, for models with explanations, and the
route `deployedModels/ID/invoke` takes only models that have given `:predict` up (invokeRoutePrefix, a preview on dedicated endpoints).
Both say which one answered: `deployedModelId`, and the header below (vertex-ai/docs/reference/rest, rawPredict; read 2026-11).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol

from mlship.targets.base import Answer, Request

ANSWERED_BY = "x-vertex-ai-deployed-model-id"
QUESTION = b'{"instances": [{"mlship": "release"}]}'
PREDICT_PATHS = ("/predict", "/vertex/predict")
IDENTITY_PATHS = ("/mlship/release", "/readyz", "/livez")  # who says its release has loaded its model
CHANCE = 0.001  # that a deployed model with its share of the callers was not met by then
MOST_TRIES = 700
BUSY, BUSY_TRIES = (429, 503), 4


class Sender(Protocol):
    """The door's way to post what is no document of Google's."""

    def post(self, url: str, body: bytes, headers: Mapping[str, str], timeout_s: float, /) -> Answer: ...


def ask(door: Sender, url: str, request: Request) -> Answer:
    """One request, as whoever is led by the endpoint's split answers it. url: of the endpoint, without a method."""
    if request.method == "GET" and request.path in IDENTITY_PATHS:
        return _identity(door, url, request)
    if request.method == "GET" or request.path not in PREDICT_PATHS:
        return Answer(404, f"Vertex AI leads nobody to {request.path}: an endpoint has one predict route".encode())
    headers = {"Content-Type": request.content_type, "Accept": request.accept}
    return _as_here(_sent(door, f"{url}:rawPredict", request.body, headers, request.timeout_s))


def ask_one(door: Sender, url: str, request: Request, id: str, share: float) -> Answer:
    """The same, until the deployed model with this id answers. share: of the callers that it has, in (0, 1]."""
    tries = MOST_TRIES if share >= 1 else min(math.ceil(math.log(CHANCE) / math.log(1 - share)), MOST_TRIES)
    answer = Answer(0, b"nobody was asked")
    for _ in range(max(tries, 1)):
        answer = ask(door, url, request)
        answered_by = answer.headers.get(ANSWERED_BY, "")
        if answered_by in (id, "") or answer.status == 0:
            return answer
        if share >= 1:
            break
    return Answer(0, f"of {tries} requests none was answered by the deployed model {id}".encode(), answer.headers)


def _identity(door: Sender, url: str, request: Request) -> Answer:
    """What the server says that it is, as it would at the path that nobody reaches there."""
    told = _sent(door, f"{url}:predict", QUESTION, {"Content-Type": "application/json"}, request.timeout_s)
    if told.status != 200:
        return told
    try:
        said = json.loads(told.body)
        (identity,) = said["predictions"]
        by = str(said.get("deployedModelId", ""))
    except (ValueError, KeyError, TypeError):
        return replace(told, status=502, body=b"the answer of :predict is no prediction")
    return Answer(200, json.dumps(identity).encode(), {**told.headers, ANSWERED_BY: by})


def _as_here(answer: Answer) -> Answer:
    """In the form of /predict. Vertex AI's has one entry a row: the prediction alone, or an object with all that the model says, where
    the project names more (serve.outputs, serve.passthrough).
    """
    try:
        rows = json.loads(answer.body)["predictions"]
    except (ValueError, KeyError, TypeError):
        return answer
    if (
        not isinstance(rows, list)
        or not rows
        or not all(isinstance(row, dict) and row.keys() == rows[0].keys() for row in rows)
    ):
        return replace(answer, is_partial=True)
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    return replace(answer, body=json.dumps({"predictions": rows, **columns}).encode())


def _sent(door: Sender, url: str, body: bytes, headers: Mapping[str, str], timeout_s: float) -> Answer:
    """What no deployed model has answered, because Google was busy, is asked again."""
    answer = Answer(0)
    for _ in range(BUSY_TRIES):
        answer = door.post(url, body, headers, timeout_s)
        if answer.status not in BUSY or answer.headers.get(ANSWERED_BY):
            break
    return answer
