"""`python -m mlship.server batch`: answers the parts of a file that `mlship predict --data --out` hands it, one after the other.

Standard input is the socket that they come and go on (batch_wire.py). The model is loaded, and rows are read, checked, answered and
written by the code that serves; what the model prints goes to standard error.
"""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import MutableMapping
from dataclasses import asdict
from io import BufferedIOBase
from pathlib import Path
from typing import Any

from mlship.server.batch_rows import Answering, readers_of
from mlship.server.batch_wire import WIRE, receive, send
from mlship.server.core import ServedModel
from mlship.server.life.cards import NoCards, asked_driver, cards_for, take
from mlship.server.life.cores import set_threads, usable_cores
from mlship.server.life.loading import LoadFailed, loaded_models, settle
from mlship.server.life.warmup import warm_up
from mlship.server.manifest import Manifest, ManifestError, from_json
from mlship.server.monitoring import log
from mlship.server.problems import InputError
from mlship.server.secrets import take_secrets
from mlship.server.settings import SettingsError, settings_from


def answer_parts(environ: MutableMapping[str, str]) -> int:
    """Until the other side is gone. Returns the exit status."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal's interrupt is the command's to handle: it closes the socket
    with taken_channel() as channel:
        if (asked := receive(channel)) is None:
            return 0
        told, first = asked
        set_threads(usable_cores(), told["processes"], environ)
        try:
            opened, answering = _opened(told, first, environ)
        except _Refused as refused:
            send(channel, refused.told)
            return 1
        settle()
        # rows are lists in a list: the collector would look at all of them, again and again, and they are gone by counting
        gc.disable()
        send(channel, {"opened": opened})
        while (asked := receive(channel)) is not None:
            _answer(channel, answering, *asked)
            gc.collect()
    return 0


def taken_channel() -> BufferedIOBase:
    """Standard input as a stream of both directions; 0 and 1 lead elsewhere from now on, so that nothing is printed into it."""
    channel = os.dup(0)
    nowhere = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nowhere, 0)
    os.dup2(2, 1)
    os.close(nowhere)
    import socket

    with socket.socket(fileno=channel) as connection:
        return connection.makefile("rwb")


class _Refused(Exception):
    """There will be no answers. told: why, as a frame."""

    def __init__(self, **told: Any) -> None:
        self.told = told
        super().__init__(*told)


def _opened(told: dict[str, Any], first: bytes, environ: MutableMapping[str, str]) -> tuple[dict[str, Any], Answering]:
    manifest, root = _manifest(environ)
    _take_card(manifest, told.get("place", 0), environ)
    model = _loaded(manifest, root, told["model"])
    try:
        readers = readers_of(model, told["form"], told["header"], first, told["columns"])
    except InputError as error:
        problems = [asdict(problem) for problem in error.problems]
        raise _Refused(refused={"code": error.code, "message": error.message, "problems": problems}) from None
    warm_up(model, lambda rows, seconds: None)  # shows whether rows may be answered together
    entry = model.entry
    opened = {
        "wire": WIRE,
        "project": manifest.project,
        "model": entry.name,
        "sha256": entry.sha256,
        "title": model.loaded.title,
        "header": any(reader.has_header for reader in readers.values()),
        "joined": model.is_joined,
    }
    return opened, Answering(model, readers, told["out"])


def _take_card(manifest: Manifest, place: int, environ: MutableMapping[str, str]) -> None:
    """Processes have the GPUs in turn. place: of this one among them."""
    try:
        cards = cards_for(manifest.serving.gpus, environ, asked_driver)
    except NoCards as error:
        raise _Refused(failed={"message": str(error), "trace": ""}) from None
    take(cards, place % max(len(cards), 1), environ)


def _manifest(environ: MutableMapping[str, str]) -> tuple[Manifest, Path]:
    try:
        settings = settings_from(environ)
        manifest = from_json(settings.manifest.read_bytes())
        take_secrets(environ)
    except (SettingsError, ManifestError, OSError) as error:
        raise _Refused(failed={"message": str(error), "trace": ""}) from None
    return manifest, settings.manifest.parent


def _loaded(manifest: Manifest, root: Path, wanted: str) -> ServedModel:
    names = [model.name for model in manifest.models]
    name = wanted or names[0]
    if name not in names:
        raise _Refused(unknown={"names": names})
    try:
        return loaded_models(manifest, root, [name])[name]
    except LoadFailed as failed:
        raise _Refused(failed={"message": failed.reason["message"], "trace": failed.reason.get("trace", "")}) from None


def _answer(channel: BufferedIOBase, answering: Answering, told: dict[str, Any], body: bytes) -> None:
    done = answering.answer(body, told["first"], told["count"], told["form"])
    answers = b"".join(done.answers)
    counts = {name: getattr(done, name) for name in ("answered", "rejected", "failed", "heads", "reason")}
    try:
        send(channel, {**counts, "size": len(answers)}, answers + b"".join(line for _, line, _ in done.rejects))
    except OSError:
        log.event("info", "batch_left", message="the command is gone")
