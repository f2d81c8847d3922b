"""What callers lose while a service of four copies changes or breaks: `python bench/rollout.py [--write]`.

Needs a Docker engine on this machine and the right to kill its containers' processes (root). Each case runs several times under a
client that counts every answer and every dropped connection (tests/world/front_load.py), on kept connections through the published
port; images are stand-ins of a few milliseconds' start, so that seconds are mlship's own. Beside it the same change as people make
it by hand: `docker stop`, `docker rm`, `docker run`. Goals: 0 failed, but for a frozen copy (1 %) and a killed front (only while it
is away, at most 5 s); deploy at most 10 s, rollback at most 5 s. --write: replaces rollout.md.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

WORLD = Path(__file__).parents[1] / "tests" / "world"
sys.path.insert(0, str(WORLD))

import docker
from docker_standin import standin_image
from front_load import Load, Report, load
from onprem import REPLICAS, Service, Wish, free_port, front_of

from mlship.errors import MlshipError

RATE = 500.0
EXAMPLE = Path(__file__).parents[1] / "examples" / "numeric"
CONFIGURATION = """
name: {project}
target: docker
model: {{uri: model.joblib, sample: sample.json}}
env: {{VERSION: "{version}"}}
resources: {{cpu: 1, memory: 512MiB}}
scale: {{replicas: {replicas}}}
targets: {{docker: {{port: {port}}}}}
"""
CANARY = {"name": "canary", "steps": (0.25, 1.0), "bake_s": 0.5, "gates": ("error_rate < 1%",), "min_requests": 10**9}


@dataclass
class Case:
    """act: what happens to a service under load; gives the seconds that it took itself, nothing where that says nothing."""

    name: str
    act: Callable[[Service, Load], float | None]
    goal: str = "0 failed"
    most_repeats: int = 100
    reports: list[Report] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


def timed(what: Callable[[], Any]) -> float:
    began = time.monotonic()
    what()
    return time.monotonic() - began


def another(service: Service) -> int:
    """A version whose content is not live."""
    history = service.history
    live = history.live_release
    assert live is not None
    return 1 if live.served.models[0].sha256 == f"{2:064x}" else 2


def deploy(service: Service, client: Load) -> float:
    version = another(service)
    return timed(lambda: service.deploy(version))


def roll_back(service: Service, client: Load) -> float:
    """Each needs a good release to leave: the one that it goes back from counts as rejected afterwards."""
    service.deploy(another(service))
    return timed(service.roll_back)


def canary_with_abort(service: Service, client: Load) -> None:
    with suppress(MlshipError):
        service.deploy(another(service), rollout=CANARY)
    assert service.history.underway is not None
    client.reach(client.report().requests + 300)
    service.abort("measured")
    service.deploy(live_version(service))


def live_version(service: Service) -> int:
    return 3 - another(service)


def scale(service: Service, client: Load) -> None:
    version = live_version(service)
    for replicas in (2, 4, 2, 4):
        service.deploy(version, replicas=replicas)


def reload_front(service: Service, client: Load) -> None:
    version = live_version(service)
    for rate in (10_000, 0):
        service.deploy(version, settings={"limits": {"rate": rate, "connections": 0}})


def end(container: Any) -> None:
    container.reload()
    os.kill(container.attrs["State"]["Pid"], signal.SIGKILL)


def kill_copy(service: Service, client: Load) -> None:
    end(service.replicas()[0])


def freeze_copy(service: Service, client: Load) -> None:
    frozen = service.replicas()[0]
    frozen.pause()
    client.reach(client.report().requests + 3000)
    frozen.unpause()


def kill_front(service: Service, client: Load) -> float:
    """Seconds until the last failure."""
    killed = time.time()
    end(service.front)
    client.reach(client.report().requests + 1500)
    return float(client.report().failures[-1]["at"] - killed)


def kill_command(service: Service, client: Load) -> None:
    """At 12 instants spread over a deploy; run again each time, and counted."""
    whole_s = timed(lambda: service.command(Wish(another(service))).succeeds())
    for instant in range(12):
        wish = Wish(another(service))
        killed = service.command(wish)
        time.sleep(whole_s * (instant + 1) / 13)
        killed.kill()
        service.command(wish).succeeds()
        service.exactly(service.history.live)
        assert not [name for name in service.left() if "keeper" in name]


def nothing(service: Service, client: Load) -> None:
    """For cases that are measured in their own way."""


HAND = "by hand: docker stop, rm, run (1 copy)"
REAL = "by the command, real scikit-learn image"
CASES = (
    Case("deploy", deploy),
    Case("rollback", roll_back),
    Case("canary to 25 %, then abort", canary_with_abort),
    Case("scale 4, 2, 4, 2, 4", scale),
    Case("two planned reloads of the front", reload_front),
    Case("a copy killed (SIGKILL)", kill_copy),
    Case("a copy frozen for 10 s", freeze_copy, "at most 1 %"),
    Case("the front killed (SIGKILL)", kill_front, "only while it is away, 5 s"),
    Case("deploy killed at 12 instants, run again", kill_command, most_repeats=1),
)


def measure(case: Case, service: Service, requests: int) -> None:
    with service.under_load(rate=RATE) as client:
        client.reach(requests // 5)
        seconds = case.act(service, client)
        client.reach(max(requests, client.report().requests + requests // 5))
        report = client.end()
    noted(case, report, seconds)
    until_well(service)


def noted(case: Case, report: Report, seconds: float | None) -> None:
    case.reports.append(report)
    if seconds is not None:
        case.seconds.append(seconds)
    print(f"{case.name}: {report}" + ("" if seconds is None else f"\n  {seconds:.2f} s"), flush=True)


def until_well(service: Service) -> None:
    """The next case begins with four copies that are ready."""
    deadline = time.monotonic() + 60
    while sum(replica.ready for replica in service.open().observe().replicas) != REPLICAS:
        assert time.monotonic() < deadline
        time.sleep(0.2)


def by_hand(client: Any, project: str, requests: int, repeats: int) -> Case:
    """One container on a port, replaced by one of the other version as a shell script does it."""
    case, port, name = Case(HAND, nothing, "(no goal)"), free_port(), f"{project}-by-hand"
    images = [f"mlship/{project}:{standin_image(client, project, version).removeprefix('sha256:')[:12]}" for version in (1, 2)]

    def run(version: int) -> None:
        client.containers.run(
            images[version % 2], detach=True, name=name, user="65532", ports={"8080/tcp": ("127.0.0.1", port)},
            environment={"PORT": "8080", "MLSHIP_RELEASE": f"r{version}-byhand"},
            labels={"mlship.project": project, "mlship.role": "by-hand"},
        )  # fmt: skip

    def replace(version: int) -> None:
        old = client.containers.get(name)
        old.stop()
        old.remove()
        run(version)

    run(0)
    time.sleep(1)
    for version in range(1, repeats + 1):
        with load(port, rate=RATE) as counting:
            counting.reach(requests // 5)
            began = time.monotonic()
            replace(version)
            seconds = time.monotonic() - began
            counting.reach(max(requests, counting.report().requests + requests // 5))
            noted(case, counting.end(), seconds)
    client.containers.get(name).remove(force=True)
    return case


def real_image(home: Path, project: str, requests: int, repeats: int) -> tuple[Case, ...]:
    """The example with a scikit-learn model, by the real command: another value in `env` is another release of the same image.

    First with no callers, then under load, which takes most of one of two cores from the servers that start.
    """
    alone = Case(f"deploy {REAL}, no callers", nothing, "10 s"), Case(f"rollback {REAL}, no callers", nothing, "5 s")
    loaded = Case(f"deploy {REAL}", nothing), Case(f"rollback {REAL}", nothing)
    port, folder = free_port(), home / "numeric"
    shutil.copytree(EXAMPLE, folder, dirs_exist_ok=True)
    environ = {**os.environ, "VIRTUAL_ENV": sys.prefix, "MLSHIP_HOME": str(home)}
    environ.pop("PYTHONDONTWRITEBYTECODE", None)  # a setting of this shell: the command would be compiled anew each time
    body = (folder / "request.json").read_text()

    def mlship(*words: str) -> float:
        argv = [sys.executable, "-m", "mlship", *words]
        return timed(lambda: subprocess.run(argv, cwd=folder, env=environ, check=True, stdout=subprocess.DEVNULL))

    def configure(version: int) -> None:
        (folder / "mlship.yaml").write_text(
            CONFIGURATION.format(project=project, port=port, replicas=REPLICAS, version=version)
        )

    def under_load(case: Case, verb: str) -> None:
        with load(port, rate=RATE, body=body) as client:
            client.reach(requests // 5)
            seconds = mlship(verb, "--yes")
            client.reach(max(requests, client.report().requests + requests // 5))
            noted(case, client.end(), seconds)

    subprocess.run([sys.executable, "train.py"], cwd=folder, env=environ, check=True)
    configure(0)
    mlship("build")
    mlship("deploy", "--yes")
    try:
        for repeat in range(repeats):
            configure(2 * repeat + 1)
            for case, verb in zip(alone, ("deploy", "rollback"), strict=True):
                time.sleep(1)
                case.seconds.append(mlship(verb, "--yes"))
                print(f"{case.name}: {case.seconds[-1]:.2f} s", flush=True)
            configure(2 * repeat + 2)
            for case, verb in zip(loaded, ("deploy", "rollback"), strict=True):
                under_load(case, verb)
    finally:
        mlship("destroy", "--yes")
    return *alone, *loaded


def table(cases: list[Case]) -> Iterator[str]:
    cores = len(os.sched_getaffinity(0))
    load_average = f"load average {os.getloadavg()[2]:.0f}"
    yield f"{datetime.now(UTC):%Y-%m-%d}, {platform.machine()}, {cores} cores shared with client, engine and copies, {load_average},"
    yield f"{REPLICAS} copies, {RATE:.0f} requests/s on 7 kept connections and 1 that is new each time;"
    yield "written by `python bench/rollout.py --write`.\n"
    yield "| what happens under load | repeats | requests | failed | goal | seconds (median, worst) | p99 ms | slowest ms |"
    yield "|---|---|---|---|---|---|---|---|"
    for case in cases:
        if case.reports or case.seconds:
            yield row(case)


def row(case: Case) -> str:
    requests = sum(report.requests for report in case.reports)
    failed = sum(report.failed for report in case.reports)
    seconds = f"{statistics.median(case.seconds):.1f}, {max(case.seconds):.1f}" if case.seconds else ""
    if not case.reports:
        return f"| {case.name} | {len(case.seconds)} |  |  | {case.goal} | {seconds} |  |  |"
    p99 = statistics.median(report.p99_ms for report in case.reports)
    slowest = max(report.slowest_ms for report in case.reports)
    counts = f"{len(case.reports)} | {requests:,} | {failed:,} ({failed / requests:.2%}) | {case.goal}"
    return f"| {case.name} | {counts} | {seconds} | {p99:.0f} | {slowest:.0f} |"


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--requests", type=int, default=5000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", default="")
    parser.add_argument("--home", default="")
    parser.add_argument("--write", action="store_true")
    wish = parser.parse_args(argv)
    client = docker.from_env(timeout=120)
    home = Path(wish.home or tempfile.mkdtemp(prefix="mlship-bench-"))
    front_of(home).make(f"linux/{'arm64' if platform.machine() == 'aarch64' else 'amd64'}")
    service = Service(client, home, "onprem-bench", free_port())
    rows = list(CASES)
    service.clean()
    try:
        service.deploy(1)
        service.deploy(2)
        for case in CASES:
            for _ in range(min(wish.repeats, case.most_repeats) if wish.only in case.name else 0):
                measure(case, service, wish.requests)
        if wish.only in HAND:
            rows.append(by_hand(client, service.project, wish.requests, wish.repeats))
    finally:
        service.clean()
    if wish.only in REAL:
        rows += real_image(home, "onprem-real", wish.requests, wish.repeats)
    text = "\n".join(table(rows)) + "\n"
    print(text)
    if wish.write:
        (Path(__file__).parent / "rollout.md").write_text(text)


if __name__ == "__main__":
    main(sys.argv[1:])
