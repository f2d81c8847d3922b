"""Sources that speak plain HTTP: documents, byte ranges, and redirects that never lead to this machine's own surroundings."""

from __future__ import annotations

import ipaddress
import json
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from mlship.errors import MlshipError
from mlship.oci.registry import connection
from mlship.oci.registry.connection import DOCUMENT_LIMIT, Answer, Call, Connection, proxy_for
from mlship.sources.base import Body, Cut, Opening, changed, denied, missing, unreachable

TRIES = 3
_PAUSES_S = (0.5, 2.0)
_BRIEF_S = 5.0
_LATER = frozenset((408, 429, 500, 502, 503, 504))
# Names that clouds give to the service which hands out a machine's credentials; its addresses are link-local but for the last
# three, which are those of Alibaba, Azure and Oracle. https://cloud.google.com/compute/docs/metadata/querying-metadata (2026-11)
_METADATA = frozenset(
    ("metadata", "metadata.google.internal", "instance-data", "100.100.100.200", "168.63.129.16", "192.0.0.192")
)
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052: IPv4 within


class Web:
    """Safe for several threads. service: for people. login: what to do about 401 and 403. authorization: a header's value.

    transport, pause: take the place of the network and of waiting in tests.
    """

    def __init__(
        self,
        opening: Opening,
        service: str,
        login: str,
        authorization: Callable[[], str] = lambda: "",
        transport: Any = None,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._opening = opening
        self._service = service
        self._login = login
        self._authorization = authorization
        self._pause = pause
        self._connection = Connection(opening.environ, transport, self._refuse_inward)

    def document(self, url: str, what: str) -> Any | None:
        """JSON; None where there is nothing (404). what: for people. Raises MlshipError: exit 8 or 13."""
        answer = self._answered(url, what)
        if answer.status == 404:
            return None
        self._refuse(answer, what)
        if len(answer.body) > DOCUMENT_LIMIT:
            raise changed(f"{self._service} answers with more than {DOCUMENT_LIMIT} bytes for {what}", self._opening.where)
        try:
            return json.loads(answer.body)
        except ValueError:
            raise changed(f"{self._service} answers with something else than JSON for {what}", self._opening.where) from None

    @contextmanager
    def body(
        self, url: str, what: str, start: int, state: str = "", headers: Mapping[str, str] | None = None
    ) -> Iterator[Body]:
        """Bytes from `start` on. state: an entity tag, where the address does not name one version: only then are they of it.

        Raises Cut, and MlshipError where it is refused.
        """
        begin = {"Range": f"bytes={start}-", **({"If-Range": state} if state else {})} if start else {}
        try:
            with self._connection.stream(Call("GET", url, {**(headers or {}), **begin}), self._authorization()) as streamed:
                if streamed.answer.status in _LATER:
                    raise Cut(f"{self._service} answers {streamed.answer.status}")
                self._refuse(streamed.answer, what)
                yield Body(_begins(streamed.answer, start), streamed.pieces)
        except connection.Cut as cut:
            raise Cut(cut.reason) from None

    def _answered(self, url: str, what: str) -> Answer:
        tries = 1 if self._opening.is_brief else TRIES
        call = Call("GET", url, {"Accept": "application/json"})
        call = call if not self._opening.is_brief else Call("GET", url, call.headers, answer_s=_BRIEF_S)
        for number in range(tries):
            try:
                answer = self._connection.send(call, self._authorization())
            except connection.Cut as cut:
                trouble = cut.reason
            else:
                if answer.status not in _LATER:
                    return answer
                trouble = f"it answers {answer.status}"
            if number + 1 < tries:
                self._pause(_PAUSES_S[number])
        raise unreachable(f"{self._service} cannot be reached for {what}: {trouble}", self._opening.where)

    def _refuse(self, answer: Answer, what: str) -> None:
        where = self._opening.where
        if answer.status in (401, 403):
            raise denied(
                f"{what} may not be read with these credentials ({self._service}: {answer.status})", where, self._login
            )
        if answer.status in (404, 410):
            raise missing(f"there is no {what}", where)
        if answer.status in (412, 416):
            raise changed(f"{what} was replaced while it was fetched", where)
        if answer.status not in (200, 206):
            raise unreachable(
                f"{self._service} answers {answer.status} for {what}", where, "try again later; nothing was changed"
            )

    def _refuse_inward(self, asked: str, target: str) -> None:
        """From the open a redirect leads to the open: an answer must not make this machine ask what only this machine can reach."""
        if proxy_for(
            target, self._opening.environ
        ):  # then the proxy looks names up, and names and addresses are judged as said
            inward, from_open = _is_inward_name(_host(target)), not _is_inward_name(_host(asked))
        else:
            inward, from_open = is_inward(_host(target)), not is_inward(_host(asked))
        if _is_metadata(_host(target)) or (inward and from_open):
            raise MlshipError(
                f"{self._service} leads to {urlsplit(target).scheme}://{_host(target)}, which is not followed: "
                "it is an address of this machine's own network",
                self._opening.where,
                "ask whoever runs it",
                code="bad-redirect",
            )


def is_inward(host: str) -> bool:
    """Whether the name or address is of no public network; a name is looked up. One that nobody knows is not."""
    if _is_inward_name(host):
        return True
    try:
        found = socket.getaddrinfo(host, None, proto=socket.IPPROTO_TCP)
    except (OSError, UnicodeError):
        return False
    return any(_is_inward_name(str(entry[4][0]).partition("%")[0]) for entry in found)


def _is_metadata(host: str) -> bool:
    try:
        found = socket.getaddrinfo(host, None, proto=socket.IPPROTO_TCP)
    except (OSError, UnicodeError):
        found = []
    addresses = [host, *(str(entry[4][0]).partition("%")[0] for entry in found)]
    return not _METADATA.isdisjoint(addresses) or any(_is_link_local(address) for address in addresses)


def _is_link_local(address: str) -> bool:
    found = _address(address)
    return found is not None and found.is_link_local


def _is_inward_name(host: str) -> bool:
    if host in _METADATA or host == "localhost" or host.endswith(".localhost"):
        return True
    found = _address(host)
    return found is not None and (not found.is_global or getattr(found, "is_site_local", False))


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """What the address leads to, in whatever form it is written; None for a name."""
    try:
        found = ipaddress.ip_address(host)
    except ValueError:
        try:  # 0x0a000001, 10.1, 167772161: forms that resolvers take
            return ipaddress.IPv4Address(socket.inet_aton(host)) if host[:1].isdigit() else None
        except OSError:
            return None
    if isinstance(found, ipaddress.IPv4Address):
        return found
    within_64 = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF) if found in _NAT64 else None
    return found.ipv4_mapped or found.sixtofour or within_64 or found


def _host(url: str) -> str:
    return (urlsplit(url).hostname or "").lower().rstrip(".")


def _begins(answer: Answer, start: int) -> int:
    """Where the bytes of an answer begin: 0 where the server does not know ranges, or has another version."""
    if answer.status != 206:
        return 0
    said = answer.header("content-range").removeprefix("bytes ").partition("-")[0]
    if said != str(start):
        raise Cut(f"the server answers with bytes from {said[:20] or 'nowhere'} on, not from {start}")
    return start
