"""A small image that behaves as a model image does, made in seconds from this machine's own interpreter.

It carries the real keeper and a stand-in for the server; how it behaves is told by the environment that its image sets.
"""

from __future__ import annotations

import hashlib
import io
import platform
import re
import subprocess
import sys
import sysconfig
import tarfile
from pathlib import Path
from typing import Any

from mlship.oci.image import Layer
from mlship.oci.layout import Layout
from mlship.releases.release import Proof, Release, Served, ServedModel
from mlship.targets.base import Deployment

LIBRARY = "opt/mlship/lib"
SKIPPED = ("test", "idlelib", "tkinter", "ensurepip", "lib2to3", "site-packages", "config-3")

SERVER = rb"""
import bisect, json, os, signal, sys, threading, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
RELEASE = os.environ["MLSHIP_RELEASE"]; VERSION = int(os.environ["STANDIN_VERSION"]); BROKEN = os.environ["STANDIN_BROKEN"]
BOUNDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5]
lock, buckets, statuses, total, busy = threading.Lock(), [0] * (len(BOUNDS) + 1), {}, [0.0], [0]
def count(status, seconds):
    with lock:
        buckets[bisect.bisect_left(BOUNDS, seconds)] += 1; total[0] += seconds; statuses[status] = statuses.get(status, 0) + 1
def metrics():
    lines, label, running = ["# TYPE mlship_requests counter"], 'route="/predict"', 0
    with lock:
        lines += ['mlship_requests_total{%s,status="%d"} %d' % (label, status, n) for status, n in statuses.items()]
        lines.append("# TYPE mlship_request_seconds histogram")
        for bound, n in zip([*map(str, BOUNDS), "+Inf"], buckets):
            running += n; lines.append('mlship_request_seconds_bucket{%s,le="%s"} %d' % (label, bound, running))
        lines += ["mlship_request_seconds_count{%s} %d" % (label, running), "mlship_request_seconds_sum{%s} %f" % (label, total[0])]
        lines += ["# TYPE mlship_rows_in_flight gauge", "mlship_rows_in_flight %d" % busy[0]]
    return "\n".join(lines).encode() + b"\n"
class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    def say(self, status, document):
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        self.send_response(status)
        self.send_header("X-Mlship-Release", "r0-000000" if BROKEN == "lies" else RELEASE)
        if "X-Request-Id" in self.headers: self.send_header("X-Request-Id", self.headers["X-Request-Id"])
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body))); self.end_headers(); self.wfile.write(body); self.wfile.flush()
    def do_GET(self):
        if self.path == "/mlship/release": return self.say(200, {"release": "r0-000000" if BROKEN == "lies" else RELEASE})
        if self.path == "/readyz" and BROKEN == "never": return self.say(503, {"error": "still loading"})
        if self.path.partition("?")[0] == "/metrics": return self.say(200, metrics())
        self.say(200, {})
    def do_POST(self):
        began, body = time.perf_counter(), self.rfile.read(int(self.headers["Content-Length"]))
        with lock: busy[0] += 1
        try:
            status, document = self.predict(body)
            self.say(status, document)
        finally:
            with lock: busy[0] -= 1
        count(status, time.perf_counter() - began)
    def predict(self, body):
        if b'"crash"' in body: print("this row crashes the model", flush=True); os._exit(3)
        if b'"slow"' in body: time.sleep(float(json.loads(body)["instances"][0]["slow"]))
        if BROKEN == "slow": time.sleep(0.06)
        if BROKEN == "500": return 500, {"error": {"code": "model_failed", "message": "division by zero"}}
        return 200, {"predictions": [VERSION + (1 if BROKEN == "answers" else 0)]}
    def log_message(self, *args): pass
class Server(ThreadingHTTPServer):
    request_queue_size = 256
    def handle_error(self, request, client_address): pass
print("loading model version", VERSION, flush=True)
if BROKEN == "crash": sys.exit("no module named churn")
if BROKEN == "memory": hog = [bytearray(2**20) for _ in range(4096)]
server = Server(("0.0.0.0", int(os.environ["PORT"])), Handler)
signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
print("ready", flush=True)
server.serve_forever()
until = time.monotonic() + 5
while busy[0] and time.monotonic() < until: time.sleep(0.01)
print("drained", flush=True)
"""


KEEPER = sorted((Path(__file__).parents[2] / "mlship" / "keeper").glob("*.py"))
BASE = "mlship-standin-base:" + hashlib.sha256(b"".join([SERVER, *(source.read_bytes() for source in KEEPER)])).hexdigest()[:12]


def content_of(version: int, broken: str) -> str:
    return "sha256:" + hashlib.sha256(f"{BASE} {version} {broken}".encode()).hexdigest()


def standin_image(client: Any, project: str, version: int, broken: str = "") -> str:
    """Makes the image unless it is there; gives its content id."""
    content = content_of(version, broken)
    tag = content.removeprefix("sha256:")[:12]
    if client.images.list(filters={"label": [f"mlship.content={content}", f"mlship.project={project}"]}):
        return content
    _base(client)
    container = client.api.create_container(BASE)["Id"]
    changes = [
        f"ENV STANDIN_VERSION={version}",
        f'ENV STANDIN_BROKEN="{broken}"',
        f"LABEL mlship.content={content}",
        f"LABEL mlship.project={project}",
    ]
    client.api.commit(container, f"mlship/{project}", tag, changes=changes)
    client.api.remove_container(container)
    return content


def standin_layout(layout: Layout, project: str, version: int) -> str:
    """The same as an image in a layout on this machine, for the way from there to the engine; gives its content id."""
    with layout.writer() as writer:
        writer.write(_rootfs())
        blob = writer.commit("application/vnd.oci.image.layer.v1.tar")
    config = {
        "Entrypoint": [str(_interpreter()), "-s", "-P", "-m", "mlship.server"],
        "Env": [f"PYTHONPATH=/{LIBRARY}", f"STANDIN_VERSION={version}", "STANDIN_BROKEN="],
        "Labels": {"mlship.project": project},
    }
    architecture = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]
    image = layout.write_image([Layer(blob, blob.digest, blob.size)], config, f"linux/{architecture}")
    return image.content


def standin_deployment(
    project: str, content: str, version: int, port: int, environment: str = "", **changes: Any
) -> Deployment:
    served = Served(content, (ServedModel(project, f"{version:064x}"),), resources={"cpu": 500, "memory": 256 * 2**20})
    proof = Proof(({"age": 30},), {"predictions": [version]}, {"rtol": 1e-6, "atol": 1e-9})
    release = Release(0, served, 0.0, proofs={project: proof})
    settings = {"port": port, "host": "127.0.0.1"}
    fixed: dict[str, Any] = {"startup_timeout_s": 20.0, "operating": {"labels": {}}, **changes}
    return Deployment(project, environment, "docker", "container", release, settings, **fixed)


def _base(client: Any) -> None:
    if client.images.list(BASE):
        return
    repository, tag = BASE.split(":")
    changes = [
        f'ENTRYPOINT ["{_interpreter()}", "-s", "-P", "-m", "mlship.server"]',
        f"ENV PYTHONPATH=/{LIBRARY}",
        "ENV PYTHONDONTWRITEBYTECODE=1",
        "ENV PYTHONUNBUFFERED=1",
    ]
    client.api.import_image_from_data(_rootfs(), repository=repository, tag=tag, changes=changes)


def _interpreter() -> Path:
    return Path(sys.base_prefix, "bin", f"python3.{sys.version_info.minor}").resolve()


def _rootfs() -> bytes:
    files: dict[Path, Path] = {_interpreter(): _interpreter()}
    for folder in {sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")}:
        for path in sorted(Path(folder).rglob("*")):
            parts = path.relative_to(folder).parts
            if path.is_file() and not any(part.startswith(SKIPPED) for part in parts):
                files[path] = path
    for binary in [path for path in files if path.suffix == ".so" or path == _interpreter()]:
        files.update(_libraries(binary))
    memory = io.BytesIO()
    with tarfile.open(fileobj=memory, mode="w") as tar:
        for target, source in sorted(files.items()):
            _add(tar, str(target).lstrip("/"), source.read_bytes(), 0o755, int(source.stat().st_mtime))
        for source in KEEPER:
            _add(tar, f"{LIBRARY}/mlship/keeper/{source.name}", source.read_bytes())
        _add(tar, f"{LIBRARY}/mlship/__init__.py", b"")
        _add(tar, f"{LIBRARY}/mlship/server/__init__.py", b"")
        _add(tar, f"{LIBRARY}/mlship/server/__main__.py", SERVER)
    return memory.getvalue()


def _libraries(binary: Path) -> dict[Path, Path]:
    said = subprocess.run(["ldd", binary], capture_output=True, text=True, check=False).stdout
    named = [Path(found) for found in re.findall(r"(/\S+) \(0x", said)]
    return {path: path.resolve() for path in named}


def _add(tar: tarfile.TarFile, name: str, content: bytes, mode: int = 0o644, when: int = 0) -> None:
    """when: a library's own time, which its compiled files were made for."""
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode, entry.mtime = len(content), mode, when
    tar.addfile(entry, io.BytesIO(content))
