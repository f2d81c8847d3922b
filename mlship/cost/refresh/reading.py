"""The door to a vendor's prices: bounded documents and streams, tries, and no host but the vendor's."""

from __future__ import annotations

import json
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar
from urllib.parse import urljoin, urlsplit

from mlship.errors import Exit, MlshipError
from mlship.oci.registry import connection
from mlship.oci.registry.connection import DOCUMENT_LIMIT, Answer, Call, Connection
from mlship.oci.registry.reference import is_loopback
from mlship.progress import Progress, Silent

Value = TypeVar("Value")

TRIES = 4
LONGEST_PAUSE_S = 60.0  # of what Retry-After may ask for
MOST_LOST = 3  # questions in a row without an answer, after which none is asked any more
TOLD = 2**23  # bytes between two pieces of news
LARGEST = 8 * 2**30  # bytes of a price list, unpacked; AmazonEC2 of us-east-1 has about 0.4 GB as CSV
LONGEST_LINE = 2**17  # bytes; Python's csv takes no longer field
_PAUSES_S = (1.0, 4.0, 15.0)
_LATER = frozenset((408, 429, 500, 502, 503, 504))
AGAIN = "try again later; what stood in the book before stays"


@dataclass(frozen=True)
class Vendor:
    """name: for people. host: of its interface; redirects may lead to no other one. variable: names another base address."""

    name: str
    host: str
    variable: str

    def base(self, environ: Mapping[str, str]) -> str:
        """`https://prices.azure.com`, or the address in `variable`. Raises MlshipError for one that is not safe to ask."""
        said = environ.get(self.variable, "").rstrip("/")
        if not said:
            return f"https://{self.host}"
        parts = urlsplit(said)
        if parts.username or parts.query or parts.fragment or not parts.hostname:
            raise MlshipError(f"{self.variable} is not an address", self.variable, "write https://HOST", code="bad-address")
        if parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.netloc)):
            return said
        raise MlshipError(
            f"{self.variable} has the scheme {parts.scheme}: prices are read by https, from this machine itself also by http",
            self.variable,
            "write https://HOST",
            code="bad-address",
        )


class Reading:
    """One vendor's interface. headers: go with each request. largest: bytes of a text, unpacked.

    pause, transport: take the place of waiting and of the network in tests.
    Everything that asks raises MlshipError: exit 13, or 8 where the vendor refuses.
    """

    def __init__(
        self,
        vendor: Vendor,
        environ: Mapping[str, str],
        headers: Mapping[str, str] | None = None,
        pause: Callable[[float], None] = time.sleep,
        transport: Any = None,
        progress: Progress | None = None,
        largest: int = LARGEST,
    ) -> None:
        self.vendor = vendor
        self.base = vendor.base(environ)
        self._headers = headers or {}
        self._pause = pause
        self._progress = progress or Silent()
        self._largest = largest
        self._lost = 0
        self._connection = Connection(environ, transport, self._guard)

    @property
    def is_lost(self) -> bool:
        """Whether it is of no use to ask on: the last questions had no answer, each after several tries."""
        return self._lost >= MOST_LOST

    def close(self) -> None:
        self._connection.close()

    def address(self, said: str) -> str:
        """Where an answer leads: a path of this interface, or an address at its own host. Raises MlshipError for any other."""
        parts = urlsplit(urljoin(f"{self.base}/", said))
        if (parts.hostname or "") not in self._hosts or parts.username:
            raise self.strange(f"leads to {(parts.hostname or 'nowhere')[:60]}, which is not its own host")
        return self.base + parts.path + (f"?{parts.query}" if parts.query else "")

    def document(self, url: str, what: str) -> Any:
        """JSON of at most DOCUMENT_LIMIT bytes. what: for people."""

        def whole() -> Answer:
            return self._connection.send(Call("GET", url, {**self._headers, "Accept": "application/json"}))

        answer = self._tried(whole, what)
        if len(answer.body) > DOCUMENT_LIMIT:
            raise self.strange(f"answers with more than {DOCUMENT_LIMIT} bytes for {what}")
        try:
            return json.loads(answer.body)
        except (ValueError, RecursionError):
            raise self.strange(f"answers with something else than JSON for {what}") from None

    def lines(self, url: str, what: str, take: Callable[[Iterator[str]], Value]) -> Value:
        """What `take` makes of the lines of a text. Where the line breaks, it is read from its start again."""
        made: list[Value] = []

        def streamed() -> Answer:
            call = Call("GET", url, {**self._headers, "Accept-Encoding": "gzip"})
            with self._connection.stream(call) as found:
                if found.answer.status == 200:
                    packed = found.answer.header("content-encoding") == "gzip"
                    made.append(take(self._split(found.pieces, packed, what)))
                return found.answer

        self._tried(streamed, what)
        return made[-1]

    def strange(self, what: str) -> MlshipError:
        return MlshipError(f"{self.vendor.name} {what}", self._host, AGAIN, exit=Exit.UNREACHABLE, code="strange-prices")

    def _tried(self, ask: Callable[[], Answer], what: str) -> Answer:
        for number in range(TRIES):
            asked = 0.0
            try:
                answer = ask()
            except connection.Cut as cut:
                trouble = cut.reason
            else:
                trouble = f"it answers {answer.status}"
                if answer.status not in _LATER:
                    self._lost = 0
                if answer.status == 200:
                    return answer
                if answer.status not in _LATER:
                    raise self._refused(answer, what)
                asked = _retry_after(answer)
            if number + 1 < TRIES:
                self._pause(min(max(asked, _PAUSES_S[number]), LONGEST_PAUSE_S))
        self._lost += 1
        said = f"{self.vendor.name} cannot be read for {what}: {trouble}"
        raise MlshipError(said, self._host, AGAIN, exit=Exit.UNREACHABLE, code="unreachable")

    def _refused(self, answer: Answer, what: str) -> MlshipError:
        denied = answer.status in (401, 403)
        return MlshipError(
            f"{self.vendor.name} answers {answer.status} for {what}",
            self._host,
            "check the key and what it may read" if denied else AGAIN,
            exit=Exit.DENIED if denied else Exit.UNREACHABLE,
            code="denied" if denied else "unreachable",
        )

    def _split(self, pieces: Iterator[bytes], packed: bool, what: str) -> Iterator[str]:
        """Whole lines without their ends. A text that ends within a line was cut."""
        rest, size, told = b"", 0, 0
        for piece in _unpacked(pieces) if packed else pieces:
            size += len(piece)
            if size > self._largest:
                raise self.strange(f"answers with more than {self._largest} bytes for {what}")
            if size - told > TOLD:
                self._progress.amount(what, told := size)
            *lines, rest = (rest + piece).split(b"\n")
            if len(rest) > LONGEST_LINE:
                raise self.strange(f"answers with a line of more than {LONGEST_LINE} bytes for {what}")
            for line in lines:
                yield line.decode("utf-8", "replace")
        if rest:
            raise connection.Cut("line", "the answer ends in the middle of a line")

    def _guard(self, asked: str, target: str) -> None:
        """Redirects: by https to the vendor's own host, or within a stated base address."""
        parts = urlsplit(target)
        if (parts.hostname or "") not in self._hosts or (parts.scheme != "https" and not target.startswith(f"{self.base}/")):
            raise self.strange(f"leads to {parts.scheme}://{(parts.hostname or '')[:60]}, which is not followed")

    @property
    def _hosts(self) -> tuple[str, ...]:
        return self.vendor.host, urlsplit(self.base).hostname or ""

    @property
    def _host(self) -> str:
        return urlsplit(self.base).netloc


def _unpacked(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """At most a MiB at a time, however well it was packed."""
    unpacker = zlib.decompressobj(wbits=31)
    try:
        for piece in pieces:
            yield unpacker.decompress(piece, 2**20)
            while unpacker.unconsumed_tail:
                yield unpacker.decompress(unpacker.unconsumed_tail, 2**20)
    except zlib.error as error:
        raise connection.Cut("line", f"the answer cannot be unpacked: {error}") from None
    if not unpacker.eof:
        raise connection.Cut("line", "the packed answer ends too early")


def _retry_after(answer: Answer) -> float:
    """Seconds; 0 where nothing is said. A day is counted from the answer's own (RFC 9110, 10.2.3)."""
    said = answer.header("retry-after").strip()
    if said.isdecimal() and len(said) < 10:
        return float(said)
    try:
        return (parsedate_to_datetime(said) - parsedate_to_datetime(answer.header("date"))).total_seconds()
    except (TypeError, ValueError):
        return 0.0
