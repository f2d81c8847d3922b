"""InvokeEndpoint, the way that callers go: signed, and with nothing but a body and its type.

SageMaker forwards POST /invocations alone. Which release answers is asked by the body that every server knows.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from mlship.errors import MlshipError
from mlship.targets.aws.door import Door, Refused
from mlship.targets.base import Answer, Request

QUESTION = b'{"mlship": "release"}'
IDENTITY = ("/mlship/release", "/readyz", "/livez")  # a machine without an answer to GET /ping gets no request
PREDICTIONS = ("/predict", "/invocations")
MODEL_ERROR = "ModelError"  # the server's own answer was not 2xx
UNAVAILABLE = 503


def ask(door: Door, endpoint: str, variant: str, request: Request) -> Answer:
    """variant: empty for whichever SageMaker takes. Status 0, with the reason in words, where nothing answers."""
    is_question = request.path in IDENTITY
    if not is_question and not request.path.startswith(PREDICTIONS):
        return Answer(404, f"SageMaker forwards predictions only, and not {request.path}".encode())
    of = {"TargetVariant": variant} if variant else {}
    if model := _model_in(request.path):
        of["CustomAttributes"] = f"mlship-model={model}"  # as server/protocols/sagemaker.py reads it
    body = QUESTION if is_question else request.body
    said = {"EndpointName": endpoint, "Body": body, "ContentType": request.content_type, "Accept": request.accept, **of}
    try:
        told = door.call("sagemaker-runtime", "invoke_endpoint", **said)
    except Refused as no:
        return _refused(no)
    except MlshipError as error:
        return Answer(0, error.what.encode())
    return _answer(told, request)


def _model_in(path: str) -> str:
    """`fraud` of /predict/fraud; empty where the first is meant."""
    return path.partition("?")[0].removeprefix("/predict/") if path.startswith("/predict/") else ""


def _answer(told: Mapping[str, Any], request: Request) -> Answer:
    raw: bytes = told["Body"].read()
    headers = {"content-type": str(told.get("ContentType") or "")}
    if told.get("InvokedProductionVariant"):
        headers["x-amzn-invoked-production-variant"] = str(told["InvokedProductionVariant"])
    if release := _release_in(str(told.get("CustomAttributes") or "")):
        headers["x-mlship-release"] = release
    if request.path == "/readyz" and _is_unready(raw):
        return Answer(UNAVAILABLE, raw, headers)
    return Answer(200, raw, headers)


def _release_in(attributes: str) -> str:
    """`mlship-release=r12-7f3a9c`, between what a user's own code may say there."""
    parts = (part.strip().partition("=") for part in attributes.replace(";", ",").split(","))
    return next((text for name, _, text in parts if name == "mlship-release"), "")


def _is_unready(raw: bytes) -> bool:
    try:
        said = json.loads(raw)
    except ValueError:
        return True
    return not (isinstance(said, Mapping) and said.get("ready", True))


def _refused(no: Refused) -> Answer:
    status = no.answer.get("OriginalStatusCode") if no.said == MODEL_ERROR else None
    if status:
        return Answer(int(status), str(no.answer.get("OriginalMessage") or "").encode())
    return Answer(0, no.what.encode())
