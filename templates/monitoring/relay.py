#!/usr/bin/env python3
"""From an alert to a pipeline: takes Alertmanager's webhook and sends a POST with a token, one an alert.

    python3 relay.py relay.json

Written by `mlship render --target monitoring`; Python 3.9 or newer, nothing else. It listens on 127.0.0.1 alone unless relay.json
says otherwise, and then asks for a key. The token is read from its file at each call and never printed. Where the far side fails,
the answer is 502, so that Alertmanager repeats the alert; an alert that was passed on is not passed on again for a while
(`once_in_s`), also after a restart (`state`).
"""

from __future__ import annotations

import hashlib
import hmac
import json
import math
import re
import socket
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

MOST_BODY = 1_000_000  # bytes; a notification of Alertmanager has some kilobytes
MOST_SENT = 100  # for one notification; the others are called failed, and come again
MOST_CONNECTIONS = 16
REQUEST_S = 10.0  # for a whole request to arrive
MOST_KEPT = 10_000  # alerts that are remembered
MOST_TOKEN = 10_000
LOOPBACK = ("127.0.0.1", "::1", "localhost")
PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")
FORGET = re.compile(r"[^\x20-\x7e]")


class Wrong(Exception):
    """What cannot be passed on, in words that hold no secret."""


class Settings:
    """relay.json. url, token, header, body: what is sent. once_in_s: the same alert is not sent again so soon.

    To be called from another machine: listen (an address), names (the host names in its callers' URLs), and key, a file whose
    content Alertmanager sends (http_config.authorization.credentials_file).
    """

    def __init__(self, said: Mapping[str, Any], folder: Path) -> None:
        try:
            self.listen, self.port = str(said.get("listen", "127.0.0.1")), int(said["port"])
            self.url, self.header = str(said["url"]), str(said.get("header", "Authorization"))
            self.token = folder / str(said["token"])
            self.body = said["body"]
            self.once_in_s = float(said.get("once_in_s", 6 * 3600))
            self.timeout_s, self.attempts = float(said.get("timeout_s", 10)), int(said.get("attempts", 3))
            self.backoff_s = float(said.get("backoff_s", 1))
            self.state: Path | None = folder / str(said["state"]) if said.get("state") else None
            self.key = folder / str(said["key"]) if said.get("key") else None
            self.names = frozenset(str(name).lower() for name in said.get("names", ()))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise Wrong(f"relay.json: {type(error).__name__} {error}") from None
        if not self.url.startswith(("https://", "http://")):
            raise Wrong("relay.json: url is neither https:// nor http://")
        if self.key is None and self.listen not in LOOPBACK:
            raise Wrong(f"relay.json: whoever reaches {self.listen} could start the pipeline; name a file with a key")


class Memory:
    """Which alerts were passed on, and when: seconds since the epoch by fingerprint."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._sent: dict[str, float] = {}
        if file is not None and file.exists():
            try:
                said = json.loads(file.read_text())
                self._sent = {str(key): float(value) for key, value in said.items()}
            except (OSError, ValueError, AttributeError, TypeError):
                log("the file of what was sent cannot be read; begun anew", file=str(file))

    def has(self, fingerprint: str, now: float, once_in_s: float) -> bool:
        return now - self._sent.get(fingerprint, -math.inf) < once_in_s

    def add(self, fingerprint: str, now: float) -> None:
        self._sent[fingerprint] = now
        for old in sorted(self._sent, key=self._sent.__getitem__)[:-MOST_KEPT]:
            del self._sent[old]
        self._keep()

    def _keep(self) -> None:
        if self._file is None:
            return
        beside = self._file.with_name(f"{self._file.name}.new")
        try:
            beside.write_text(json.dumps(self._sent))
            beside.replace(self._file)
        except OSError as error:
            log("what was sent cannot be kept; after a restart it is sent again", error=str(error.strerror))


class Relay:
    """One alert after the other, whoever brings them."""

    def __init__(
        self, settings: Settings, clock: Callable[[], float] = time.time, wait: Callable[[float], object] = time.sleep
    ) -> None:
        self.settings, self._clock, self._wait = settings, clock, wait
        self._memory = Memory(settings.state)
        self._turn = threading.Lock()
        self._opener = urllib.request.build_opener(_NoRedirect)

    def pass_on(self, alerts: Iterable[Mapping[str, Any]]) -> tuple[int, int, int]:
        """How many were sent, were known already, and failed."""
        sent = known = failed = 0
        with self._turn:
            for alert in alerts:
                fingerprint = fingerprint_of(alert)
                if self._memory.has(fingerprint, self._clock(), self.settings.once_in_s):
                    known += 1
                    continue
                if sent + failed >= MOST_SENT:
                    failed += 1
                    continue
                try:
                    self._send(filled(self.settings.body, words_of(alert, fingerprint)))
                except Wrong as error:
                    failed += 1
                    log("not passed on", alert=words_of(alert, fingerprint)["alert"], error=str(error))
                else:
                    sent += 1
                    self._memory.add(fingerprint, self._clock())
                    log("passed on", alert=words_of(alert, fingerprint)["alert"], fingerprint=fingerprint)
        return sent, known, failed

    def _send(self, document: Any) -> None:
        """Raises Wrong after the last attempt. What no repetition can mend (a 4xx) is tried once."""
        body = json.dumps(document).encode()
        for attempt in range(1, self.settings.attempts + 1):
            problem, is_final = self._sent_once(body)
            if problem is None:
                return
            if is_final or attempt == self.settings.attempts:
                raise Wrong(f"{problem} (attempt {attempt} of {self.settings.attempts})")
            self._wait(self.settings.backoff_s * 2 ** (attempt - 1))

    def _sent_once(self, body: bytes) -> tuple[str | None, bool]:
        token = read_token(self.settings.token)
        name = self.settings.header
        headers = {
            "Content-Type": "application/json",
            "Accept": "application/json",
            "User-Agent": "mlship-relay",
            name: f"Bearer {token}" if name.lower() == "authorization" else token,
        }
        request = urllib.request.Request(self.settings.url, body, headers, method="POST")  # noqa: S310 -- Settings has looked
        try:
            with self._opener.open(request, timeout=self.settings.timeout_s) as answer:
                answer.read(1000)
                return None, True
        except urllib.error.HTTPError as error:
            error.close()
            if 300 <= error.code < 400:
                return f"status {error.code}: a redirect, and the token goes nowhere else", True
            return f"status {error.code}", error.code < 500 and error.code not in (408, 429)
        except (
            OSError,
            ValueError,
        ) as error:  # URLError is an OSError; an answer that is no HTTP a ValueError or HTTPException
            return f"no answer: {reason_of(error)}", False
        except Exception as error:  # http.client raises its own kinds for answers that are cut
            return f"no answer: {type(error).__name__}", False


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


def reason_of(error: BaseException) -> str:
    """The kind, and what the system says; never the text of an error, which may repeat what was sent."""
    inner = getattr(error, "reason", error)
    said = getattr(inner, "strerror", None)
    return f"{type(inner).__name__}{f', {said}' if said else ''}"


def read_token(file: Path) -> str:
    """Raises Wrong where it cannot be read, or would end the header."""
    try:
        with file.open("rb") as opened:
            token = opened.read(MOST_TOKEN + 1).decode("ascii").strip()
    except OSError as error:
        raise Wrong(f"the file cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise Wrong("the file holds more than ASCII") from None
    if not token or len(token) > MOST_TOKEN or FORGET.search(token):
        raise Wrong("the file is empty, or holds more than one line")
    return token


def alerts_of(said: Any) -> list[Mapping[str, Any]]:
    """The firing ones of a notification. Raises Wrong for anything that Alertmanager does not send."""
    alerts = said.get("alerts") if isinstance(said, dict) else None
    if not isinstance(alerts, list) or not all(isinstance(alert, dict) for alert in alerts):
        raise Wrong("this is no notification of Alertmanager")
    for alert in alerts:
        for key in ("labels", "annotations"):
            texts = alert.get(key, {})
            if not isinstance(texts, dict) or not all(isinstance(value, str) for value in texts.values()):
                raise Wrong(f"{key} of an alert are not texts by name")
    return [alert for alert in alerts if alert.get("status") == "firing"]


def fingerprint_of(alert: Mapping[str, Any]) -> str:
    """Alertmanager's own, which is the same as long as the labels are; else one of the labels."""
    said = alert.get("fingerprint")
    if isinstance(said, str) and re.fullmatch(r"[0-9a-f]{8,64}", said):
        return said
    return hashlib.sha256(json.dumps(alert.get("labels", {}), sort_keys=True).encode()).hexdigest()[:16]


def words_of(alert: Mapping[str, Any], fingerprint: str) -> dict[str, str]:
    """What stands for `{alert}`, `{project}`, `{model}` and the like: the labels, three of the annotations, and when it began."""
    labels, annotations = alert.get("labels", {}), alert.get("annotations", {})
    words = {"project": "", "environment": "", "model": "", "severity": "", **labels}
    words["alert"] = labels.get("alertname", "")
    words["fingerprint"], words["since"] = fingerprint, str(alert.get("startsAt", ""))
    for name in ("summary", "description", "next"):
        words[name] = annotations.get(name, "")
    return words


def filled(template: Any, words: Mapping[str, str]) -> Any:
    """The template with words in its texts. Structure and names stay: no word becomes anything but part of a text."""
    if isinstance(template, str):
        return PLACEHOLDER.sub(lambda found: words.get(found[1], found[0]), template)
    if isinstance(template, dict):
        return {name: filled(value, words) for name, value in template.items()}
    if isinstance(template, list):
        return [filled(value, words) for value in template]
    return template


def log(message: str, **more: str) -> None:
    """A JSON line on stderr."""
    line = {"time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "message": message, **more}
    sys.stderr.write(json.dumps(line) + "\n")
    sys.stderr.flush()


class Handler(BaseHTTPRequestHandler):
    """POST /alerts; GET /healthz."""

    server: Server
    timeout = REQUEST_S
    server_version, sys_version = "mlship-relay", ""

    def setup(self) -> None:
        super().setup()
        # the socket's own timeout is of one read: whoever sends a byte now and then would stay for ever
        self._end = threading.Timer(REQUEST_S, self._cut)
        self._end.daemon = True
        self._end.start()

    def finish(self) -> None:
        self._end.cancel()
        super().finish()

    def _cut(self) -> None:
        try:
            self.connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            return

    def do_GET(self) -> None:
        self._answer(*((200, "ok") if self.path == "/healthz" and self._is_meant() else (404, "there is POST /alerts")))

    def do_POST(self) -> None:
        if self.path != "/alerts" or not self._is_meant():
            self._answer(404, "there is POST /alerts")
            return
        if not self._may():
            self._answer(401, "send the key")
            return
        # a page in a browser of this machine can post text without asking, and JSON only where it may
        if self.headers.get_content_type() != "application/json":
            self._answer(415, "send application/json")
            return
        length = self.headers.get("Content-Length", "")
        if not re.fullmatch(r"[0-9]{1,12}", length):
            self._answer(411, "say Content-Length")
            return
        if int(length) > MOST_BODY:
            self._answer(413, f"a notification has at most {MOST_BODY} bytes")
            return
        try:
            body = self.rfile.read(int(length))
        except OSError:
            return
        if len(body) < int(length):
            return
        self._end.cancel()
        try:
            alerts = alerts_of(json.loads(body))
        except (ValueError, RecursionError):
            self._answer(400, "this is not JSON")
        except Wrong as error:
            self._answer(400, str(error))
        else:
            sent, known, failed = self.server.relay.pass_on(alerts)
            self._answer(502 if failed else 200, f"{sent} sent, {known} sent before, {failed} failed")

    def _is_meant(self) -> bool:
        """A name that leads here by somebody's own DNS is not ours (rebinding)."""
        said = self.headers.get("Host", "").lower()
        settings = self.server.relay.settings
        host = said.rpartition(":")[0] if re.search(r":[0-9]+$", said) else said
        return host in {"127.0.0.1", "localhost", "[::1]", settings.listen, *settings.names}

    def _may(self) -> bool:
        """Without a key everybody on this machine may; a key that cannot be read lets nobody in."""
        file = self.server.relay.settings.key
        if file is None:
            return True
        try:
            wanted = f"Bearer {read_token(file)}"
        except Wrong as error:
            log("nobody is let in", error=str(error))
            return False
        return hmac.compare_digest(self.headers.get("Authorization", "").encode(), wanted.encode())

    def _answer(self, status: int, text: str) -> None:
        body = (json.dumps({"message": text}) + "\n").encode()
        try:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(body)
        except OSError:
            self.close_connection = True

    def log_message(self, format: str, *arguments: Any) -> None:
        """What a caller sent is not repeated in the log."""


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 32

    def __init__(self, relay: Relay) -> None:
        self.relay = relay
        self._places = threading.BoundedSemaphore(MOST_CONNECTIONS)
        if ":" in relay.settings.listen:
            self.address_family = socket.AF_INET6
        super().__init__((relay.settings.listen, relay.settings.port), Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._places.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except RuntimeError:  # no thread could be started
            self._places.release()
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        log("a request failed", error=type(sys.exc_info()[1]).__name__)


def main(arguments: list[str]) -> int:
    if len(arguments) != 1:
        sys.stderr.write("usage: python3 relay.py relay.json\n")
        return 2
    file = Path(arguments[0]).absolute()
    try:
        settings = Settings(json.loads(file.read_text()), file.parent)
        read_token(settings.token)  # a relay that can send nothing does not start
        server = Server(Relay(settings))
    except (OSError, ValueError, Wrong) as error:
        sys.stderr.write(f"the relay does not start: {error}\n")
        return 2
    log("listening", address=f"{settings.listen}:{server.server_port}")
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        return 130
    finally:
        server.server_close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
