"""Plays GitHub: runs the jobs of a workflow as they stand there, each in a checkout of its own, with bash."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml

OF_EVENT = {"pull_request": ("build", "report"), "push": ("build", "plan-", "deploy-"), "workflow_dispatch": ("by-hand-",)}
PUBLISHED = "${{ github.event_name == 'push' && vars.MLSHIP_REGISTRY != '' }}"


@dataclass
class Forge:
    """The comments of one pull request, as GitHub keeps them."""

    url: str = ""
    comments: list[dict[str, Any]] = field(default_factory=list)


@contextmanager
def forge() -> Iterator[Forge]:
    """A forge on loopback."""
    kept = Forge()

    class Handler(BaseHTTPRequestHandler):
        def _answer(self, document: object) -> None:
            body = json.dumps(document).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def _asked(self) -> str:
            return json.loads(self.rfile.read(int(self.headers["Content-Length"])))["body"]

        def do_GET(self) -> None:
            self._answer(kept.comments)

        def do_POST(self) -> None:
            kept.comments.append({"id": len(kept.comments), "body": self._asked(), "user": {"type": "Bot"}})
            self._answer({})

        def do_PATCH(self) -> None:
            kept.comments[int(self.path.rpartition("/")[2])]["body"] = self._asked()
            self._answer({})

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: pytest shows what failed."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    kept.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield kept
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass
class Run:
    """How a run of the workflow ended. failed: `job: step`, empty where all went well. said: all output."""

    failed: str = ""
    said: str = ""
    summary: str = ""
    jobs: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Player:
    """repository: what is checked out. machine: the runner's own folder, with its home. package: what pip installs mlship from.

    registry: of the variable MLSHIP_REGISTRY; empty where nobody set it.
    """

    repository: Path
    machine: Path
    package: Path
    forge: str
    environ: Mapping[str, str]
    registry: str = ""

    def run(self, event: str, inputs: Mapping[str, str] | None = None) -> Run:
        """Jobs run one after the other in the order of the file, which is the order of `needs`; a failure ends the run."""
        workflow = yaml.safe_load((self.repository / ".github/workflows/mlship.yml").read_text())
        given, result = dict(inputs or {}), Run()
        shutil.rmtree(self.machine / "artifacts", ignore_errors=True)
        for name, job in workflow["jobs"].items():
            if not name.startswith(OF_EVENT[event]) or (event == "workflow_dispatch" and name != f"by-hand-{given['stage']}"):
                continue
            assert set([job["needs"]] if isinstance(job.get("needs"), str) else job.get("needs", [])) <= set(result.jobs)
            result.jobs.append(name)
            self._job(workflow, name, job, given, result, event)
            if result.failed:
                break
        return result

    def _job(self, workflow: Any, name: str, job: Any, inputs: Mapping[str, str], result: Run, event: str) -> None:
        workspace = self.machine / "work" / f"{name}-{len(list(self.machine.glob('work/*')))}"
        workspace.parent.mkdir(parents=True, exist_ok=True)
        caches: list[Any] = []
        for step in job["steps"]:
            if "uses" in step:
                if not result.failed or "cancelled()" in step.get("if", ""):
                    self._use(step, workspace)
                    caches += [step["with"]] if step["uses"].startswith("actions/cache@") else []
            elif not self._is_left_out(step, event, result):
                code = self._shell(workflow, job, step, workspace, inputs, result)
                if code and not result.failed:
                    result.failed = f"{name}: {step['name']}"
        for cache in caches if not result.failed else ():
            kept = self._kept(cache, workspace)
            if not kept.exists():
                kept.parent.mkdir(exist_ok=True)
                subprocess.run(["cp", "-a", workspace / cache["path"], kept], check=True)

    def _kept(self, cache: Any, workspace: Path) -> Path:
        """Where a cache lies that has the key, which is the digest of the locks."""
        assert cache["key"] == "mlship-${{ runner.os }}-${{ hashFiles('**/mlship.lock') }}", cache["key"]
        locks = b"".join(path.read_bytes() for path in sorted(workspace.rglob("mlship.lock")))
        return self.machine / "caches" / hashlib.sha256(locks).hexdigest()

    def _restored(self, cache: Any, workspace: Path) -> None:
        """What has the key, else the newest."""
        exact = self._kept(cache, workspace)
        every = sorted((self.machine / "caches").glob("*"), key=lambda kept: kept.stat().st_mtime)
        for found in [exact] if exact.exists() else every[-1:]:
            (workspace / cache["path"]).parent.mkdir(parents=True, exist_ok=True)
            subprocess.run(["cp", "-a", found, workspace / cache["path"]], check=True)

    def _is_left_out(self, step: Any, event: str, result: Run) -> bool:
        """Of the conditions that steps with a shell have."""
        asked = step.get("if", "")
        if asked == PUBLISHED:
            return bool(result.failed) or event != "push" or not self.registry
        assert not asked or "cancelled()" in asked, asked
        return bool(result.failed) and not asked

    def _use(self, step: Any, workspace: Path) -> None:
        action = step["uses"].partition("@")[0]
        kept = self.machine / "artifacts" / step.get("with", {}).get("name", "")
        if action == "actions/checkout":
            subprocess.run(["git", "clone", "-q", self.repository, workspace], check=True)
        elif action == "actions/upload-artifact":
            _uploaded(workspace / step["with"]["path"], kept, step["with"]["if-no-files-found"])
        elif action == "actions/download-artifact":
            shutil.copytree(kept, workspace / step["with"]["path"], dirs_exist_ok=True)
        elif action == "actions/cache":
            self._restored(step["with"], workspace)
        else:
            assert action == "actions/setup-python", action

    def _shell(self, workflow: Any, job: Any, step: Any, workspace: Path, inputs: Mapping[str, str], result: Run) -> int:
        summary = self.machine / "summary"
        summary.write_text("")
        event = self.machine / "event.json"
        event.write_text('{"pull_request": {"number": 7}}')
        known = {"github.workspace": str(workspace), "github.token": "ghs_x"}
        known |= {"vars.MLSHIP_REGISTRY": self.registry, "vars.MLSHIP_REGISTRY_USER": "", "secrets.MLSHIP_REGISTRY_TOKEN": ""}
        known |= {f"inputs.{name}": value for name, value in inputs.items()}
        written = {**workflow["env"], **job.get("env", {}), **step.get("env", {})}
        environ = {
            name: re.sub(r"\$\{\{ (.*?) \}\}", lambda found: known[found[1]], str(value)) for name, value in written.items()
        }
        environ |= {"MLSHIP_PACKAGE": str(self.package), "GITHUB_STEP_SUMMARY": str(summary), "GITHUB_API_URL": self.forge}
        environ |= {"GITHUB_REPOSITORY": "acme/shop", "GITHUB_EVENT_PATH": str(event)}
        folder = workspace / workflow["defaults"]["run"]["working-directory"]
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
            cwd=folder,
            env={**self.environ, **environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        result.said += f"--- {step['name']}\n{done.stdout}"
        result.summary += summary.read_text()
        return done.returncode


def _uploaded(found: Path, kept: Path, if_none: str) -> None:
    """A folder with what is in it, or one file by its name alone."""
    if found.is_dir():
        shutil.copytree(found, kept)
    elif found.is_file():
        kept.mkdir(parents=True)
        shutil.copy(found, kept)
    else:
        assert if_none == "ignore", f"{found} is not there"


def runner_environ(home: Path) -> dict[str, str]:
    """What a runner starts a job with: nothing of the tests' own environment but its path and its package indexes.

    Packages are compiled as they are imported: fifteen jobs install them, and each imports a few.
    """
    kept = ("PATH", "TMPDIR", "LANG", "PIP_", "UV_", "SSL_", "REQUESTS_", "DOCKER_", "HTTP", "http", "no_proxy", "NO_PROXY")
    environ = {name: value for name, value in os.environ.items() if name.startswith(kept)}
    return {**environ, "HOME": os.environ["HOME"], "MLSHIP_HOME": str(home), "PIP_NO_COMPILE": "1"}
