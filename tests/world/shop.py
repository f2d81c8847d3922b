"""A small shop with a model of its own, made to fail: what the stories of killed and failing commands share."""

from __future__ import annotations

import hashlib
import http.client
import json
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from story import Story

from mlship.disk import SCRATCH
from mlship.targets.local.processes import HOLDER_MARK, SERVER_MARK, marked

# What ON_LOAD and ON_PREDICT hold is run; they come from `env` in mlship.yaml, so that a build knows nothing of them.
MODEL = """\
import json, os, sys, time


class Till:
    def load(self, path):
        self.price = json.loads(path.read_text())
        exec(os.environ.get("ON_LOAD", ""))

    def predict(self, rows):
        exec(os.environ.get("ON_PREDICT", ""))
        return [self.price * row["pieces"] + float(os.environ.get("SHIFT", "0")) for row in rows]
"""
ROW = b'{"instances": [{"pieces": 2}]}'


@dataclass(frozen=True)
class Ended:
    """How a command ended. code: negative for a signal. seconds: how long it ran."""

    code: int
    said: str
    seconds: float


class Shop:
    """One project, target local unless said otherwise."""

    def __init__(self, story: Story, name: str = "till", target: str = "local", port: int = 0) -> None:
        self.story, self.name, self.target, self.port = story, name, target, port
        self.home = Path(story.environ["MLSHIP_HOME"])
        self.temporary = story.folder / ".tmp"
        self.temporary.mkdir()
        self.environ = {**story.environ, "TMPDIR": str(self.temporary)}
        self.versions = 0
        story.write("till.py", MODEL)
        story.write("sample.json", '{"instances": [{"pieces": 1}, {"pieces": 3}]}')
        self.configure()
        self.next_version()

    def configure(self, env: Mapping[str, str] | None = None, more: str = "") -> None:
        port = f"targets: {{{self.target}: {{port: {self.port}}}}}\n" if self.port else ""
        model = "{uri: price.json, framework: python, loader: till:Till, code: [till.py], sample: sample.json}"
        text = f"name: {self.name}\ntarget: {self.target}\n{port}model: {model}\nenv: {json.dumps(dict(env or {}))}\n{more}"
        self.story.write("mlship.yaml", text)

    def next_version(self) -> None:
        self.versions += 1
        self.story.write("price.json", str(self.versions))

    def start(self, *words: str, **options: Any) -> subprocess.Popen[str]:
        pipes: dict[str, Any] = {
            "stdin": subprocess.DEVNULL,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.STDOUT,
            "text": True,
        }
        return subprocess.Popen([*self.story.command, *words], cwd=self.story.folder, env=self.environ, **pipes, **options)

    def run(self, *words: str, exit: int = 0, **options: Any) -> Ended:
        began = time.monotonic()
        process = self.start(*words, **options)
        said = process.communicate(timeout=120)[0]
        assert process.returncode == exit, f"{words}: exit {process.returncode}\n{said}"
        assert "Traceback (most recent call last):\n" not in said, said
        return Ended(process.returncode, said, time.monotonic() - began)

    def killed(self, *words: str, after_s: float, by: signal.Signals = signal.SIGKILL) -> Ended:
        process = self.start(*words)
        time.sleep(after_s)
        process.send_signal(by)
        said = process.communicate(timeout=120)[0]
        return Ended(process.returncode, said, after_s)

    def status(self) -> dict[str, Any]:
        return self.story.mlship("status")

    def live(self) -> str:
        return str(self.status()["release"]["id"])

    def processes(self) -> list[int]:
        """Supervisor, servers and workers."""
        return marked(str(self.home / "local" / self.name / "default"), (SERVER_MARK, HOLDER_MARK))

    def left(self) -> list[str]:
        """What no command that ended may leave: scratch of ours anywhere, anything in the temporary folder."""
        found = [*self.temporary.iterdir(), *self.story.folder.glob(f"{SCRATCH}*"), *self.home.rglob(f"{SCRATCH}*")]
        return sorted(map(str, found))

    def wrong_blobs(self) -> list[str]:
        blobs = (self.home / "images/blobs/sha256").iterdir()
        return [blob.name for blob in blobs if hashlib.sha256(blob.read_bytes()).hexdigest() != blob.name]

    def serves_alone(self) -> str:
        """The live release, once: supervisor, server and worker of it, and nothing left over. Returns its id."""
        status = self.status()
        live = status["release"]["id"]
        assert [(copy["release"], copy["ready"]) for copy in status["replicas"]] == [(live, True)]
        assert len(self.processes()) == 3
        assert self.left() == []
        return str(live)


class Caller:
    """Asks all the time, each time on a new connection; counts answers and keeps what went wrong."""

    def __init__(self, endpoint: str) -> None:
        self._port = int(endpoint.rpartition(":")[2])
        self.answers = 0
        self.failures: Counter[str] = Counter()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Caller:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        assert self.answers and not self.failures, f"{self.answers} answers; {self.failures}"

    def _run(self) -> None:
        while not self._over.wait(0.005):
            connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=15)
            try:
                connection.request("POST", "/predict", ROW, {"Content-Type": "application/json"})
                answer = connection.getresponse()
                body = answer.read()
                self.failures.update([] if answer.status == 200 else [f"{answer.status} {body[:200]!r}"])
                self.answers += answer.status == 200
            except (OSError, http.client.HTTPException) as error:
                self.failures[repr(error)] += 1
            finally:
                connection.close()


def instants(whole_s: float, count: int) -> list[float]:
    """Spread over a command: never at its very beginning, where it has not done anything."""
    return [whole_s * (number + 0.7) / count for number in range(count)]
