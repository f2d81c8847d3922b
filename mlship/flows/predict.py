"""predict: asks the live service, with the given rows or with the sample."""

from __future__ import annotations

import json
from pathlib import Path

from mlship.errors import Exit, MlshipError
from mlship.flows.command_line import MANAGED
from mlship.flows.context import Context, Where
from mlship.flows.hosts import endpoint_of
from mlship.flows.opening import Opened, history_or_error, opened
from mlship.flows.results import Predicted
from mlship.targets.base import Request

MAX_FILE = 64_000_000  # bytes; larger inputs are work for batch prediction


def predict(
    context: Context, where: Where, *, data: Path | None = None, body: bytes | None = None, model: str = ""
) -> Predicted:
    """data: a .json file with a /predict body or a list of rows, or a .csv file with a header. body: the same as JSON bytes.

    model: one of several; the first of the file where it is left out.
    Raises MlshipError with exit 2 for an input that the model does not take, 13 when nothing answers.
    """
    place = opened(context, where)
    _require_model(place, model)
    content, content_type = _body(place, data, body, model)
    path = f"/predict/{model}" if model else "/predict"
    answer = place.target.ask(Request("POST", path, content, "live", content_type=content_type, timeout_s=60.0))
    if answer.status == 0:
        raise MlshipError(
            f"{place.name} does not answer: {answer.body.decode(errors='replace')}",
            fix=f"mlship status {place.name}",
            exit=Exit.UNREACHABLE,
            code="unreachable",
        )
    if answer.status != 200:
        raise _refused(place, answer.status, answer.body)
    return Predicted(_endpoint(place), answer.headers.get("x-mlship-release", ""), _answer(answer.body))


def _require_model(place: Opened, model: str) -> None:
    """Raises MlshipError with exit 2 for a model that the live release does not have."""
    if not model:
        return
    live = history_or_error(place, place.target.observe().history).live_release
    known = [served.name for served in live.served.models] if live else [model]
    if model not in known:
        raise MlshipError(
            f"{place.name} has no model {model}; it has {', '.join(known)}", fix="name one of them, or leave --model out"
        )


def _body(place: Opened, data: Path | None, body: bytes | None, model: str) -> tuple[bytes, str]:
    if body is not None:
        return _wrapped(body, "the request"), "application/json"
    if data is None:
        return _sample(place, model), "application/json"
    try:
        if data.stat().st_size > MAX_FILE:
            raise MlshipError(f"{data} is larger than {MAX_FILE // 10**6} MB", fix="send it in pieces")
        raw = data.read_bytes()
    except OSError as error:
        raise MlshipError(f"{data} cannot be read: {error.strerror}", fix="name a .json or .csv file") from None
    if data.suffix.lower() == ".csv":
        return raw, "text/csv"
    return _wrapped(raw, str(data)), "application/json"


def _wrapped(raw: bytes, where: str) -> bytes:
    """A bare list of rows becomes a /predict body."""
    try:
        document = json.loads(raw)
    except ValueError as error:
        raise MlshipError(f"not JSON: {error}", where, 'write {"instances": [...]} or a list of rows') from None
    return json.dumps({"instances": document}).encode() if isinstance(document, list) else raw


def _sample(place: Opened, model: str) -> bytes:
    live = history_or_error(place, place.target.observe().history).live_release
    asked = model or (live.served.models[0].name if live else "")
    proof = live.proofs.get(asked) if live else None
    if proof and proof.instances:
        return json.dumps({"instances": list(proof.instances)}).encode()
    raise MlshipError(
        f"{asked or place.name} was built without a sample",
        fix="name rows with --data FILE, or set model.sample",
        code="no-sample",
    )


def _answer(raw: bytes) -> dict[str, object]:
    """JSON, because every request asks for it; what a proxy says instead is kept as it is."""
    try:
        document = json.loads(raw)
    except ValueError:
        return {"predictions": raw.decode(errors="replace").splitlines()}
    return document if isinstance(document, dict) else {"predictions": document}


def _endpoint(place: Opened) -> str:
    """Empty where nobody tells it: the answer came all the same."""
    try:
        return endpoint_of(place, place.target.observe())
    except MlshipError:
        return ""


def _refused(place: Opened, status: int, raw: bytes) -> MlshipError:
    document = _answer(raw).get("error")
    error = document if isinstance(document, dict) else {}
    problems = error.get("problems") or []
    said = [str(problem.get("message", problem)) if isinstance(problem, dict) else str(problem) for problem in problems]
    endpoint = _endpoint(place)
    is_open = endpoint.startswith("http") and not endpoint.endswith((*MANAGED, ":predict"))
    asked = f"curl {endpoint}/schema" if is_open else f"{place.command('predict')} asks with the sample, which"
    return MlshipError(
        f"{place.name} answers {status}: {error.get('message') or raw.decode(errors='replace')[:400]}",
        fix=f"mlship status {place.name}" if status >= 500 else f"{asked} shows what the model takes",
        exit=Exit.VERIFY_FAILED if status >= 500 else Exit.USAGE,
        code="predict-refused",
        details=said,
    )
