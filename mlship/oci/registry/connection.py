"""One request to a registry, once: proxies, certificates, redirects, and connections that are kept. The only user of httpx."""

from __future__ import annotations

import ssl
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Literal
from urllib.parse import urljoin, urlsplit
from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]

from mlship.errors import MlshipError, need
from mlship.oci.registry.reference import is_loopback

DOCUMENT_LIMIT = 8 << 20  # distribution-spec 1.1 lets registries refuse manifests above 4 MiB
ANSWER_S = 60.0
GREETING_S = 20.0  # for the first word: a registry that takes longer to say that it is one is not there
_CONNECT_S = 10.0
_REDIRECTS = 5
_REDIRECTED = (301, 302, 303, 307, 308)

Trouble = Literal["certificate", "tls", "connect", "timeout", "line"]


@dataclass(frozen=True)
class Call:
    """A request. url: absolute. body: gives the bytes anew for each try, `size` of them. answer_s: how long the answer may take."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Callable[[], Iterable[bytes]] | None = None
    size: int = 0
    answer_s: float = ANSWER_S


@dataclass(frozen=True)
class Answer:
    """A whole answer. headers: by lower-case name. url: where it came from, after redirects."""

    status: int
    url: str
    headers: Mapping[str, str]
    body: bytes = b""
    challenges: tuple[str, ...] = ()

    def header(self, name: str) -> str:
        return self.headers.get(name, "")


@dataclass(frozen=True)
class Streamed:
    """An answer whose body is still to come, in pieces; a connection that breaks meanwhile raises Cut."""

    answer: Answer
    pieces: Iterator[bytes]


class Cut(Exception):
    """The connection broke, or none could be made."""

    def __init__(self, trouble: Trouble, reason: str) -> None:
        super().__init__(reason)
        self.trouble = trouble
        self.reason = reason


class Connection:
    """Safe for several threads. transport: takes the network's place in tests (an httpx transport).

    guard: is given the address asked for and the one that a redirect leads to, and raises where it must not be followed.
    """

    def __init__(
        self, environ: Mapping[str, str], transport: Any = None, guard: Callable[[str, str], None] | None = None
    ) -> None:
        self._environ = environ
        self._transport = transport
        self._guard = guard
        self._clients: dict[tuple[str, str], Any] = {}
        self._lock = threading.Lock()

    def close(self) -> None:
        for client in self._clients.values():
            client.close()
        self._clients.clear()

    def send(self, call: Call, authorization: str = "") -> Answer:
        """Raises Cut. An answer of more than DOCUMENT_LIMIT bytes is cut off there."""
        with self.stream(call, authorization) as streamed:
            body = bytearray()
            for piece in streamed.pieces:
                body += piece
                if len(body) > DOCUMENT_LIMIT:
                    break
            return replace(streamed.answer, body=bytes(body[: DOCUMENT_LIMIT + 1]))

    @contextmanager
    def stream(self, call: Call, authorization: str = "") -> Iterator[Streamed]:
        """Raises Cut, also while the pieces are read. Follows redirects of GET and HEAD, without authorization to other hosts."""
        url = call.url
        for _ in range(_REDIRECTS):
            own = authorization if _origin(url) == _origin(call.url) else ""
            with self._opened(replace(call, url=url), own, self._watch(call.url, url)) as streamed:
                target = _redirect(call, streamed.answer)
                if not target:
                    yield streamed
                    return
                if self._guard is not None:
                    self._guard(call.url, target)
                url = target
        raise Cut("line", f"more than {_REDIRECTS} redirects")

    @contextmanager
    def _opened(self, call: Call, authorization: str, extensions: Mapping[str, Any]) -> Iterator[Streamed]:
        httpx = _library()
        headers = {**call.headers, **({"Authorization": authorization} if authorization else {})}
        if call.body is not None:
            headers["Content-Length"] = str(call.size)
        elif call.method in ("POST", "PUT", "PATCH"):
            headers["Content-Length"] = "0"
        with _cuts(), self._client(call.url).stream(
            call.method,
            call.url,
            headers=headers,
            content=None if call.body is None else call.body(),
            timeout=httpx.Timeout(call.answer_s, connect=_CONNECT_S, write=ANSWER_S),
            extensions=extensions,
        ) as answer:  # fmt: skip
            named = {name.lower(): value for name, value in answer.headers.items()}
            offered = tuple(answer.headers.get_list("www-authenticate"))
            yield Streamed(Answer(answer.status_code, call.url, named, b"", offered), _pieces(answer))

    def _watch(self, asked: str, url: str) -> Mapping[str, Any]:
        """Has the guard judge the address that a redirect's name led to in the end: whoever runs the name may give another one to
        whoever looks it up again. Before a byte goes over the connection (httpx's extension `trace`)."""
        guard = self._guard
        if guard is None or url == asked or proxy_for(url, self._environ):
            return {}

        def told(event: str, facts: Mapping[str, Any]) -> None:
            if event == "connection.connect_tcp.complete":
                stream = facts["return_value"]
                try:
                    guard(asked, _by_address(url, stream.get_extra_info("server_addr")[0]))
                except MlshipError:
                    stream.close()
                    raise

        return {"trace": told}

    def _client(self, url: str) -> Any:
        """One for each scheme and proxy: reading all certificate authorities takes longer than many a push without TLS."""
        proxy = proxy_for(url, self._environ)
        scheme = urlsplit(url).scheme
        with self._lock:
            if (scheme, proxy) not in self._clients:
                httpx = _library()
                self._clients[scheme, proxy] = httpx.Client(
                    proxy=proxy or None,
                    transport=self._transport,
                    verify=self._trusted() if "https" in (scheme, urlsplit(proxy).scheme) else False,
                    trust_env=False,
                    headers={"Accept-Encoding": "identity", "User-Agent": "mlship"},
                )
            return self._clients[scheme, proxy]

    def _trusted(self) -> ssl.SSLContext | bool:
        return certificates(self._environ) if self._transport is None else False


def proxy_for(url: str, environ: Mapping[str, str]) -> str:
    """The proxy that the environment names for the address; empty for none, and always for this machine itself."""
    parts = urlsplit(url)
    named = {
        name.lower().removesuffix("_proxy"): value
        for name, value in sorted(environ.items())  # lower case last: it wins, as with curl
        if name.lower().endswith("_proxy") and value
    }
    if not named or is_loopback(parts.netloc.rpartition("@")[2]) or proxy_bypass_environment(parts.netloc, named):
        return ""
    return named.get(parts.scheme) or named.get("all", "")


def certificates(environ: Mapping[str, str]) -> ssl.SSLContext:
    """Certificate authorities of SSL_CERT_FILE and SSL_CERT_DIR, else REQUESTS_CA_BUNDLE, else the system's."""
    file, folder = environ.get("SSL_CERT_FILE"), environ.get("SSL_CERT_DIR")
    bundle = "" if file or folder else environ.get("REQUESTS_CA_BUNDLE")
    try:
        return ssl.create_default_context(cafile=file or bundle or None, capath=folder or None)
    except OSError as error:
        raise MlshipError(
            f"the certificate authorities in {file or bundle or folder} cannot be read: {error.strerror or error}",
            where="SSL_CERT_FILE, SSL_CERT_DIR or REQUESTS_CA_BUNDLE",
            fix="name a file of PEM certificates that exists",
        ) from None


def _library() -> Any:
    """Without its command line: rich and pygments would be two fifths of what it takes to import it (measured: 98 and 59 ms)."""
    modules: dict[str, Any] = sys.modules
    modules.setdefault("httpx._main", None)  # which nobody can import then
    return need("httpx")


@contextmanager
def _cuts() -> Iterator[None]:
    """What the network does becomes Cut."""
    httpx = _library()
    try:
        yield
    except httpx.TimeoutException as error:
        raise Cut("timeout", f"no answer in time ({type(error).__name__})") from None
    except httpx.TransportError as error:
        raise Cut(_trouble(error), f"{type(error).__name__}: {error}".removesuffix(": ")) from None
    except httpx.InvalidURL as error:
        raise Cut("line", f"an address that is none: {error}") from None


def _trouble(error: BaseException) -> Trouble:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return "certificate"
        if isinstance(cause, ssl.SSLError):
            return "tls"
        cause = cause.__cause__ or cause.__context__
    return "connect" if isinstance(error, _library().ConnectError) else "line"


def _pieces(answer: Any) -> Iterator[bytes]:
    with _cuts():
        yield from answer.iter_raw()


def _redirect(call: Call, answer: Answer) -> str:
    """Where to go on; empty when this is the answer. From https nothing leads back to http."""
    target = answer.header("location")
    if answer.status not in _REDIRECTED or not target or call.method not in ("GET", "HEAD"):
        return ""
    absolute = urljoin(answer.url, target)
    if urlsplit(absolute).scheme not in ("http", "https") or (_origin(answer.url)[0], _origin(absolute)[0]) == (
        "https",
        "http",
    ):
        raise Cut("line", f"a redirect that is not safe, to {urlsplit(absolute).scheme}://{urlsplit(absolute).netloc}")
    return absolute


def _by_address(url: str, address: str) -> str:
    """Without what follows: `http://127.0.0.1`, `https://[fe80::1]`."""
    host = address.partition("%")[0]
    return f"{urlsplit(url).scheme}://{f'[{host}]' if ':' in host else host}"


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc.lower()
