"""Answers that come by pages, of what has no official client here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mlship.targets.gcp.door import Body, Door


def pages(door: Door, url: str, query: Mapping[str, str]) -> Iterator[Body]:
    """Of a GET. A page may be empty and not the last one: only a missing token says that."""
    token: str | None = ""
    while token is not None:
        told = door.http("GET", url, None, {**query, **({"pageToken": token} if token else {})})
        yield told
        token = told.get("nextPageToken") or None


def posted_pages(door: Door, url: str, body: Mapping[str, Any]) -> Iterator[Body]:
    """The same of a POST that changes nothing, whose token stands in the body."""
    token: str | None = ""
    while token is not None:
        told = door.http("POST", url, {**body, **({"pageToken": token} if token else {})}, reads=True)
        yield told
        token = told.get("nextPageToken") or None
