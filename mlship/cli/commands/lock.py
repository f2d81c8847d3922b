"""mlship lock"""

from __future__ import annotations

from typing import Annotated

import typer

from mlship.cli import payloads
from mlship.cli.answer import Answer
from mlship.cli.call import Call
from mlship.cli.options import Python


def command(
    call: Call,
    python: Python = "",
    refresh: Annotated[
        bool, typer.Option("--refresh", help="Take the newest packages and models, also where the lock fits.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change; write nothing.")] = False,
    check: Annotated[bool, typer.Option("--check", help="As --dry-run; exit code 3 when anything would change.")] = False,
) -> Answer:
    """Write mlship.lock without making an image; --refresh takes security updates.

    A lock that fits stays as it is. --refresh resolves anew and shows each package with its old and its new version, security
    updates first. Commit the file.
    """
    from mlship.cli.views.lock import lock_text
    from mlship.errors import Exit
    from mlship.flows import lock

    result = lock.lock(call.context, call.where(), python=python, refresh=refresh, write=not (dry_run or check))
    again = call.hint("lock --refresh" if refresh else "lock")
    text = lock_text(result, again, call.hint("build"))
    code = Exit.CHANGES if check and result.is_changed else Exit.OK
    return Answer(text, payloads.relocked(result), brief="\n".join(change.name for change in result.changes), exit=code)
