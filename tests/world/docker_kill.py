"""One deploy as the command line would do it, in a process of its own that can be killed.

python docker_kill.py HOME PROJECT PORT VERSION CONTENT
"""

from __future__ import annotations

import os
import sys
import time
from dataclasses import replace
from pathlib import Path

from docker_standin import standin_deployment

from mlship.errors import MlshipError
from mlship.home import Home
from mlship.progress import Silent
from mlship.releases.history import History
from mlship.runner import LocalRunner
from mlship.targets.base import Opening
from mlship.targets.docker.target import open_target
from mlship.targets.plan import plan
from mlship.targets.rollout import Facts, World, roll_out


def main(home: str, project: str, port: str, version: str, content: str) -> int:
    who = f"test@here pid {os.getpid()}"
    settings = {"port": int(port), "host": "127.0.0.1"}
    opening = Opening(project, "", Home(Path(home)), LocalRunner(), time.time, who, os.environ, settings)
    target = open_target(opening)
    deployment = standin_deployment(project, content, int(version), int(port))
    observed = target.observe()
    history = observed.history or History(project, "", "docker")
    live = history.live_release
    same = live is not None and live.served.digest() == deployment.release.served.digest()
    release = live if live is not None and same else replace(deployment.release, sequence=history.next_sequence)
    decided = plan("deploy", replace(deployment, release=release), observed)
    try:
        roll_out(target, decided, Facts(who), World(time.time, time.sleep, Silent()))
    except MlshipError as error:
        print(f"{error}\n{error.details}", file=sys.stderr)
        return int(error.exit)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
