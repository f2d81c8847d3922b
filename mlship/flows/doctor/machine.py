"""Operating system and processor."""

from __future__ import annotations

import platform
from collections.abc import Iterator

from mlship.errors import Finding
from mlship.flows.doctor.ground import Ground

PROCESSORS = {"x86_64": "linux/amd64", "amd64": "linux/amd64", "aarch64": "linux/arm64", "arm64": "linux/arm64"}


def check(ground: Ground) -> Iterator[Finding]:
    yield machine_finding(platform.system(), platform.machine())


def machine_finding(system: str, processor: str) -> Finding:
    """Pure. system and processor as the module platform names them."""
    said = f"{system} on {processor}"
    if processor.lower() not in PROCESSORS:
        return Finding(said, fix="mlship builds for amd64 and arm64; run it on one of these", code="machine")
    if system == "Linux":
        return Finding(said, severity="note", code="machine")
    if system == "Darwin":
        return Finding(
            f"{said}: images are built, and what must run Linux code is checked at deploy; the target local needs Linux",
            fix="deploy with --target docker; mlship run --source serves from your own environment",
            severity="warning",
            code="machine",
        )
    return Finding(said, fix="run mlship on Linux or macOS; on Windows inside WSL", code="machine")
