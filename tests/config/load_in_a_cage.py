"""Run by test_hostile_yaml.py in a process of its own with little memory: loads each file and prints how it ended."""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

from mlship.config.load import load_project
from mlship.errors import MlshipError

LIMIT = 500 * 2**20


def ending(file: Path) -> dict[str, object]:
    started = time.process_time()
    try:
        load_project(file)
        said, is_refused = "", False
    except MlshipError as error:
        said, is_refused = str(error), error.exit == 2
    except BaseException as error:
        said, is_refused = f"{type(error).__name__}: {error}"[:500], False
    return {"said": said, "is_refused": is_refused, "seconds": time.process_time() - started}


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (LIMIT, LIMIT))
    json.dump({name: ending(Path(name)) for name in sys.stdin.read().splitlines()}, sys.stdout)
