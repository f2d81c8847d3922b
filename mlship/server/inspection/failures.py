"""What the locked-down process says when it cannot do what it was asked."""

from __future__ import annotations

from typing import Any


def failure(kind: str, message: str, fix: str = "", **more: Any) -> dict[str, Any]:
    """kind: a stable word for machines; message and fix: for people."""
    return {"error": {"kind": kind, "message": message, "fix": fix, **more}}
