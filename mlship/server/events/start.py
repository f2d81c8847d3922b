"""From the environment of a function to its loop: one process, the models loaded before the first event (Lambda's INIT).

No supervisor, no socket and no second process: Lambda makes as many environments as there are events at a time, stops them between
two events, and takes them away with SIGKILL. What goes wrong before the loop is told to the runtime API and to the log.
"""

from __future__ import annotations

import os
import signal
from collections.abc import MutableMapping
from dataclasses import replace
from math import ceil
from typing import Any

from mlship.server.app import App, paths
from mlship.server.auth.gate import gate_from
from mlship.server.board import READY, STARTED, STATE, Board
from mlship.server.core import ServedModel
from mlship.server.events.aws_secrets import NotGiven, take_aws_secrets
from mlship.server.events.runtime_api import Lost, RuntimeApi
from mlship.server.events.serving import Serving
from mlship.server.life.cores import set_threads, usable_cores
from mlship.server.life.loading import LoadFailed, loaded_models, settle
from mlship.server.life.start import EXIT_USAGE, servable
from mlship.server.manifest import ManifestError, from_json
from mlship.server.monitoring import log
from mlship.server.secrets import take_secrets
from mlship.server.service import Service
from mlship.server.settings import SettingsError, settings_from

EXIT_LOST = 1
# Lambda gives a function so many MB for one vCPU (developer guide, "Configure Lambda function memory", read 2026-11); it shows two
# processors and more where the share is smaller, and threads beyond the share wait for each other.
MB_PER_VCPU = 1769.0


def serve_events(environ: MutableMapping[str, str]) -> int:
    """Runs the loop. Returns the exit status; Lambda then makes another process."""
    signal.signal(
        signal.SIGTERM, lambda number, frame: os._exit(0)
    )  # nothing is under way: an event is answered before the next
    api = RuntimeApi(environ["AWS_LAMBDA_RUNTIME_API"])
    try:
        try:
            serving = _opened(environ, api)
        except _NoStart as failed:
            log.event("error", "start_failed", **failed.reason)
            api.fail_start({"errorMessage": failed.reason["message"], "errorType": "mlship.StartFailed", "stackTrace": []})
            return failed.status
        serving.run()
    except Lost as lost:
        log.event("error", "runtime_api_lost", message=str(lost))
    return EXIT_LOST


class _NoStart(Exception):
    def __init__(self, reason: dict[str, Any], status: int) -> None:
        self.reason, self.status = reason, status
        super().__init__(reason["message"])


def _opened(environ: MutableMapping[str, str], api: RuntimeApi) -> Serving:
    """Raises _NoStart."""
    try:
        settings = settings_from(environ)
        manifest = servable(from_json(settings.manifest.read_bytes()))
        take_secrets(environ)
        take_aws_secrets(environ)
        settings = replace(settings, gate=gate_from(manifest.serving.auth, manifest.project, environ))
        if manifest.serving.gpus:
            raise ManifestError("the models are made for a GPU, and Lambda has none")
    except (SettingsError, ManifestError, NotGiven) as error:
        raise _NoStart({"message": str(error)}, EXIT_USAGE) from None
    except OSError as error:
        reason = {"message": f"cannot read {error.filename}: {error.strerror}; set MLSHIP_MANIFEST"}
        raise _NoStart(reason, EXIT_USAGE) from None
    set_threads(_cores(environ), 1, environ)
    try:
        models = loaded_models(manifest, settings.manifest.parent, [entry.name for entry in manifest.models])
    except LoadFailed as failed:
        raise _NoStart(failed.reason, EXIT_LOST) from None
    for model in models.values():
        _ask_once(model)
    settle()
    if settings.gate is not None:
        settings.gate.fetch()
        settings.gate.start()
    board = Board(1, len(paths(manifest)), len(models), settings.metrics)
    service = Service(manifest, settings, models, board, board.slot(0))
    service.slot.cells[STATE] = READY
    board.cells[STARTED] = 1.0
    log.event("info", "ready", release=settings.release, function=environ.get("AWS_LAMBDA_FUNCTION_NAME", ""))
    return Serving(service, App(service), api)


def _cores(environ: MutableMapping[str, str]) -> int:
    """Processors that this much memory pays for."""
    given = environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "")
    cores = usable_cores()
    return min(cores, max(1, ceil(int(given) / MB_PER_VCPU))) if given.isdigit() else cores


def _ask_once(model: ServedModel) -> None:
    """What loads at the first call is loaded before the first event."""
    if not model.entry.sample:
        return
    try:
        model.run(model.prepare(list(model.entry.sample[:1])))
    except Exception as error:
        log.failure("warm_up_failed", error, model=model.entry.name)
