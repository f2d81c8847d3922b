"""Which commit a project's folder is at, for the history."""

from __future__ import annotations

from pathlib import Path

from mlship.errors import MlshipError
from mlship.flows.context import Context
from mlship.runner import Command


def git_commit(context: Context, folder: Path) -> str:
    """`3f2a91c`, with `+changes` when the folder has some; empty where there is no git or no commit."""
    try:
        commit = context.runner.run(Command(("git", "-C", str(folder), "rev-parse", "--short", "HEAD"), timeout_s=10))
        if not commit.ok:
            return ""
        status = context.runner.run(Command(("git", "-C", str(folder), "status", "--porcelain", "."), timeout_s=10))
    except MlshipError:
        return ""
    return commit.text.strip() + ("+changes" if status.stdout.strip() else "")
