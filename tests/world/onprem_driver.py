"""Carries out one deploy as the command does, in a process of its own that can be killed or stopped: onprem_driver.py ORDER.

Tells each step in a line on standard output.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import docker
from onprem import Service, Wish

from mlship.errors import MlshipError
from mlship.progress import Silent
from mlship.targets import lease


class Told(Silent):
    """die_at: ends this process without a word before that step."""

    def __init__(self, die_at: int) -> None:
        self._left = die_at

    def step(self, name: str, detail: str = "") -> None:
        print(name, detail, flush=True)
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        self._left -= 1


def main(order: dict[str, Any]) -> int:
    if order["lease_s"]:
        lease.TTL_S = order["lease_s"]
    told = Told(order["die_at"])
    images = docker.from_env(
        timeout=120, environment={"DOCKER_HOST": order["engine"]}
    )  # also where the command's own way is bad
    service = Service(images, Path(order["home"]), order["project"], order["port"])
    told.step("begins")
    try:
        service.carry_out(service.planned(Wish(**order["wish"])), told)
    except MlshipError as error:
        print(f"{error}\n" + "\n".join(error.details), file=sys.stderr)
        return int(error.exit)
    told.step("done")
    return 0


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1])))
