"""A real sshd on loopback that leads to an engine, and an ssh that knows it and nothing else."""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from engine_proxy import ENGINE

SSHD = Path("/usr/sbin/sshd")


class Sshd:
    """engine: the socket of the engine that `docker` reaches over there."""

    def __init__(self, folder: Path, engine: str = ENGINE) -> None:
        self.folder = folder
        for key in ("host", "mine", "foreign"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / key], check=True)
        (folder / "authorized").write_text((folder / "mine.pub").read_text())
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port = listener.getsockname()[1]
        self.programs = folder / "programs"
        self.programs.mkdir()
        (self.programs / "docker").symlink_to(shutil.which("docker") or "")
        (folder / "sshd_config").write_text(
            f"ListenAddress 127.0.0.1:{self.port}\nHostKey {folder}/host\nPidFile none\nAuthorizedKeysFile {folder}/authorized\n"
            f"PasswordAuthentication no\nKbdInteractiveAuthentication no\nUsePAM no\nStrictModes no\n"
            f"SetEnv PATH={self.programs}:/nonexistent DOCKER_HOST=unix://{engine}\nPermitRootLogin prohibit-password\n"
        )
        self.log = (folder / "sshd.log").open("wb")
        self.know(f"[127.0.0.1]:{self.port} {(folder / 'host.pub').read_text()}")
        self.use("mine")
        self.open()

    @property
    def host(self) -> str:
        return f"ssh://{getpass.getuser()}@127.0.0.1:{self.port}"

    def environ(self, host: str = "") -> dict[str, str]:
        return {**os.environ, "DOCKER_HOST": host or self.host, "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}"}

    def know(self, line: str) -> None:
        (self.folder / "known_hosts").write_text(line)

    def use(self, key: str) -> None:
        ssh_client(self.folder / "bin", [self.folder / key], [self.folder / "known_hosts"])

    def without_docker(self) -> None:
        (self.programs / "docker").unlink()

    def open(self) -> None:
        Path("/run/sshd").mkdir(exist_ok=True)
        self._process = subprocess.Popen([SSHD, "-D", "-e", "-f", self.folder / "sshd_config"], stderr=self.log)
        deadline = time.monotonic() + 10
        while not self._answers() and time.monotonic() < deadline:
            time.sleep(0.05)

    def close(self) -> None:
        """New connections are refused; those that stand go on. `open` opens it again."""
        self._process.terminate()
        self._process.wait()

    def cut(self) -> None:
        """As when the machine goes away: also the connections that stand are gone."""
        logins = _children(self._process.pid)
        self.close()
        for login in logins:
            for pid in (login, *_children(login)):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def _answers(self) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
            return True
        return False


def _children(pid: int) -> list[int]:
    listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False)
    return [int(line) for line in listed.stdout.split()]


def ssh_client(folder: Path, keys: Sequence[Path], known_hosts: Sequence[Path]) -> None:
    """A program `ssh` for the front of PATH that behaves as if ~/.ssh/config named these keys and known hosts.

    ssh takes that file from the user's entry in passwd and not from HOME.
    """
    folder.mkdir(exist_ok=True)
    config = folder / "ssh_config"
    identities = "".join(f"  IdentityFile {key}\n" for key in keys)
    config.write_text(
        f"Host *\n{identities}  IdentitiesOnly yes\n  UserKnownHostsFile {' '.join(map(str, known_hosts))}\n"
        f"  GlobalKnownHostsFile /dev/null\n  StrictHostKeyChecking yes\n"
    )
    script = folder / "ssh"
    script.write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {config} "$@"\n')
    script.chmod(0o755)
