"""Secrets from files: each file in the folder that MLSHIP_SECRETS names becomes a variable of that name for the model's code.

It happens in the first process before any worker is made, so that a worker that is replaced has them too. What a process sets
itself stands in its memory only: /proc/<pid>/environ goes on showing what it was started with. Standard library only.
"""

from __future__ import annotations

import re
from collections.abc import MutableMapping
from pathlib import Path

from mlship.server.monitoring import log
from mlship.server.settings import SettingsError

FOLDER = "MLSHIP_SECRETS"
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}", re.ASCII)


def take_secrets(environ: MutableMapping[str, str]) -> None:
    """Adds the secrets to the environment. Without MLSHIP_SECRETS there are none; a variable that is set already stays.

    Raises SettingsError, which names the file and never what stands in it, when one cannot be read.
    """
    folder = environ.get(FOLDER, "")
    for name, path in _files(Path(folder)) if folder else ():
        if name in environ:
            log.event("warning", "secret_ignored", secret=name, message=f"{name} is set already; give the secret another name")
        else:
            environ[name] = _value(path)


def _files(folder: Path) -> list[tuple[str, Path]]:
    """Those whose name a variable can have: the rest is how the platform keeps them."""
    try:
        return sorted((entry.name, entry) for entry in folder.iterdir() if NAME.fullmatch(entry.name) and entry.is_file())
    except OSError as error:
        raise SettingsError(f"{FOLDER} is {folder}, which cannot be read: {error.strerror}") from None


def _value(path: Path) -> str:
    try:
        value = path.read_bytes()
    except OSError as error:
        raise SettingsError(f"the secret {path} cannot be read: {error.strerror}") from None
    if b"\0" in value:
        raise SettingsError(f"the secret {path} has a NUL in it, which no variable can have")
    # as the interpreter itself reads its environment
    return value.decode(errors="surrogateescape")
