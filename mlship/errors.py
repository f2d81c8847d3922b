"""What goes wrong, where, and what to do: the errors that users see, and the exit codes that machines read."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Literal


class Exit(IntEnum):
    """Exit codes; the same for every command (docs/design.md, Commands)."""

    OK = 0
    BUG = 1
    USAGE = 2
    CHANGES = 3
    LEASE_HELD = 4
    BUILD_FAILED = 5
    VERIFY_FAILED = 6
    NOT_RESTORED = 7
    DENIED = 8
    OVER_BUDGET = 9
    TIMED_OUT = 10
    DRIFTED = 11
    PAUSED = 12
    UNREACHABLE = 13
    STALE = 14
    INTERRUPTED = 130


Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True)
class Finding:
    """One thing that a check found.

    what: the actual value and what is wrong with it; where: a place such as `mlship.yaml:12:3 scale.replicas`;
    fix: a command or an edit. code: a stable word for machines, such as `unknown-key`.
    """

    what: str
    where: str = ""
    fix: str = ""
    severity: Severity = "error"
    code: str = ""

    def __str__(self) -> str:
        place = f"{self.where}  " if self.where else ""
        remedy = f"; {self.fix}" if self.fix else ""
        return f"{place}{self.what}{remedy}"


class MlshipError(Exception):
    """A user's error: printed without a trace, ends the command with `exit`."""

    def __init__(
        self,
        what: str,
        where: str = "",
        fix: str = "",
        *,
        exit: Exit = Exit.USAGE,
        code: str = "",
        details: Iterable[str] = (),
        findings: Iterable[Finding] = (),
    ) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.fix = fix
        self.exit = exit
        self.code = code or exit.name.lower().replace("_", "-")
        self.details = tuple(details)
        self.findings = tuple(findings)

    def __str__(self) -> str:
        return str(Finding(self.what, self.where, self.fix))


class FindingsError(MlshipError):
    """Several findings at once: all that is wrong with one file or one request."""

    def __init__(self, title: str, findings: Iterable[Finding], *, exit: Exit = Exit.USAGE, code: str = "") -> None:
        super().__init__(title, exit=exit, code=code, findings=findings)

    def __str__(self) -> str:
        return "\n".join([self.what, *(f"  {finding}" for finding in self.findings)])


def need(module: str, extra: str = "") -> Any:
    """The module, imported now; where it is missing, an error that says what to install."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        package = f'"mlship[{extra}]"' if extra else "--force-reinstall mlship"
        raise MlshipError(
            f"the package {error.name} is not installed in this environment",
            fix=f"pip install {package}",
            code="missing-package",
        ) from None
