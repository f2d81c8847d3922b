"""Models that another tool packed: the folder or archive is opened, and what lies in it is served by its own runtime."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from mlship.errors import Finding, MlshipError
from mlship.frameworks.base import Packed
from mlship.frameworks.detect import Detected, detect

# what detect tells -> `module:function` that opens it, imported when such a model is read
PACKAGES = {"mlflow": "mlship.frameworks.mlflow:open_mlflow"}


def inner(path: Path, where: str, asked: str = "") -> tuple[Detected, Packed]:
    """What of the path is served, and what that is; the path itself where no other tool packed it.

    asked: `model.framework`, or "". where: the key that names the model. Loads nothing. Raises MlshipError for a package that
    cannot be read, or that holds what is not served.
    """
    detected = detect(path, where)
    if detected.framework not in PACKAGES:
        return detected, Packed(path)
    module, _, name = PACKAGES[detected.framework].partition(":")
    opener: Callable[[Path, str, str], Packed] = getattr(importlib.import_module(module), name)
    packed = opener(path, where, asked)
    if packed.path == path:
        return detected, packed
    within = detect(packed.path, where)
    if within.framework in PACKAGES:  # nobody agreed to what such a one may do
        raise MlshipError(
            f"{path.name} is {packed.what} with {within.what} in it", where, "name the inner one", code="packed-twice"
        )
    return within, packed


def vouched(findings: Iterable[Finding], packed: Packed) -> tuple[Finding, ...]:
    """With the note, where a name is refused, that whoever saved the model trusts it. The user has to say so, too."""
    if not packed.vouched:
        return tuple(findings)
    note = f"; whoever saved it vouches for {', '.join(packed.vouched)}"
    return tuple(
        replace(finding, what=finding.what + note)
        if finding.code == "unknown-name" and any(name in finding.what for name in packed.vouched)
        else finding
        for finding in findings
    )
