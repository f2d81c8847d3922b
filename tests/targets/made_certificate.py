"""Certificates for tests, made by the openssl program: one day, a hundred days, another key."""

from __future__ import annotations

import subprocess
from pathlib import Path


def made_certificate(folder: Path, name: str = "a", days: int = 100, *options: str) -> tuple[Path, Path]:
    """A self-signed certificate for localhost and its key, as PEM files."""
    cert, key = folder / f"{name}.pem", folder / f"{name}.key"
    argv = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", str(days)]
    subprocess.run(
        [*argv, "-subj", "/CN=localhost", *options, "-keyout", key, "-out", cert], check=True, capture_output=True, timeout=60
    )
    return cert, key
