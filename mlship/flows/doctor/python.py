"""The Python that mlship itself runs on."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator

from mlship import __version__
from mlship.errors import Finding
from mlship.flows.doctor.ground import Ground


def check(ground: Ground) -> Iterator[Finding]:
    said = f"mlship {__version__} on Python {platform.python_version()}"
    yield Finding(said, sys.executable, severity="note", code="python")
