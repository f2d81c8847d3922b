"""All that an engine knows and shows of one project: where no secret may stand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def everything_told(engine: Any, name: str) -> str:
    """Attributes, logs, variables and arguments of each process, files of volumes but those of secrets, attributes of images."""
    labelled = {"label": f"mlship.project={name}"}
    told = []
    for container in engine.containers.list(all=True, filters=labelled):
        told += [json.dumps(container.attrs), container.logs().decode(errors="replace")]
        told += [Path(f"/proc/{pid}/{what}").read_text() for pid in pids(container) for what in ("environ", "cmdline")]
    for volume in engine.volumes.list(filters=labelled):
        if "_secrets_" not in volume.name:
            files = [path for path in Path(volume.attrs["Mountpoint"]).rglob("*") if path.is_file() and path.suffix != ".pem"]
            told += [path.read_text(errors="replace") for path in files]
    return "\n".join([*told, *(json.dumps(image.attrs) for image in engine.images.list(filters=labelled))])


def pids(container: Any) -> list[str]:
    if container.status != "running":
        return []
    return [row[1] for row in container.top()["Processes"]]
