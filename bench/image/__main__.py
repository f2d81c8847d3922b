"""Images beside peers in one run: `python bench/image [--repeats 5] [--bentoml PROGRAM] [--write]`.

Needs root, a Docker engine (DOCKER_HOST), docker-registry and debootstrap, and a machine with nothing else to do: CPU is that of
the whole machine. bentoml: of an environment of its own (`python -m venv V; V/bin/pip install bentoml scikit-learn`).
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import base
from meter import Cost, measured
from peers import Bento, Docker, LoadingDocker, Mlship, Peer
from registry import Registry, registry

HERE = Path(__file__).parent
DOCKER = "/usr/bin/docker"


@dataclass
class Row:
    """What one peer took, step by step."""

    peer: Peer
    project: Path
    costs: dict[str, list[Cost]] = field(default_factory=dict)
    size: int = 0
    compressed: int = 0


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--bentoml", default="")
    parser.add_argument("--write", action="store_true")
    parser.add_argument(
        "--alone", action="store_true", help="mlship without its peers: no engine, the CPU time of its own processes"
    )
    options = parser.parse_args()
    if not options.alone:
        base.ensure(DOCKER)
    with tempfile.TemporaryDirectory(prefix="bench-image-") as text:
        folder = Path(text)
        models = trained(folder, options.repeats + 2)
        with registry(folder) as place:
            peers = made_peers(folder, models, options.bentoml)
            rows = [Row(peer, peer.project) for peer in (peers[:1] if options.alone else peers)]
            for row in rows:
                measure(row, place, models, options.repeats)
    if options.alone:
        print(owned(rows[0]))
        return
    report = table(rows, options.repeats)
    print(report)
    if options.write:
        (HERE / "results.md").write_text(report)


def trained(folder: Path, count: int) -> list[Path]:
    """Forests of different seeds: what comes out of training again."""
    models = [folder / f"model-{seed}.joblib" for seed in range(count)]
    for seed, path in enumerate(models):
        subprocess.run([sys.executable, "train.py", str(seed), str(path)], cwd=HERE / "project", check=True)
    return models


def made_peers(folder: Path, models: list[Path], bentoml: str) -> list[Peer]:
    peers: list[Peer] = [
        Mlship(project(folder, "mlship", models), folder / "home"),
        Docker(project(folder, "docker", models), DOCKER),
        LoadingDocker(project(folder, "loading", models), DOCKER),
    ]
    if bentoml:
        peers.append(Bento(project(folder, "bento", models), DOCKER, bentoml, folder / "bento-home"))
    return peers


def project(folder: Path, name: str, models: list[Path]) -> Path:
    made = folder / name
    shutil.copytree(HERE / "project", made, ignore=shutil.ignore_patterns("__pycache__"))
    pins = (f"{package}=={version(package)}\n" for package in ("scikit-learn", "joblib"))
    (made / "requirements.txt").write_text("".join(pins))
    shutil.copy(models[0], made / "model.joblib")
    return made


def measure(row: Row, place: Registry, models: list[Path], repeats: int) -> None:
    print(f"-- {row.peer.name}", file=sys.stderr, flush=True)
    row.peer.build()
    note(row, "nothing changed", repeats=repeats, step=row.peer.build, place=None)
    row.peer.push(place.name)
    row.compressed = place.compressed(row.peer.repository, "latest")
    row.size = row.peer.size()
    for number in range(1, repeats + 1):
        shutil.copy(models[number], row.project / "model.joblib")
        note(row, "new model, pushed", repeats=1, step=lambda: row.peer.push(place.name), place=place)
    for number in range(1, repeats + 1):
        with (row.project / "digits/features.py").open("a") as code:
            code.write(f"# {number}\n")
        note(row, "new code, pushed", repeats=1, step=lambda: row.peer.push(place.name), place=place)
    # last: BuildKit would later mix what it made now with what it made before; uv's and pip's caches are full, as is meant
    note(row, "cold", repeats=1, step=row.peer.cold, place=None)


def note(row: Row, name: str, *, repeats: int, step: Callable[[], object], place: Registry | None) -> None:
    for _ in range(repeats):
        cost = measured(step, place.stored if place else None)
        row.costs.setdefault(name, []).append(cost)
        print(
            f"   {name}: {cost.wall:.2f} s, {cost.cpu:.2f} CPU s ({cost.own:.2f} own), {cost.moved / 1e6:.2f} MB",
            file=sys.stderr,
            flush=True,
        )


def table(rows: list[Row], repeats: int) -> str:
    engine = subprocess.run([DOCKER, "version", "-f", "{{.Server.Version}}"], capture_output=True, text=True, check=True).stdout
    lines = [
        f"{datetime.now(UTC):%Y-%m-%d}, {platform.machine()}, {os.cpu_count()} cores, Docker {engine.strip()}, scikit-learn"
        f" {version('scikit-learn')}, a forest of 43 MB; medians of {repeats} (cold: 1);",
        "wall seconds / CPU seconds of the whole machine / MB that the registry got; written by `python bench/image --write`.",
        "",
        "| | " + " | ".join(row.peer.name for row in rows) + " |",
        "|---" * (len(rows) + 1) + "|",
    ]
    for step in rows[0].costs:
        lines.append(f"| {step} | " + " | ".join(cell(row.costs[step]) for row in rows) + " |")
    lines.append("| image, MB | " + " | ".join(f"{row.size / 1e6:.0f}" for row in rows) + " |")
    lines.append("| compressed, MB | " + " | ".join(f"{row.compressed / 1e6:.1f}" for row in rows) + " |")
    return "\n".join(lines) + "\n"


def owned(row: Row) -> str:
    """Wall and CPU seconds of the command's own processes, the median of each step."""
    steps = ((name, [cost.wall for cost in costs], [cost.own for cost in costs]) for name, costs in row.costs.items())
    return "\n".join(
        f"{name}: {statistics.median(wall):.2f} s / {statistics.median(own):.2f} CPU s, at best {min(own):.2f}"
        for name, wall, own in steps
    )


def cell(costs: list[Cost]) -> str:
    moved = statistics.median(cost.moved for cost in costs)
    text = f"{statistics.median(c.wall for c in costs):.2f} s / {statistics.median(c.cpu for c in costs):.2f}"
    return f"{text} / {moved / 1e6:.2f} MB" if moved else text


if __name__ == "__main__":
    main()
