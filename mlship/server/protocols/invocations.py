"""/invocations where SageMaker and MLflow are both spoken: the body decides, and serve.invocations where it does not."""

from __future__ import annotations

from typing import Any

import orjson

from mlship.server.input import formats
from mlship.server.messages import Call, Request, Response, Route
from mlship.server.protocols import mlflow, sagemaker
from mlship.server.service import Service

# keys of MLflow alone; `instances` is an envelope of both
OF_MLFLOW = ("dataframe_split", "dataframe_records", "inputs", "params")
MARKS = tuple(f'"{key}"'.encode() for key in OF_MLFLOW)


def routes(service: Service) -> list[Route]:
    """/invocations, when it has two meanings."""
    spoken = service.manifest.serving.protocols
    if "mlflow" not in spoken or "sagemaker" not in spoken:
        return []

    def predict(request: Request) -> Response | Call:
        if service.manifest.serving.invocations == "mlflow" or asks_mlflow(request):
            return mlflow.predict(service, request)
        return sagemaker.predict(service, request)

    return [Route("/invocations", {"POST": predict})]


def asks_mlflow(request: Request) -> bool:
    """True for a JSON object with a key that only MLflow has. Raises InputError(415)."""
    body = request.body
    if not any(mark in body for mark in MARKS) or formats.sent(request)[0] != "json":
        return False
    try:
        value: Any = orjson.loads(body)
    except orjson.JSONDecodeError:
        # the client's NaN, or no JSON at all: MLflow's reader knows both
        return True
    return isinstance(value, dict) and any(key in value for key in OF_MLFLOW)
