"""Deploys one version of the stand-in service as the command would: local_driver.py FOLDER VERSION. Made to be killed."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "targets"))

from contract import deploy
from local_service import LocalService

service = LocalService(Path(sys.argv[1]))
print("begins", flush=True)
deploy(service, int(sys.argv[2]))
print("done", flush=True)
