"""Callers that do not care about deployments: every request opens a new connection and expects an answer."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit


@dataclass
class Answer:
    """release: what the server said that it is."""

    status: int
    release: str
    document: dict[str, Any]


def ask(endpoint: str, path: str, body: dict[str, Any] | None = None, timeout_s: float = 10) -> Answer:
    """One request over a connection of its own. Raises OSError when nothing answers."""
    address = urlsplit(endpoint)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=timeout_s)
    try:
        if body is None:
            connection.request("GET", path)
        else:
            connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        response = connection.getresponse()
        raw = response.read()
        return Answer(response.status, response.getheader("X-Mlship-Release", ""), json.loads(raw))
    finally:
        connection.close()


@dataclass
class Traffic:
    """Four callers, as fast as they are answered, until they are stopped. answers: release -> how many were right."""

    endpoint: str
    body: dict[str, Any]
    answers: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    def __enter__(self) -> Traffic:
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._call, daemon=True) for _ in range(4)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *why: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _call(self) -> None:
        while not self._stop.is_set():
            try:
                answer = ask(self.endpoint, "/predict", self.body)
            except (OSError, http.client.HTTPException, ValueError) as error:
                self.failures.append(f"{type(error).__name__}: {error}")
            else:
                if answer.status == 200:
                    self.answers[answer.release] += 1
                else:
                    self.failures.append(f"status {answer.status}")
            self._stop.wait(0.03)  # leave the deployment some of the two cores


def wait_for(condition: Any, timeout_s: float) -> bool:
    """True as soon as the condition holds."""
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return False
