"""Carries out one deploy as the command does, in a process of its own that can be killed or stopped: onprem_driver.py ORDER.

Tells each step in a line on standard output.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import docker
from onprem import Service, Wish

from mlship.errors import MlshipError
from mlship.progress import Silent


class Told(Silent):
    def step(self, name: str, detail: str = "") -> None:
        print(name, detail, flush=True)


def main(order: dict[str, Any]) -> int:
    told = Told()
    # The images are made over a good line, also where the command's own is a bad one.
    images = docker.from_env(timeout=120, environment={"DOCKER_HOST": order["engine"]})
    service = Service(images, Path(order["home"]), order["project"], order["port"])
    told.step("begins")
    try:
        done = service.carry_out(service.planned(Wish(**order["wish"])), told)
    except MlshipError as error:
        print(f"{error}\n" + "\n".join(error.details), file=sys.stderr)
        return int(error.exit)
    print(*done.notes, sep="\n", file=sys.stderr)
    told.step("done")
    return 0


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1])))
