"""A person with a model and the real command: trains elsewhere, goes the whole way, and asks over HTTP."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from free_ports import free_port

# What every train.py begins with. `asked` keeps rows with the model's own answers to them: the truth of the story.
PRELUDE = """\
import json, sys
VERSION = int(sys.argv[1])

def plain(value):
    return value.tolist() if hasattr(value, "tolist") else value

def asked(rows, predictions, probabilities=None):
    truth = {"instances": plain(rows), "predictions": plain(predictions), "probabilities": plain(probabilities)}
    with open("asked.json", "w") as file:
        json.dump(truth, file)

"""

# Starts a command and tells the peak of its memory: of the command and of every program that it waited for.
MEASURED = """
import os, sys
child = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
_, status, used = os.wait4(child, 0)
print(used.ru_maxrss * 1024)
sys.exit(os.waitstatus_to_exitcode(status))
"""


@dataclass(frozen=True)
class Story:
    """folder: the project. python: the interpreter that trains; it knows nothing of mlship."""

    folder: Path
    python: Path
    environ: Mapping[str, str]
    command: tuple[str, ...] = (sys.executable, "-m", "mlship")

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def train(self, version: int = 1) -> dict[str, Any]:
        """Runs train.py VERSION; returns rows and the model's own answers to them."""
        path = f"{self.folder}/train.py"
        command = [str(self.python), "-W", "ignore", path, str(version)]
        subprocess.run(command, cwd=self.folder, check=True, env={**os.environ, "PYTHONPATH": str(self.folder)})
        return json.loads((self.folder / "asked.json").read_text())

    def mlship(self, *words: str, exit: int = 0) -> dict[str, Any]:
        """What the command says as JSON; its exit code must be `exit`, and it never shows a traceback."""
        done = subprocess.run(self._command(*words, "--json"), **self._surroundings(), capture_output=True, text=True)
        assert done.returncode == exit, f"{words}: exit {done.returncode}\n{done.stderr}\n{done.stdout}"
        assert "Traceback" not in done.stderr, done.stderr
        return json.loads(done.stdout)

    def measured(self, *words: str) -> tuple[dict[str, Any], int]:
        """As `mlship`, and the most bytes of memory that the command took, or one of the programs that it waited for."""
        command = [sys.executable, "-c", MEASURED, *self._command(*words, "--json")]
        done = subprocess.run(command, **self._surroundings(), capture_output=True, text=True)
        assert done.returncode == 0, f"{words}\n{done.stderr}\n{done.stdout}"
        said, peak = done.stdout.strip().rsplit("\n", 1)
        return json.loads(said), int(peak)

    def refused(self, *words: str, exit: int = 2) -> str:
        """Everything that the command says when it refuses, as people read it."""
        done = subprocess.run(self._command(*words), **self._surroundings(), capture_output=True, text=True)
        said = done.stdout + done.stderr
        assert done.returncode == exit, f"{words}: exit {done.returncode}\n{said}"
        assert "Traceback" not in said, said
        return said

    def whole_way(
        self,
        *init: str,
        target: str = "local",
        build: tuple[str, ...] = (),
        asks: tuple[str, ...] = ("lists", "objects", "csv"),
    ) -> None:
        """init, check, build, deploy, ask, second version, roll back, destroy. build: more options of `mlship build`."""
        first = self.train(1)
        self.mlship("init", *init, "--target", target)
        self.settle(target)
        project = self.mlship("check")["project"]
        built = self.mlship("build", *build)["image"]
        try:
            deployed = self.mlship("deploy", "--image", built["content"], "--yes")
            self.ask_all(deployed["endpoint"], first, asks)
            second = self.train(2)
            newer = self.mlship("build", *build)["image"]
            assert newer["content"] != built["content"]
            deployed = self.mlship("deploy", "--image", newer["content"], "--yes")
            self.ask_all(deployed["endpoint"], second, asks)
            back = self.mlship("rollback", "--yes")
            assert back["release"]["content"] == built["content"]
            self.ask_all(back["endpoint"], first, asks)
        finally:
            self.mlship("destroy", "--yes")
        left = self.mlship("list", "--target", target)["services"]
        assert project not in [service["project"] for service in left]

    def settle(self, target: str) -> None:
        """A port of its own at the engine, which others use too."""
        if target == "docker":
            file = self.folder / "mlship.yaml"
            file.write_text(f"{file.read_text()}\ntargets: {{docker: {{port: {free_port()}}}}}\n")

    def ask_all(self, endpoint: str, truth: dict[str, Any], asks: tuple[str, ...] = ("lists",)) -> None:
        """Asks the same rows in several ways; each answer must be the model's own."""
        names = [feature["name"] for feature in fetched(f"{endpoint}/schema")["inputs"]]
        for how in asks:
            body, kind = _body(how, truth["instances"], names)
            same(predicted(endpoint, body, kind), truth, how)

    @contextmanager
    def running(self, *words: str) -> Iterator[str]:
        """`mlship run` in the foreground, until the story is over; gives its endpoint."""
        port = free_port()
        command = self._command("run", "--port", str(port), *words)
        with (self.folder / "run.log").open("w") as log:
            process = subprocess.Popen(command, **self._surroundings(), stdout=log, stderr=log, start_new_session=True)
        endpoint = f"http://127.0.0.1:{port}"
        try:
            _wait_ready(endpoint, process, self.folder / "run.log")
            yield endpoint
        finally:
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=20) in (0, 130), (self.folder / "run.log").read_text()

    def _command(self, *words: str) -> list[str]:
        return [*self.command, *words]

    def _surroundings(self) -> dict[str, Any]:
        return {"cwd": self.folder, "env": dict(self.environ)}


def predicted(endpoint: str, body: bytes, kind: str = "application/json") -> dict[str, Any]:
    status, answer = posted(endpoint, body, kind)
    assert status == 200, answer
    return answer if isinstance(answer, dict) else {"csv": answer}


def posted(endpoint: str, body: bytes, kind: str = "application/json", path: str = "/predict") -> tuple[int, Any]:
    """Status and answer of a predict route; text where the answer is not JSON."""
    request = urllib.request.Request(f"{endpoint}{path}", body, {"Content-Type": kind})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            status, content, answered = answer.status, answer.read(), answer.headers["Content-Type"]
    except urllib.error.HTTPError as error:
        status, content, answered = error.code, error.read(), error.headers["Content-Type"]
    return status, json.loads(content) if "json" in answered else content.decode()


def fetched(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=30) as answer:
        return json.loads(answer.read())


def same(answer: dict[str, Any], truth: dict[str, Any], how: str) -> None:
    if "csv" in answer:
        answer = {"predictions": _csv_column(answer["csv"], truth["predictions"])}
    assert _close(answer["predictions"], truth["predictions"]), f"as {how}: {answer['predictions']} != {truth['predictions']}"
    if truth["probabilities"] is not None and "probabilities" in answer:
        assert _close(answer["probabilities"], truth["probabilities"]), how


def _body(how: str, rows: list[Any], names: list[str]) -> tuple[bytes, str]:
    if how == "csv":
        import csv
        import io

        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow(names)
        writer.writerows(
            [["" if value is None else value for value in (row if isinstance(row, list) else [row])] for row in rows]
        )
        return text.getvalue().encode(), "text/csv"
    if how == "objects":
        rows = [dict(zip(names, row, strict=True)) for row in rows]
    return json.dumps({"instances": rows}).encode(), "application/json"


def _csv_column(text: str, like: list[Any]) -> list[Any]:
    import csv
    import io

    rows = list(csv.reader(io.StringIO(text)))
    header = rows[0]
    places = [index for index, name in enumerate(header) if name == "predictions" or name.startswith("predictions")]
    values = [[row[place] for place in places] for row in rows[1:]]
    return [_typed(value if isinstance(wanted, list) else value[0], wanted) for value, wanted in zip(values, like, strict=True)]


def _typed(text: Any, like: Any) -> Any:
    if isinstance(like, list):
        return [_typed(value, wanted) for value, wanted in zip(text, like, strict=True)]
    if isinstance(like, bool):
        return text.lower() == "true"
    return text if isinstance(like, str) else type(like)(float(text))


def _close(one: Any, other: Any) -> bool:
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(_close(*pair) for pair in zip(one, other, strict=True))
    if isinstance(one, float) and isinstance(other, int | float):
        return abs(one - other) <= 1e-9 + 1e-6 * abs(other)
    return type(one) is type(other) and one == other


def _wait_ready(endpoint: str, process: subprocess.Popen[Any], log: Path) -> None:
    for _ in range(300):
        assert process.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(f"{endpoint}/readyz", timeout=2):
                return
        except OSError:
            time.sleep(0.1)
    raise AssertionError(log.read_text())
