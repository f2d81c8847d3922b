"""From a request's rows to the model's call: counted, checked, and with what goes through put beside the answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mlship.server.core import Batch, ServedModel
from mlship.server.input import formats
from mlship.server.messages import Call, Request, Response, answered

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


def ask_table(request: Request, model: ServedModel, respond: Respond = answered) -> Call:
    """The call for a body of CSV, JSON Lines or npy, answered in kind; respond: where Accept asks for JSON. Raises InputError."""
    rows, form = formats.rows(request, model, bare=True)
    wanted = formats.wanted(request, form)
    return ask(request, model, rows, respond if wanted == "json" else formats.writer(wanted, model, csv_header=True))
