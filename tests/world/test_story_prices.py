"""Prices from a server that answers as the vendors do: read by the real command, bounded, and never half-kept."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.world
RECORDED = Path(__file__).parents[1] / "cost" / "recorded_prices.py"
MOST_MEMORY = 200 * 2**20  # bytes, of which the interpreter, httpx and the shipped book take about half


@contextmanager
def vendors(how: str = "all") -> Iterator[tuple[dict[str, str], Any]]:
    """The environment in which the command asks the server, and what the server says."""
    server = subprocess.Popen([sys.executable, str(RECORDED), how], stdout=subprocess.PIPE, text=True)
    try:
        base = f"http://127.0.0.1:{server.stdout.readline().strip()}"
        yield {f"MLSHIP_PRICES_{cloud}": base for cloud in ("AWS", "GCP", "AZURE")}, server.stdout
    finally:
        server.kill()
        server.wait()
        server.stdout.close()


def mlship(environ: dict[str, str], home: Path, *words: str, exit: int = 0) -> dict[str, Any]:
    command = [sys.executable, "-m", "mlship", "prices", *words, "--json"]
    done = subprocess.run(
        command, env={**os.environ, **environ, "MLSHIP_HOME": str(home)}, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == exit, done.stderr
    assert "Traceback" not in done.stderr
    return json.loads(done.stdout)


def test_prices_are_refreshed_shown_and_covered(tmp_path):
    with vendors() as (environ, _):
        keyed = {**environ, "GOOGLE_API_KEY": "AIzaNotReal"}
        regions = [word for region in ("us-east-1", "eastus", "us-central1") for word in ("--region", region)]
        services = [word for name in ("vm", "fargate", "lambda", "cloud_run") for word in ("--service", name)]
        done = mlship(keyed, tmp_path, "refresh", *regions, *services)
        assert (done["missing"], done["skipped"]) == ([], []) and done["offers"] > 100
        assert "AIzaNotReal" not in json.dumps(done)
        offer = mlship(environ, tmp_path, "show", "aws", "us-east-1", "m7g.large")["offer"]
        assert (offer["on_demand"], offer["sources"]["on_demand"]["source"]) == (0.0817, "aws price list")
        own = mlship(environ, tmp_path, "coverage")["coverage"]["own"]
        assert own["sources"] == ["aws price list", "azure retail prices", "gcp billing catalog"]
        skipped = mlship(environ, tmp_path, "refresh", "--cloud", "gcp", exit=8)
        assert skipped["ok"] is False and "GOOGLE_API_KEY" in skipped["findings"][0]["message"]


def test_what_is_missing_is_exit_13_and_the_rest_is_kept(tmp_path):
    with vendors() as (environ, _):
        words = ("refresh", "--cloud", "aws", "--region", "us-east-1", "--region", "sa-east-1", "--service", "vm")
        done = mlship(environ, tmp_path, *words, exit=13)
        assert [missing["what"] for missing in done["missing"]] == ["sa-east-1 AmazonEC2"]
        assert done["error"]["message"] == "1 of 2 price lists could not be read"
        assert mlship(environ, tmp_path, "show", "aws", "us-east-1", "m7g.large")["offer"]["on_demand"] == 0.0817


def test_a_list_of_200_mb_is_read_in_little_memory(tmp_path):
    program = "import resource, subprocess, sys; code = subprocess.call(sys.argv[1:]); "
    program += "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024, file=sys.stderr); sys.exit(code)"
    with vendors("huge") as (environ, _):
        command = [sys.executable, "-c", program, sys.executable, "-m", "mlship", "prices", "refresh", "--cloud", "aws"]
        command += ["--region", "us-east-1", "--service", "vm", "--json"]
        environ = {**os.environ, **environ, "MLSHIP_HOME": str(tmp_path)}
        done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["offers"] == 1
    assert int(done.stderr.splitlines()[-1]) < MOST_MEMORY


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_killed_while_it_reads_the_old_book_stays(tmp_path, number):
    with vendors() as (environ, _):
        mlship(environ, tmp_path, "refresh", "--cloud", "azure", "--region", "eastus", "--service", "vm")
    before = (tmp_path / "prices.book").read_bytes()
    with vendors("stalls") as (environ, said):
        command = [
            sys.executable,
            "-m",
            "mlship",
            "prices",
            "refresh",
            "--cloud",
            "aws",
            "--region",
            "us-east-1",
            "--service",
            "vm",
        ]
        killed = subprocess.Popen(
            command, env={**os.environ, **environ, "MLSHIP_HOME": str(tmp_path)}, stderr=subprocess.DEVNULL
        )
        assert said.readline().strip() == "stalls"
        killed.send_signal(number)
        assert killed.wait(timeout=30) != 0
        assert (tmp_path / "prices.book").read_bytes() == before
        assert mlship(environ, tmp_path, "show", "azure", "eastus", "Standard_D4s_v5")["offer"]["spot"] == 0.0384


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("show", "aws", "us-east-1"), "prices show needs a cloud, a region and a type"),
        (("show", "ibm", "us-east-1", "m7g.large"), "prices show needs a cloud, a region and a type"),
        (("show", "aws", "us-east-1", "m7g.larg"), "mlship knows no type m7g.larg in aws us-east-1"),
        (("show", "aws", "us-east-9", "m7g.large"), "mlship knows no region us-east-9 of aws"),
        (("coverage", "tables"), "prices coverage takes no folder"),
        (("coverage", "--region", "eastus"), "prices coverage takes no --region"),
        (("import", "tables", "--cloud", "aws", "--as-of", "2026-11-21"), "prices import takes no --cloud"),
        (("import", "--as-of", "2026-11-21"), "prices import needs a folder"),
        (("refresh", "--out", "x"), "prices refresh takes no --out"),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path, words, said):
    assert mlship({}, tmp_path, *words, exit=2)["error"]["message"] == said
