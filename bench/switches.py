"""What metrics, drift, the access log and API keys cost: processor time of the server for one request, each switched on and off.

python bench/switches.py [ROUNDS]: one worker on one core, 64 keep-alive connections, one row of a logistic regression each; the
variants take turns in every round, because machines are noisy. Every answer is checked. Linux only.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from dataclasses import dataclass, field, replace
from pathlib import Path

ROOT = Path(__file__).parents[1]
SERVING = ROOT / "bench/serving"
sys.path[:0] = [str(SERVING), str(ROOT)]

from mlship.server.manifest import Model, Reference, from_json, to_json
from mlship.server.monitoring.drift_bins import histogram_of

SECONDS, CONNECTIONS, ROUNDS = 3.0, 64, 7
KEY = "bench-key-0123456789abcdef"
AUTH = {"api_keys": "BENCH_KEYS", "jwt": None, "metrics": "role"}


@dataclass
class Variant:
    """One way to run the server. costs: microseconds of processor time for a request, one a round."""

    name: str
    environ: dict[str, str]
    auth: bool = False
    manifest: str = "manifest.json"
    process: subprocess.Popen[bytes] | None = None
    port: int = 0
    costs: list[float] = field(default_factory=list)


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    variants = [
        Variant("nothing is counted (MLSHIP_METRICS=0)", {"MLSHIP_METRICS": "0"}),
        Variant("metrics", {}),
        Variant("metrics, drift against model.reference", {}, manifest="watched.json"),
        Variant("metrics, each request logged", {"MLSHIP_ACCESS_LOG": "1"}),
        Variant("metrics, API keys", {"BENCH_KEYS": KEY}, auth=True, manifest="closed.json"),
    ]
    with tempfile.TemporaryDirectory() as folder:
        model = trained(Path(folder))
        try:
            for variant in variants:
                start(variant, model)
            for _ in range(rounds):
                for variant in variants:
                    variant.costs.append(cost(variant, model))
        finally:
            for variant in variants:
                if variant.process is not None:
                    variant.process.kill()
                    variant.process.wait()
    report(variants)


def trained(folder: Path) -> Path:
    """The model, its manifest, one with API keys, and one with a reference."""
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, str(SERVING / "train.py"), str(folder)], check=True, env=environ)
    model = folder / "linear"
    subprocess.run([sys.executable, str(SERVING / "services/mlship_manifest.py"), str(model)], check=True, env=environ)
    document = json.loads((model / "manifest.json").read_text())
    document["serving"]["auth"] = AUTH
    (model / "closed.json").write_text(json.dumps(document))
    watched = from_json((model / "manifest.json").read_bytes())
    (model / "watched.json").write_bytes(to_json(replace(watched, models=(with_reference(watched.models[0], model),))))
    return model


def with_reference(entry: Model, model: Path) -> Model:
    """As a build with model.reference makes it, of the rows that are asked."""
    rows, expected = (json.loads((model / name).read_text()) for name in ("rows.json", "expected.json"))
    times = range(-(-500 // len(rows)))  # enough for ten bins
    columns = zip(entry.signature.inputs, zip(*rows, strict=True), strict=True)
    features = {feature.name: histogram_of([value for _ in times for value in column]) for feature, column in columns}
    answers = [value for _ in times for value in expected]
    found = {name: histogram for name, histogram in features.items() if histogram is not None}
    scores = answers if not isinstance(answers[0], list) else [row[-1] for row in answers]
    return replace(entry, reference=Reference(len(answers), found, histogram_of(scores)))


def start(variant: Variant, model: Path) -> None:
    """On the first core, answering when this returns."""
    variant.port = free_port()
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "MLSHIP_HOST": "127.0.0.1", "PORT": str(variant.port), **variant.environ}
    environ["MLSHIP_MANIFEST"] = str(model / variant.manifest)
    command = [sys.executable, "-m", "mlship.server"]
    variant.process = subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL, cwd=ROOT)
    os.sched_setaffinity(variant.process.pid, {min(os.sched_getaffinity(0))})
    for _ in range(300):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{variant.port}/readyz", timeout=1)
            return
        except OSError:
            time.sleep(0.1)
    sys.exit(f"{variant.name}: the server does not answer")


def cost(variant: Variant, model: Path) -> float:
    """Microseconds of the server's processor time for one request."""
    assert variant.process is not None
    job = {
        "port": variant.port, "connections": CONNECTIONS, "warm_s": 0.5, "seconds": SECONDS, "server": variant.process.pid,
        "kind": "predictions", "questions": questions(variant, model),
    }  # fmt: skip
    program = (
        "import json, sys, load; from dataclasses import asdict; print(json.dumps(asdict(load.run(json.load(sys.stdin)))))"
    )
    said = subprocess.run(
        [sys.executable, "-c", program], input=json.dumps(job).encode(), cwd=SERVING, capture_output=True, check=True
    )
    result = json.loads(said.stdout)
    if result["wrong"] or result["failed"]:
        sys.exit(f"{variant.name}: {result['complaints'][:3]}")
    return float(result["server_cpu_s"] / result["requests"] * 1e6)


def questions(variant: Variant, model: Path) -> list[dict[str, object]]:
    rows, expected = (json.loads((model / name).read_text()) for name in ("rows.json", "expected.json"))
    key = f"Authorization: Bearer {KEY}\r\n" if variant.auth else ""
    found: list[dict[str, object]] = []
    for row, wanted in zip(rows, expected, strict=True):
        body = json.dumps({"instances": [row]})
        head = f"POST /predict HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n{key}\r\n"
        found.append({"sent": head + body, "expected": wanted if isinstance(wanted, list) else [wanted]})
    return found


def free_port() -> int:
    import socket

    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def report(variants: list[Variant]) -> None:
    """Ratios are taken within each round: what else the machine does meets all variants alike."""
    print("| variant | us of CPU a request, median | against nothing counted, median of the rounds |\n|---|---:|---:|")
    for variant in variants:
        ratio = statistics.median(one / other for one, other in zip(variant.costs, variants[0].costs, strict=True))
        print(f"| {variant.name} | {statistics.median(variant.costs):.1f} | {ratio:.3f} |")


if __name__ == "__main__":
    main()
