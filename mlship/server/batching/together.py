"""Several calls of one model computed as one; apart, where together fails, so that each request pays for itself only."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from mlship.server.batching.aside import aside
from mlship.server.core import NotJoined, ServedModel
from mlship.server.messages import Call, Response, answered, refused, refused_input
from mlship.server.monitoring import log
from mlship.server.problems import InputError, ModelFailed

Measured = Callable[[Sequence[Call], float, float], None]
Outcome = dict[str, Any] | BaseException


def together(model: ServedModel, calls: Sequence[Call], measured: Measured) -> list[Response] | None:
    """The answer to each call, in their order, from one call of the model; None when that fails and they must be taken apart.

    Every way in which a single call can fail becomes its answer. measured: told of each call of the model that gave answers: the
    calls, when it began (time.perf_counter), seconds.
    """
    if len(calls) == 1:
        return [response_to(calls[0], _alone(calls[0], measured))]
    try:
        outcomes = _joined(model, calls, measured)
    except NotJoined:
        return None
    return [response_to(call, outcome) for call, outcome in zip(calls, outcomes, strict=True)]


def apart(model: ServedModel, calls: Sequence[Call], measured: Measured) -> list[Response]:
    """As `together`, where that has failed: only the requests that fail alone are refused."""
    outcomes = _halves(model, calls, measured)
    if not any(isinstance(outcome, BaseException) for outcome in outcomes):
        model.join_no_more(f"{len(calls)} requests fail together, and none of them alone")
    return [response_to(call, outcome) for call, outcome in zip(calls, outcomes, strict=True)]


def _halves(model: ServedModel, calls: Sequence[Call], measured: Measured) -> list[Outcome]:
    """Each half by itself, and its halves where it fails again: the refused stand alone after some log2(calls) calls each.

    Without arrays: the model is called again before they are written, and may use the same array for its next result.
    """
    middle = len(calls) // 2
    return [*_half(model, calls[:middle], measured), *_half(model, calls[middle:], measured)]


def _half(model: ServedModel, calls: Sequence[Call], measured: Measured) -> Sequence[Outcome]:
    if len(calls) == 1:
        return [_alone(calls[0], measured, with_arrays=False)]
    try:
        return _joined(model, calls, measured, with_arrays=False)
    except NotJoined:
        return _halves(model, calls, measured)


def _joined(model: ServedModel, calls: Sequence[Call], measured: Measured, *, with_arrays: bool = True) -> list[dict[str, Any]]:
    started = time.perf_counter()
    with_arrays = with_arrays and all(call.respond is answered for call in calls)
    outcomes = aside(model.run_joined, [call.batch for call in calls], with_arrays)
    measured(calls, started, time.perf_counter() - started)
    return outcomes


def _alone(call: Call, measured: Measured, *, with_arrays: bool = True) -> Outcome:
    started = time.perf_counter()
    try:
        outcome = aside(call.model.run, call.batch, with_arrays and call.respond is answered)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # whatever a model's code comes to: its callers are answered
        return error
    measured((call,), started, time.perf_counter() - started)
    return outcome


def response_to(call: Call, outcome: Outcome) -> Response:
    """The answer that its outcome makes; each way in which a call can fail has one."""
    request_id = call.request.id
    try:
        if not isinstance(outcome, BaseException):
            return call.respond(outcome)
        raise outcome
    except InputError as error:
        return refused_input(error, request_id)
    except ModelFailed as error:
        log.failure("model_failed", error.__cause__ or error, request_id=request_id, model=call.model.entry.name)
        return refused(
            500, "the model failed on this input; the log has the reason under this request id", request_id, "model_failed"
        )
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        log.failure("answer_failed", error, request_id=request_id, model=call.model.entry.name)
        return refused(500, "the answer could not be written; the log has the reason under this request id", request_id)
