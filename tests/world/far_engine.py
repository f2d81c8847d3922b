"""A second Docker engine beside the one of the stories, as on a machine of its own.

It has a network of its own (addresses, ports, packet filter), so that it may publish the very ports that the other one has, and
mounts of its own, which are gone when it ends. Its socket is a file, and is reached from everywhere.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from docker import DockerClient
from docker.errors import DockerException

START_S = 60.0
# What programs in its containers can tell it by: setrlimit(2), RLIMIT_SIGPENDING.
PENDING_SIGNALS = 4321
SIOCSIFFLAGS, IFF_UP_RUNNING = 0x8914, 0x1 | 0x40  # netdevice(7)


class FarEngine:
    """Needs root. socket: the path of its API. within: what to put before a command that is to run in its network."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="mlship-far-", dir="/tmp"))  # the paths of sockets are short
        self.socket = str(self.folder / "docker.sock")
        self.log = (self.folder / "log").open("wb")
        self._process = subprocess.Popen(
            ["unshare", "--net", "--mount", "--propagation", "private", sys.executable, __file__, str(self.folder)],
            stdout=self.log,
            stderr=self.log,
        )
        self.within = ("nsenter", f"--net=/proc/{self._process.pid}/ns/net")
        self.client = self._reached()

    def close(self) -> None:
        """It ends its containers and then itself."""
        self.client.close()
        self._process.terminate()
        self._process.wait(60)
        self.log.close()
        shutil.rmtree(self.folder)

    def _reached(self) -> DockerClient:
        deadline = time.monotonic() + START_S
        while True:
            try:
                return DockerClient(f"unix://{self.socket}", timeout=120)
            except DockerException:
                said = (self.folder / "log").read_text()[-2000:]
                assert self._process.poll() is None and time.monotonic() < deadline, said
                time.sleep(0.1)


def main(folder: Path) -> None:
    """Becomes the engine. A new network has a loopback that is down."""
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP_RUNNING))
    wishes = {"host": f"unix://{folder}/docker.sock", "data-root": folder / "data", "exec-root": folder / "exec"}
    wishes |= {"pidfile": folder / "pid", "default-ulimit": f"sigpending={PENDING_SIGNALS}:{PENDING_SIGNALS}"}
    os.execvp("dockerd", ["dockerd", *(f"--{name}={value}" for name, value in wishes.items())])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
