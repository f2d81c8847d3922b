"""Containers get nothing that they do not need: checked at the engine, and from inside."""

from __future__ import annotations

import socket
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from onprem import Service, Wish

pytestmark = [pytest.mark.world, pytest.mark.engine]

INSIDE = """
import os, socket, sys
def reaches(host, port):
    try:
        socket.create_connection((host, port), 2).close()
    except OSError:
        return "no"
    return "yes"
def writes(path):
    try:
        open(path, "w").close()
    except OSError:
        return "no"
    return "yes"
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(os.getuid(), status["CapEff"].strip(), status["NoNewPrivs"].strip(), writes("/opt/x"), writes("/usr/x"), writes("/tmp/x"),
      *(reaches(*word.rsplit(":", 1)) for word in sys.argv[1:]))
"""


def test_copies_and_front_run_without_rights(onprem: Service) -> None:
    onprem.deploy(1, replicas=2)
    for container in [*onprem.replicas(), onprem.front]:
        host, config = container.attrs["HostConfig"], container.attrs["Config"]
        assert config["User"].split(":")[0].isdigit() and not config["User"].startswith("0"), container.name
        assert host["ReadonlyRootfs"]
        assert host["CapDrop"] == ["ALL"] and not host["CapAdd"]
        assert "no-new-privileges" in " ".join(host["SecurityOpt"])
        assert not host["Privileged"] and host["PidMode"] != "host" and host["IpcMode"] != "host"
        assert host["Memory"] > 0 and 0 < host["PidsLimit"] <= 4096
        assert host["RestartPolicy"]["Name"] == "unless-stopped"
        assert not any("docker.sock" in str(mount) for mount in container.attrs["Mounts"])
    for replica in onprem.replicas():
        assert not replica.attrs["HostConfig"]["PortBindings"]
        assert replica.attrs["HostConfig"]["NanoCpus"] > 0
        assert not [mount for mount in replica.attrs["Mounts"] if mount["RW"] and mount["Type"] != "tmpfs"]
    published = onprem.front.attrs["HostConfig"]["PortBindings"]
    assert [bound["HostPort"] for bounds in published.values() for bound in bounds] == [str(onprem.port)]
    assert {bound["HostIp"] for bounds in published.values() for bound in bounds} == {"127.0.0.1"}
    with closing(onprem.open()) as target:  # a command at work: where the front's memory ends, it ends first
        target.observe()
        ends_first = {" serve " in argv: ends_at(pid) for pid, argv in running_in(onprem.front)}
    assert ends_first == {True: 1000, False: 0}


def running_in(container: Any) -> list[tuple[int, str]]:
    """Process ids of this machine, and command lines."""
    told = container.top(ps_args="-eo pid,args")
    return [(int(pid), argv) for pid, argv in told["Processes"]]


def ends_at(pid: int) -> int:
    return int(Path(f"/proc/{pid}/oom_score_adj").read_text())


@pytest.mark.parametrize(("egress", "reaches"), [(False, "no"), (True, "yes")], ids=["no egress", "egress"])
def test_a_copy_reaches_nothing_outside_unless_asked(onprem: Service, egress: bool, reaches: str) -> None:
    """Outside: a listener on this machine, which a container with egress reaches through its gateway."""
    settings = {"egress": True} if egress else {}
    onprem.deploy(1, replicas=1, settings=settings)
    bridge = onprem.client.networks.get("bridge").attrs["IPAM"]["Config"][0].get("Gateway", "172.17.0.1")
    with socket.create_server(("0.0.0.0", 0)) as listener:
        outside = f"{bridge}:{listener.getsockname()[1]}"
        assert inside(onprem.replicas()[0], outside) == f"65532 0000000000000000 1 no no yes {reaches}"
    target, decided = onprem.planned(Wish(2, replicas=1, settings={"egress": not egress}))
    assert "egress-changed" in [finding.code for finding in target.preflight(decided.deployment)]


def inside(container: Any, *reach: str) -> str:
    python = container.attrs["Config"]["Entrypoint"][0]
    code, said = container.exec_run([python, "-c", INSIDE, *reach])
    assert code == 0, said
    return str(said.decode().strip())


def test_the_volume_of_the_records_is_closed_to_everyone_but_root(onprem: Service) -> None:
    onprem.deploy(1, replicas=1)
    for name in ("history.json", "lease.json", "secrets.json"):
        path = onprem.state / name
        if path.exists():
            assert path.stat().st_uid == 0 and path.stat().st_mode & 0o777 == 0o600, name
    code, said = onprem.front.exec_run([onprem.front.attrs["Config"]["Entrypoint"][0], "-c", "open('/state/history.json')"])
    assert code != 0 and b"PermissionError" in said
    assert (onprem.state / "front").stat().st_mode & 0o022 == 0
