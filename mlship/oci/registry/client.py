"""A registry to talk to: requests that are authorized, retried, and understood."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urljoin, urlsplit, urlunsplit

from mlship.errors import MlshipError
from mlship.oci.registry.authentication import Authentication
from mlship.oci.registry.connection import GREETING_S, Answer, Call, Connection, Cut, Streamed
from mlship.oci.registry.credentials import CredentialSource
from mlship.oci.registry.reference import DOCKER_HUB, is_loopback
from mlship.oci.registry.refusals import nonsense, refused, unreachable
from mlship.oci.registry.retrying import TRIES, is_passing, pause_s

_FIRST_TRIES = 2  # of a registry that never answered yet: most often the name is wrong


class Stopped(Exception):
    """The work of another thread failed, or the user interrupted it: this one's is given up."""


def check_address(registry: str) -> None:
    """Raises MlshipError for a name that is no address; asks nobody."""
    if registry == DOCKER_HUB:
        raise MlshipError(
            f"{DOCKER_HUB} is a name and no address: Docker Hub, which a name without a registry means, is not spoken to by it yet",
            where=registry,
            fix="write HOST/NAME:TAG with the host of a registry, or of Docker Hub's API",
            code="not-yet",
        )


class Registry:
    """One registry. Safe for several threads; to be closed.

    name: as in a Reference. environ: proxies and certificates. plain_http: speak without TLS also to another machine.
    pause, clock and transport take the place of time and network in tests.
    """

    def __init__(
        self,
        name: str,
        environ: Mapping[str, str],
        credentials: CredentialSource,
        *,
        plain_http: bool = False,
        pause: Callable[[float], object] | None = None,
        clock: Callable[[], float] = time.monotonic,
        transport: Any = None,
    ) -> None:
        self.name = name
        self._connection = Connection(environ, transport)
        self._login = Authentication(name, credentials, self._patiently, clock)
        self._plain_http = plain_http
        self._stopped = threading.Event()
        self._pause = pause or self._stopped.wait
        self._answered = False
        self._root = ""
        self._opening = threading.Lock()

    def __enter__(self) -> Registry:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    @property
    def who(self) -> str:
        return self._login.who

    def want(self, *scopes: str) -> None:
        """What tokens must allow from now on: `repository:team/churn:pull,push`."""
        self._login.want(*scopes)

    def url(self, path: str) -> str:
        """The address of `/v2/...`, or of a Location that the registry gave.

        Behind a proxy that ends TLS some give their own address without it: that is not followed into the open.
        """
        root = urlsplit(self._address())
        found = urlsplit(urljoin(self._address(), path))
        return urlunsplit(found._replace(scheme=root.scheme)) if found.netloc == root.netloc else urlunsplit(found)

    def ask(self, call: Call, what: str, expected: Collection[int]) -> Answer:
        """The answer, after as many tries as make sense. call.url: absolute, or a path at this registry.

        what: for the error's words, `pushing team/churn`. Raises MlshipError for an answer that is not expected: exit 8
        (credentials), 13 (does not answer), 5 (not what a registry says).
        """
        answer = self._patiently(replace(call, url=self.url(call.url)), None)
        if answer.status not in expected:
            raise self.refusal(answer, what)
        return answer

    def send(self, call: Call) -> Answer:
        """One try, for requests that cannot simply be repeated. Raises Cut. After a 401 see `renew`."""
        answer = self._connection.send(call, self.authorization(call.url))
        self._answered = True
        return answer

    @contextmanager
    def stream(self, call: Call) -> Iterator[Streamed]:
        """One try; the body comes in pieces. Raises Cut."""
        with self._connection.stream(call, self.authorization(call.url)) as streamed:
            self._answered = True
            yield streamed

    def authorization(self, url: str) -> str:
        """Only for the registry's own address: upload sessions may live elsewhere, with signed addresses."""
        return self._login.header() if urlsplit(url).netloc == urlsplit(self._address()).netloc else ""

    def renew(self, answer: Answer, used: str) -> bool:
        """After a 401: whether there are other credentials to try."""
        return self._login.renew(answer, used)

    def wait(self, failures: int, answer: Answer | None = None) -> None:
        """Before the next try. Raises Stopped."""
        self._pause(pause_s(failures, answer.header("retry-after") if answer else "", datetime.now(UTC)))
        self.go_on()

    def start(self) -> None:
        """Work of several threads begins."""
        self._stopped.clear()

    def stop(self) -> None:
        """Whatever still runs ends with Stopped, also what is waiting."""
        self._stopped.set()

    def go_on(self) -> None:
        """Asked between pieces. Raises Stopped."""
        if self._stopped.is_set():
            raise Stopped

    def refusal(self, answer: Answer, what: str) -> MlshipError:
        return refused(self.name, what, answer, self.who)

    def silence(self, cut: Cut) -> MlshipError:
        return unreachable(self.name, cut)

    def nonsense(self, what: str) -> MlshipError:
        return nonsense(self.name, what)

    def _patiently(self, call: Call, authorization: str | None) -> Answer:
        """authorization: None means this registry's own, renewed when it is not accepted; it may be renewed once a try."""
        failures = 0
        renewed = False
        while True:
            answer: Answer | None = None
            try:
                used = self.authorization(call.url) if authorization is None else authorization
                answer = self._connection.send(call, used)
                self._answered = True
            except Cut as cut:
                failures += 1
                if cut.trouble in ("certificate", "tls") or failures >= (TRIES if self._answered else _FIRST_TRIES):
                    raise self.silence(cut) from None
            else:
                if answer.status == 401 and authorization is None and not renewed and self.renew(answer, used):
                    renewed = True
                    continue
                failures += 1
                if not is_passing(answer.status) or failures >= TRIES:
                    return answer
            self.wait(failures, answer)

    def _address(self) -> str:
        with self._opening:
            if not self._root:
                self._root = self._found()
                self._login.is_secure = self._root.startswith("https:")
            return self._root

    def _found(self) -> str:
        """https, but on this machine what is spoken there."""
        check_address(self.name)
        if self._plain_http or (is_loopback(self.name) and self._speaks_plainly(f"http://{self.name}")):
            return f"http://{self.name}"
        return f"https://{self.name}"

    def _speaks_plainly(self, root: str) -> bool:
        """A server that wants TLS cuts the line or answers 400 to plain HTTP; one that is not there is told as such."""
        try:
            return self._connection.send(Call("GET", f"{root}/v2/", answer_s=GREETING_S)).status != 400
        except Cut as cut:
            return cut.trouble in ("connect", "timeout")
