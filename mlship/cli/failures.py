"""What people and machines are told when a command fails."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from typing import Any

from mlship import __version__
from mlship.cli.arguments import Invocation
from mlship.cli.hints import Scope
from mlship.cli.job_notes import leave
from mlship.cli.payloads import finding_payload
from mlship.cli.table import COMMANDS
from mlship.cli.terminal import Terminal
from mlship.cli.views.findings import findings_text
from mlship.disk import FULL
from mlship.errors import Exit, MlshipError
from mlship.masks import masked_plain

UNSAID = Scope()


def report(error: Exception, invocation: Invocation, terminal: Terminal, scope: Scope = UNSAID) -> int:
    """Prints it; returns the exit code. scope: of the commands that it names."""
    known = error if isinstance(error, MlshipError) else full_disk(error) or bug(error)
    complete(known, scope)
    if known.exit is Exit.BUG:
        import traceback

        terminal.complain("".join(traceback.format_exception(error)))
    terminal.complain(error_text(known))
    if invocation.wants_json:
        terminal.document(error_json(invocation.command, known))
    leave(os.environ, invocation.command, error_payload(known), error_text(known), int(known.exit))
    return int(known.exit)


def complete(error: MlshipError, scope: Scope) -> None:
    """Commands in what it says to do work as they stand."""
    error.fix = scope.completed(error.fix)
    error.findings = tuple(replace(finding, fix=scope.completed(finding.fix)) for finding in error.findings)


def error_text(error: MlshipError) -> str:
    """What, where, the evidence, the fix, the exit code; a list of findings in columns."""
    if error.exit == Exit.INTERRUPTED:
        return f"{error.what}{'; ' if error.fix else ''}{error.fix}"
    failed = error.exit in (Exit.BUILD_FAILED, Exit.VERIFY_FAILED, Exit.NOT_RESTORED)
    paused = error.exit is Exit.PAUSED
    word = "FAILED  " if failed else "PAUSED  " if paused else "" if error.findings else "error: "
    lines = [f"{word}{error.what}"]
    lines += [f"  where  {error.where}"] if error.where else []
    evidence = [detail for detail in error.details if detail not in error.what]
    lines += [f"  {line}" for detail in evidence for line in detail.splitlines()]
    lines += [findings_text(error.findings)] if error.findings else []
    lines += [f"  {'next' if paused else 'fix'}    {error.fix}"] if error.fix else []
    return "\n".join([*lines, f"exit {int(error.exit)}"])


def error_json(command: str, error: MlshipError) -> str:
    """The envelope of a failure, one line."""
    document = {"schema": "mlship/v1", "command": command, "ok": False, "exit": int(error.exit), **error_payload(error)}
    return json.dumps(masked_plain(document), ensure_ascii=False)


def error_payload(error: MlshipError) -> dict[str, Any]:
    """What an envelope says of an error."""
    return {
        "error": {
            "code": error.code,
            "message": error.what,
            "where": error.where,
            "fix": error.fix,
            "details": list(error.details),
        },
        "findings": [finding_payload(finding) for finding in error.findings],
    }


def full_disk(error: Exception) -> MlshipError | None:
    """The last door: whatever was being written, a disk without room is no bug."""
    if not isinstance(error, OSError) or error.errno not in FULL:
        return None
    return MlshipError(
        f"nothing more can be written: {error.strerror}",
        where=str(error.filename or ""),
        fix="free some space on that disk, then run the same command again",
        exit=Exit.BUILD_FAILED,
        code="disk",
    )


def bug(error: Exception) -> MlshipError:
    return MlshipError(
        f"this is a bug in mlship {__version__}: {type(error).__name__}: {error}",
        fix="report it with the lines above and what `mlship doctor` says",
        exit=Exit.BUG,
        code="bug",
    )


def interrupted() -> MlshipError:
    return MlshipError("interrupted", fix="run the same command again: it converges", exit=Exit.INTERRUPTED, code="interrupted")


def unknown_command(said: str) -> MlshipError:
    import difflib

    if not said:
        return MlshipError("no command is named", fix="mlship --help", code="usage")
    near = difflib.get_close_matches(said, COMMANDS, n=1)
    if said.startswith("-"):
        return MlshipError(f"{said} is not an option of mlship itself", fix="mlship --help", code="usage")
    return MlshipError(
        f"there is no command {said!r}" + (f"; did you mean {near[0]}?" if near else ""), fix="mlship --help", code="usage"
    )


def usage(error: Exception, command: str) -> MlshipError:
    """From the parser's own error."""
    message: str = error.format_message() if hasattr(error, "format_message") else str(error)
    return MlshipError(message.rstrip("."), fix=f"mlship {command} --help", code="usage")
