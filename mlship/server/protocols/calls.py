"""From a request's rows to the model's call: counted, checked, and with what goes through put beside the answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mlship.server.core import Batch, ServedModel
from mlship.server.messages import Call, Request, Response

Respond = Callable[[dict[str, Any]], Response]


def ask(request: Request, model: ServedModel, rows: Any, respond: Respond) -> Call:
    """The call for these rows, as callers sent them or as a batch of this model. Raises InputError."""
    batch = rows if isinstance(rows, Batch) else model.prepare(rows)
    request.rows = batch.count
    if not model.extras.kept:
        return Call(request, model, batch, respond)
    # an array has no names beside its numbers
    kept = model.extras.values([None] * batch.count if rows is batch else rows)
    return Call(request, model, batch, lambda answer: respond({**answer, **kept}))
