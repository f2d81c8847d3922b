"""Which bytes a request brings and which it wants back: content types, one table for all protocols."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Literal

import orjson

from mlship.server.core import Batch, ServedModel
from mlship.server.input import csvtext, jsontext, npy
from mlship.server.messages import JSON, TAKEN, Request, Response, answered
from mlship.server.problems import InputError

Format = Literal["json", "csv", "jsonlines", "npy"]

# curl -d announces a form where the caller says nothing; the bodies that people send so are JSON
TYPES: dict[str, Format] = {
    "": "json",
    "application/json": "json",
    "application/x-www-form-urlencoded": "json",
    "text/json": "json",
    "text/csv": "csv",
    "application/csv": "csv",
    "application/jsonlines": "jsonlines",
    "application/jsonl": "jsonlines",
    "application/x-jsonlines": "jsonlines",
    "application/x-ndjson": "jsonlines",
    "application/ndjson": "jsonlines",
    "application/x-npy": "npy",
}
LIKED = 32  # media types of an Accept header that are looked at; more are no wish
QUALITY = re.compile(r"(0(\.\d{0,3})?|1(\.0{0,3})?)\Z", re.ASCII)
WRITTEN: dict[Format, str] = {
    "json": JSON,
    "csv": "text/csv; charset=utf-8",
    "jsonlines": "application/jsonlines",
    "npy": "application/x-npy",
}


def sent(request: Request) -> tuple[Format, bool | None]:
    """The format of the body, and whether its CSV has a header line (None: not said). Raises InputError(415)."""
    given = request.headers.get("content-type", "")
    if given == JSON and "content-encoding" not in request.headers:
        return "json", None
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise InputError(415, message="a compressed body is not taken; send it without Content-Encoding")
    kind, _, rest = given.partition(";")
    parameters = dict(_parameter(part) for part in rest.split(";") if part.strip())
    if parameters.get("charset", "utf-8") not in ("utf-8", "utf8", "us-ascii"):
        raise InputError(415, message=f"the charset {parameters['charset'][:40]} is not taken; send UTF-8")
    kind = kind.strip().lower()
    if kind.endswith("+json"):
        return "json", None
    if kind not in TYPES:
        raise InputError(415, message=f"the content type {kind[:80]} is not taken; send one of {TAKEN}")
    header = {"present": True, "absent": False}.get(parameters.get("header", ""))
    return TYPES[kind], header


def is_table(request: Request) -> bool:
    """Whether the body is said to be rows in another form than JSON, at a path where unknown types are not refused."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return TYPES.get(kind, "json") != "json"


def wanted(request: Request, default: Format, strict: bool = False) -> Format:
    """The format that Accept likes best (RFC 9110, 12.5.1); the default when it asks for nothing that there is.

    strict: raises InputError(406) instead.
    """
    accept = request.headers.get("accept")
    if accept is None or accept == "*/*":
        return default
    for kind in _by_liking(accept):
        if kind in ("*/*", "application/*"):
            return default
        if kind == "text/*":
            return "csv"
        if kind and kind in TYPES:
            return TYPES[kind]
    if strict:
        raise InputError(406, message=f"there is no answer of type {accept[:80]}; accept one of {TAKEN}")
    return default


def _by_liking(accept: str) -> list[str]:
    """The media types of an Accept header, the most liked first, in the caller's order where it likes them equally."""
    liked = []
    for part in accept.split(",", LIKED)[:LIKED]:
        kind, _, rest = part.partition(";")
        weight = dict(_parameter(each) for each in rest.split(";") if each.strip()).get("q", "1")
        quality = float(weight) if QUALITY.match(weight) else 1.0
        if quality:
            liked.append((-quality, kind.strip().lower()))
    return [kind for _, kind in sorted(liked, key=lambda pair: pair[0])]


def rows(request: Request, model: ServedModel, bare: bool) -> tuple[list[Any] | Batch, Format]:
    """The rows of a body and its format; an array is a batch already. bare: a JSON list without envelope is taken.

    Raises InputError.
    """
    form, header = sent(request)
    if form == "csv":
        return csvtext.rows(request.body, model.entry.signature, header, model.extras), form
    if form == "jsonlines":
        return jsontext.lines(request.body), form
    if form == "npy":
        return npy.batch(request.body, model), form
    return jsontext.instances(request.body, model, bare), form


def writer(form: Format, model: ServedModel, csv_header: bool) -> Callable[[dict[str, Any]], Response]:
    """What turns the model's answer into a response; npy has the predictions alone.

    csv_header: with a header line, and every output beside predictions.
    """
    if form == "csv":
        return lambda answer: Response(200, _csv(answer, model, csv_header), WRITTEN["csv"])
    if form == "jsonlines":
        return lambda answer: Response(200, _json_lines(answer), WRITTEN["jsonlines"])
    if form == "npy":
        return lambda answer: Response(200, npy.data(answer["predictions"]), WRITTEN["npy"])
    return answered


def _csv(answer: dict[str, Any], model: ServedModel, header: bool) -> bytes:
    told = answer if header else {"predictions": answer["predictions"]}
    return csvtext.text(told, model.entry.signature.outputs, header)


def _json_lines(answer: dict[str, Any]) -> bytes:
    names = list(answer)
    return b"".join(orjson.dumps(dict(zip(names, row, strict=True))) + b"\n" for row in zip(*answer.values(), strict=True))


def _parameter(part: str) -> tuple[str, str]:
    name, _, value = part.partition("=")
    return name.strip().lower(), value.strip().strip('"').lower()
