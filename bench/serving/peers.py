"""mlship and what people use instead of it: how each is installed, started and asked. One process tree each, on one core."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from image_bytecode import compile_as_images_do

HERE = Path(__file__).parent
SERVICES = HERE / "services"
SOURCES = HERE.parents[1] / "mlship"
MODEL_PACKAGES = ("scikit-learn",)
# scikit-learn imports pandas wherever it is there, 30 MB and a quarter of a second: only the model that takes DataFrames sees it
FRAMES = "pipeline"

FRAME_PACKAGES = ("pandas", "python-dateutil", "six", "tzdata")
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")

Rows = list[Any]


@dataclass(frozen=True)
class Peer:
    """One server. argv: after the environment's bin folder; {port}, {port2}, {port3}, {model}, {services} are filled in.

    ask: rows and whether they are objects -> JSON of the body. kind: load.py's way to read the answer. prepare: run once for
    each model folder. version: the distribution whose version is told. fixed: the answer of a floor, whatever is asked.
    models: those that it is measured with, all when empty. compiles: mlship's own models are compiled for it, by packages that are
    only there meanwhile, and nothing of what trained them is installed. is_whole: a product, whose start and size are told.
    frames: the packages of DataFrames. is_everywhere: False where it may not install or start, and is left out then.
    """

    name: str
    packages: tuple[str, ...]
    argv: tuple[str, ...]
    ask: Callable[[Rows, bool], Any]
    version: str
    environment: str = ""
    path: str = "/predict"
    kind: str = "predictions"
    environ: dict[str, str] = field(default_factory=dict)
    prepare: tuple[str, ...] = ()
    fixed: str = ""
    models: tuple[str, ...] = ()
    files: Callable[[Path, list[int]], None] | None = None
    compiles: tuple[str, ...] | None = None
    is_whole: bool = True
    frames: tuple[str, ...] = FRAME_PACKAGES
    is_everywhere: bool = True

    @property
    def folder(self) -> str:
        """The environment's name: two ways to run one peer share it."""
        return self.environment or self.name


def instances(rows: Rows, are_objects: bool) -> Any:
    return {"instances": rows}


def bare_rows(rows: Rows, are_objects: bool) -> Any:
    return {"rows": rows}


def mlflow_rows(rows: Rows, are_objects: bool) -> Any:
    if not are_objects:
        return {"inputs": rows}
    return {"dataframe_split": {"columns": list(rows[0]), "data": [list(row.values()) for row in rows]}}


def v2(rows: Rows, are_objects: bool) -> Any:
    """Open Inference Protocol: one tensor of rows, or one column each with pandas' content type."""
    outputs = [{"name": "predict_proba"}]
    if not are_objects:
        shape = [len(rows), len(rows[0])]
        data = [value for row in rows for value in row]
        return {"inputs": [{"name": "rows", "shape": shape, "datatype": "FP64", "data": data}], "outputs": outputs}
    columns = []
    for name, first in rows[0].items():
        is_text = isinstance(first, str)
        column = {"name": name, "shape": [len(rows), 1], "datatype": "BYTES" if is_text else "FP64"}
        column["data"] = [row[name] for row in rows]
        columns.append({**column, **({"parameters": {"content_type": "str"}} if is_text else {})})
    return {"parameters": {"content_type": "pd"}, "inputs": columns, "outputs": outputs}


def mlserver_files(folder: Path, ports: list[int]) -> None:
    """Settings of MLServer's guides: no worker processes for one model on one core, adaptive batching."""
    settings = {
        "debug": False, "parallel_workers": 0, "host": "127.0.0.1",
        "http_port": ports[0], "grpc_port": ports[1], "metrics_port": ports[2],
    }  # fmt: skip
    # its batches join tensors, not columns of a table
    batches = {} if folder.name == "pipeline" else {"max_batch_size": 64, "max_batch_time": 0.001}
    model = {"name": "bench", "implementation": "mlserver_sklearn.SKLearnModel", "parameters": {"uri": "./model.joblib"}}
    (folder / "settings.json").write_text(json.dumps(settings))
    (folder / "model-settings.json").write_text(json.dumps({**model, **batches}))


def nginx_files(folder: Path, ports: list[int]) -> None:
    place = f"listen 127.0.0.1:{ports[0]}; default_type application/json; location / {{ return 200 '{FIXED}'; }}"
    logs = f"pid {folder}/nginx.pid; error_log {folder}/nginx.log;"
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = " ".join(f"{kind}_temp_path {folder}/nginx-{kind};" for kind in kinds)
    kept = f"access_log off; keepalive_requests 1000000000; {temporary}"
    text = f"worker_processes 1; daemon off; {logs} events {{}} http {{ {kept} "
    (folder / "nginx.conf").write_text(f"{text} server {{ {place} }} }}")


FIXED = '{"predictions":[[0.25,0.75]]}'
UVICORN = (
    "uvicorn",
    "--host",
    "127.0.0.1",
    "--port",
    "{port}",
    "--log-level",
    "warning",
    "--no-access-log",
    "--app-dir",
    "{services}",
)
# those that every image has: what only a key of mlship.yaml brings is marked behind a #
SERVER_PACKAGES = tuple(
    line.partition("#")[0].strip()
    for line in (SOURCES / "server/packages.txt").read_text().splitlines()
    if line and line[0] != "#" and "only with" not in line
)

MLSHIP = Peer(
    "mlship", SERVER_PACKAGES, ("python", "-s", "-P", "-m", "mlship.server"), instances, "",
    environ={"PYTHONPATH": "{lib}", "PORT": "{port}", "MLSHIP_HOST": "127.0.0.1", "MLSHIP_MANIFEST": "{model}/manifest.json"},
    prepare=("python", "{services}/mlship_manifest.py", "{model}"),
)  # fmt: skip
WITHOUT_METRICS = replace(
    MLSHIP,
    name="mlship, metrics off",
    environment="mlship",
    environ={**MLSHIP.environ, "MLSHIP_METRICS": "0"},
    models=("linear",),
    is_whole=False,
)
COMPILED = replace(
    MLSHIP, name="mlship, compiled", environment="mlship-compiled", packages=(*SERVER_PACKAGES, "numpy"), prepare=(), compiles=(),
)  # fmt: skip
GRAPHS = replace(
    COMPILED, name="mlship, as ONNX", environment="mlship-onnx", packages=(*COMPILED.packages, "onnxruntime"),
    compiles=("onnxruntime",), models=("forest",),  # linear models are computed by numpy alone
)  # fmt: skip
OURS = (MLSHIP, WITHOUT_METRICS, COMPILED, GRAPHS)
PEERS = (
    *OURS,
    Peer("fastapi", ("fastapi", "uvicorn[standard]"), (*UVICORN, "fastapi_service:app"), instances, "fastapi"),
    Peer(
        "fastapi, async def", ("fastapi", "uvicorn[standard]"), (*UVICORN, "fastapi_service:app"), instances, "fastapi",
        environment="fastapi", environ={"BENCH_ASYNC": "1"},
    ),
    Peer(
        "mlserver", ("mlserver", "mlserver-sklearn"), ("mlserver", "start", "{model}"), v2, "mlserver",
        path="/v2/models/bench/infer", kind="v2", files=mlserver_files,
    ),
    Peer("kserve", ("kserve",), ("python", "{services}/kserve_service.py", "--http_port", "{port}"), instances, "kserve",
         path="/v1/models/bench:predict"),
    Peer("litserve", ("litserve",), ("python", "{services}/lit_service.py", "{port}"), instances, "litserve"),
    Peer(
        "mlflow", ("mlflow",), ("mlflow", "models", "serve", "-m", "{model}/mlflow", "--env-manager", "local", "-p", "{port}", "-w", "1"),
        mlflow_rows, "mlflow", path="/invocations",
        prepare=("python", "{services}/mlflow_model.py", "{model}"),
    ),
    Peer(
        "bentoml", ("bentoml",),
        ("bentoml", "serve", "bento_service:Service", "--working-dir", "{services}", "--host", "127.0.0.1", "-p", "{port}"),
        bare_rows, "bentoml", kind="bare", environ={"BENTOML_DO_NOT_TRACK": "True", "BENTOML_HOME": "{model}/bento"},
    ),
    Peer(
        "pytriton", ("nvidia-pytriton",), ("python", "{services}/pytriton_service.py", "{port}", "{port2}", "{port3}"), v2,
        "nvidia-pytriton", path="/v2/models/bench/infer", kind="v2", models=("linear", "forest"),
        frames=("pandas<3", "pytz", *FRAME_PACKAGES[1:]),  # it wants numpy 1
        is_everywhere=False,  # Triton brings its own interpreters: with Python 3.11.7 version 0.7.0 does not start
    ),
)  # fmt: skip
FLOORS = (
    Peer("bare uvicorn, fixed answer", ("fastapi", "uvicorn[standard]"), (*UVICORN, "floor_service:app"), instances, "uvicorn",
         environment="fastapi", fixed=FIXED, models=("linear",), is_whole=False),
    Peer("nginx, fixed answer", ("fastapi", "uvicorn[standard]"), ("nginx", "-c", "{model}/nginx.conf"), instances, "",
         environment="fastapi", fixed=FIXED, models=("linear",), files=nginx_files, is_whole=False),
)  # fmt: skip


@dataclass(frozen=True)
class Place:
    """A peer's own environment and models below the cache folder."""

    peer: Peer
    cache: Path

    @property
    def root(self) -> Path:
        return self.cache / self.peer.folder

    def model(self, name: str) -> Path:
        return self.root / "models" / name

    def install(self) -> None:
        """The environment, mlship's sources as an image has them, the models; what the same packages were made for stays."""
        if self.peer.compiles is not None:
            self._compile(self.peer.compiles)
            return
        packages = [*self.peer.packages, *MODEL_PACKAGES, *self.peer.frames]
        kept = self.root / "installed"
        if not kept.exists() or kept.read_text() != " ".join(packages):
            shutil.rmtree(self.root, ignore_errors=True)
            uv = str(Path(sys.executable).with_name("uv"))
            ran([uv, "venv", "-q", "-p", sys.executable, str(self.root / "env")])
            python = str(self.root / "env/bin/python")
            ran([uv, "pip", "install", "-q", "-p", python, "--compile-bytecode", *self.peer.packages, *MODEL_PACKAGES])
            if not list(self.root.glob("env/lib/python3*/site-packages/pandas")):
                target = str(self.root / "frames")
                ran(
                    [
                        uv,
                        "pip",
                        "install",
                        "-q",
                        "-p",
                        python,
                        "--compile-bytecode",
                        "--no-deps",
                        "--target",
                        target,
                        *self.peer.frames,
                    ]
                )
            ran([python, str(HERE / "train.py"), str(self.root / "models")], self._environ(self.model(FRAMES), [0, 0, 0]))
            if self.peer is MLSHIP:
                for installed in (*self.root.glob("env/lib/python3*/site-packages"), self.root / "frames"):
                    compile_as_images_do(installed)
            kept.write_text(" ".join(packages))
        if self.peer is MLSHIP:
            self._copy_sources()
        if self.peer.prepare:
            for folder in (self.root / "models").iterdir():
                shutil.rmtree(folder / "mlflow", ignore_errors=True)
                ran(self._filled(self.peer.prepare, folder, [0, 0, 0]), self._environ(folder, [0, 0, 0]))

    def _compile(self, beside: tuple[str, ...]) -> None:
        """An environment without what trains models, and mlship's models in compiled form. beside: what compiling needs."""
        uv, trained = str(Path(sys.executable).with_name("uv")), replace(self, peer=MLSHIP)
        kept, packages = self.root / "installed", " ".join([*self.peer.packages, *beside])
        if not kept.exists() or kept.read_text() != packages:
            shutil.rmtree(self.root, ignore_errors=True)
            ran([uv, "venv", "-q", "-p", sys.executable, str(self.root / "env")])
            python = str(self.root / "env/bin/python")
            ran([uv, "pip", "install", "-q", "-p", python, "--compile-bytecode", *self.peer.packages])
            if beside:
                ran([uv, "pip", "install", "-q", "-p", python, "--target", str(self.root / "beside"), *beside])
            kept.write_text(packages)
        self._copy_sources()
        for name in self.peer.models or [folder.name for folder in (trained.root / "models").iterdir()]:
            source, script = trained.model(name), str(SERVICES / "mlship_compiled.py")
            environ = trained._environ(source, [0, 0, 0])
            if beside:
                environ["PYTHONPATH"] += f":{self.root / 'beside'}"
            words = [
                str(trained.root / "env/bin/python"),
                script,
                str(source),
                str(self.model(name)),
                *(["graph"] if beside else []),
            ]
            ran(words, environ)

    def _copy_sources(self) -> None:
        """Anew each time: they are what is measured."""
        lib = self.root / "lib/mlship"
        shutil.rmtree(lib, ignore_errors=True)
        shutil.copytree(SOURCES / "server", lib / "server", ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(SOURCES / "__init__.py", lib)
        ran([str(self.root / "env/bin/python"), "-m", "compileall", "-q", str(lib)])

    @contextmanager
    def serving(self, model: str, ports: list[int], core: int) -> Iterator[subprocess.Popen[bytes]]:
        """The server, started on one core; all its processes end with it."""
        folder = self.model(model)
        if self.peer.files:
            self.peer.files(folder, ports)
        argv, environ = self._filled(self.peer.argv, folder, ports), self._environ(folder, ports)
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                argv, env=environ, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                preexec_fn=lambda: os.sched_setaffinity(0, {core}),
            )  # fmt: skip
            try:
                yield process
            finally:
                end(process)

    def log(self, model: str) -> str:
        return (self.model(model) / "log").read_text(errors="replace")[-3000:]

    def size(self) -> int:
        """Bytes of all that is installed: packages with their bytecode, mlship's sources."""
        folders = [self.root / "env/lib", self.root / "frames", self.root / "lib"]
        return sum(
            path.lstat().st_size for folder in folders if folder.exists() for path in folder.rglob("*") if path.is_file()
        )

    def version(self) -> str:
        if not self.peer.version:
            return ""
        told = f"import importlib.metadata as m; print(m.version({self.peer.version!r}))"
        return ran([str(self.root / "env/bin/python"), "-c", told]).strip()

    def import_s(self, core: int) -> float:
        """Seconds in which a bare Python imports what the server and the linear model need, loads the model and answers once."""
        code = (
            "import sys, json, asyncio, uvloop, httptools, orjson, numpy, joblib; folder = sys.argv[1];"
            " rows = json.load(open(folder + '/rows.json'))[:1];"
            " joblib.load(folder + '/model.joblib').predict_proba(rows)"
        )
        began = time.perf_counter()
        argv = [str(self.root / "env/bin/python"), "-s", "-P", "-c", code, str(self.model("linear"))]
        subprocess.run(
            argv, check=True, env={**clean_environ(), **ONE_THREAD}, preexec_fn=lambda: os.sched_setaffinity(0, {core})
        )
        return time.perf_counter() - began

    def _filled(self, words: tuple[str, ...], folder: Path, ports: list[int]) -> list[str]:
        program, *rest = (self._text(word, folder, ports) for word in words)
        own = self.root / "env/bin" / program
        return [str(own) if own.exists() else program, *rest]

    def _environ(self, folder: Path, ports: list[int]) -> dict[str, str]:
        own = {name: self._text(value, folder, ports) for name, value in self.peer.environ.items()}
        programs = f"{self.root / 'env/bin'}:{os.environ['PATH']}"
        modules = [own.pop("PYTHONPATH", ""), str(self.root / "frames") if folder.name == FRAMES else ""]
        shared = {"BENCH_MODEL": str(folder), "PATH": programs, "PYTHONPATH": ":".join(filter(None, modules))}
        return {**clean_environ(), **ONE_THREAD, **shared, **own}

    def _text(self, text: str, folder: Path, ports: list[int]) -> str:
        known = {"port": ports[0], "port2": ports[1], "port3": ports[2], "model": folder, "services": SERVICES}
        return text.format(**known, lib=self.root / "lib")


def clean_environ() -> dict[str, str]:
    """Without what would reach into a peer's environment, and without what slows every start."""
    kept = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR")
    return {name: value for name, value in os.environ.items() if name in kept}


def ran(argv: list[str], environ: dict[str, str] | None = None) -> str:
    """What it printed; ends the measurement with all that it said when it failed."""
    done = subprocess.run(argv, env=environ, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(argv)}\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    return done.stdout


def end(process: subprocess.Popen[bytes]) -> None:
    """Asks once, then kills the whole session."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        pass
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()
