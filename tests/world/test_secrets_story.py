"""Secrets at a real engine: in one place each, kept as long as they are needed, whole or absent at any instant."""

from __future__ import annotations

import json
import multiprocessing
import os
import secrets
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from free_ports import free_port
from kept import Kept
from onprem import Wish

from mlship.errors import MlshipError
from mlship.flows.opening import Opened
from mlship.flows.rollback import refuse_lost
from mlship.targets.docker.secrets import volume_name

pytestmark = [pytest.mark.world, pytest.mark.engine]

READS = "import os, sys; print(open('/run/secrets/' + sys.argv[1]).read(), end='')"
LOOKS = """
import os, stat
for name in ('', 'KEY'):
    found = os.stat('/run/secrets/' + name)
    print(oct(stat.S_IMODE(found.st_mode)), found.st_uid)
try:
    open('/run/secrets/NEW', 'w')
except OSError as error:
    print(error.strerror)
print(open('/proc/1/environ').read())
"""


@pytest.fixture
def kept(engine: Any, front_home: Path) -> Iterator[Kept]:
    made = Kept(engine, front_home, f"secrets-{os.getpid()}", free_port())
    yield made
    made.clean()


def value(word: str = "") -> str:
    return f"{word}-{secrets.token_hex(16)}"


def inside(service: Kept, program: str, *words: str) -> str:
    """What a program says that runs as the replica's own user."""
    replica = service.replicas()[0]
    python = replica.attrs["Config"]["Entrypoint"][0]
    ended = replica.exec_run([python, "-c", program, *words])
    assert ended.exit_code == 0, ended.output
    return str(ended.output.decode())


def volumes(service: Kept) -> list[str]:
    found = service.client.volumes.list(filters={"label": ["mlship.secrets", f"mlship.project={service.project}"]})
    return sorted(volume.name for volume in found)


def everything_told(service: Kept) -> str:
    """All that the engine tells of the project, its records, and its containers' logs."""
    containers = service.containers()
    told = [json.dumps(entry.attrs) + entry.logs().decode(errors="replace") for entry in containers]
    told += [json.dumps(volume.attrs) for volume in service.client.volumes.list(filters=service.labelled)]
    told += [json.dumps(image.attrs) for image in service.client.images.list(filters=service.labelled)]
    told += [path.read_text(errors="replace") for path in service.state.rglob("*") if path.is_file() and path.suffix != ".pem"]
    return "\n".join(told)


def test_a_secret_is_in_one_place_that_only_its_reader_reads(kept: Kept) -> None:
    key = value()
    release = kept.with_values(KEY=key, OTHER="ä\n").deploy(81, replicas=2).history.live_release
    assert release is not None and release.served.secrets == {"KEY": "1", "OTHER": "1"}
    assert inside(kept, READS, "KEY") == key
    assert inside(kept, READS, "OTHER") == "ä\n"
    looked = inside(kept, LOOKS)
    assert looked.splitlines()[:3] == ["0o755 0", "0o400 65532", "Read-only file system"]
    assert "MLSHIP_SECRETS=/run/secrets" in looked
    assert key not in looked
    assert key not in everything_told(kept)
    assert key not in repr(kept.planned(Wish(81, replicas=2))[1])
    status = kept.mlship("status", "--json")
    assert status.returncode == 0
    assert key not in status.stdout + status.stderr + kept.mlship("history", "--json").stdout
    assert (kept.state / "secrets.json").stat().st_mode & 0o777 == 0o600


def test_the_same_values_change_nothing_and_a_new_one_makes_a_release(kept: Kept) -> None:
    old, new = value("old"), value("new")
    first = kept.with_values(KEY=old).deploy(81, replicas=1).history.live
    assert kept.planned(Wish(81, replicas=1))[1].is_empty
    second = kept.with_values(KEY=new).deploy(81, replicas=1).history
    assert second.live != first
    assert second.live_release is not None and second.live_release.served.secrets == {"KEY": "2"}
    assert inside(kept, READS, "KEY") == new
    assert len(volumes(kept)) == 2
    assert kept.with_values().roll_back().history.live == first
    assert inside(kept, READS, "KEY") == old, "the values of then come back without anybody having them"


def test_secrets_go_with_the_last_release_that_needs_them_and_with_destroy(kept: Kept) -> None:
    kept.keep = 1
    kept.with_values(KEY=value()).deploy(81, replicas=1)
    kept.with_values(KEY=value()).deploy(81, replicas=1)
    live = kept.with_values(KEY=value()).deploy(81, replicas=1).history.live_release
    assert live is not None
    assert volumes(kept) == [volume_name(kept.open()._scope, live.served.secrets)]
    assert kept.mlship("destroy", "--yes").returncode == 0
    assert [name for name in kept.left() if kept.project in name] == []


def test_a_release_whose_secrets_are_gone_is_refused_and_told_before(kept: Kept) -> None:
    first = kept.with_values(KEY=value()).deploy(81, replicas=1).history.live
    kept.with_values(KEY=value()).deploy(81, replicas=1)
    lost = kept.history.find(first)
    for container in kept.containers("replica"):
        if container.labels["mlship.release"] == first:
            container.remove(force=True)
    target = kept.open()
    kept.client.volumes.get(volume_name(target._scope, lost.served.secrets)).remove()
    observed = target.observe()
    assert first not in observed.restorable
    with pytest.raises(
        MlshipError, match=f"{first} cannot be restored: its secrets are not on docker any more; restorable: r2"
    ):
        refuse_lost(Opened(kept.project, "", "docker", "haproxy", target, None), observed, lost)
    said = kept.mlship("rollback", "--yes", "--to", first)
    assert said.returncode == 2
    assert "its secrets are not on docker any more" in said.stderr


def written_in_a_child(home: Path, project: str, port: int, version: int, key: str) -> None:
    import docker

    service = Kept(docker.from_env(), home, project, port).with_values(KEY=key)
    target, decided = service.planned(Wish(version, replicas=1))
    target._secrets.volume(decided.deployment)
    os._exit(0)


def test_killed_while_writing_a_set_is_whole_or_does_not_count(kept: Kept) -> None:
    """The command is killed; its keeper ends with the connection, in the middle of whatever it did."""
    kept.with_values(KEY=value()).deploy(81, replicas=1)
    spawning = multiprocessing.get_context("spawn")
    cut = 0
    for turn in range(4):
        key = value(str(turn))
        child = spawning.Process(target=written_in_a_child, args=(kept.home, kept.project, kept.port, 81, key))
        child.start()
        before, deadline = set(volumes(kept)), time.monotonic() + 30
        while child.is_alive() and set(volumes(kept)) == before and time.monotonic() < deadline:
            time.sleep(0.005)
        time.sleep(0.1 * turn)
        os.kill(child.pid or 0, signal.SIGKILL)
        child.join()
        cut += child.exitcode != 0
        kept.with_values(KEY=key).deploy(81, replicas=1)
        assert inside(kept, READS, "KEY") == key
    assert cut >= 2
    assert len(volumes(kept)) <= 5
