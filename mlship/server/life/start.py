"""From the environment to a running server: what is wrong with it is said before any process is made."""

from __future__ import annotations

import resource
from collections.abc import MutableMapping
from dataclasses import replace

from mlship.server.app import PROTOCOLS, unknown_protocols
from mlship.server.auth.gate import gate_from
from mlship.server.life.cards import Ask, NoCards, asked_driver, cards_for
from mlship.server.life.cores import set_threads, usable_cores
from mlship.server.life.sockets import sockets_from
from mlship.server.life.supervisor import Supervisor
from mlship.server.manifest import Manifest, ManifestError, from_json
from mlship.server.monitoring import log
from mlship.server.secrets import take_secrets
from mlship.server.settings import SettingsError, settings_from

OPEN_FILES = 65_536  # one for each connection; the usual soft limit of 1024 is soon reached

EXIT_USAGE = 2


def serve(environ: MutableMapping[str, str], ask: Ask = asked_driver) -> int:
    """Runs the server that the environment describes, with the secrets of MLSHIP_SECRETS. Returns the exit status.

    ask: the door to the driver of GPUs, which only a server that is to have some goes through.
    """
    try:
        settings = settings_from(environ)
        manifest = servable(from_json(settings.manifest.read_bytes()))
        sockets = sockets_from(settings, environ)
        take_secrets(environ)  # when the server's own variables were read: no secret can be one of them
        settings = replace(settings, gate=gate_from(manifest.serving.auth, manifest.project, environ))
        settings = replace(settings, cards=cards_for(manifest.serving.gpus, environ, ask))
    except (SettingsError, ManifestError, NoCards) as error:
        log.event("error", "start_failed", message=str(error))
        return EXIT_USAGE
    except OSError as error:
        log.event("error", "start_failed", message=f"cannot read {error.filename}: {error.strerror}; set MLSHIP_MANIFEST")
        return EXIT_USAGE
    allow_connections()
    cores = usable_cores()
    workers = manifest.serving.gpus or manifest.serving.workers or cores
    set_threads(cores, workers, environ)
    return Supervisor(settings, manifest, sockets, workers).run()


def allow_connections() -> None:
    """Raises this process's own limit of open files as far as it may, for the workers that inherit it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def servable(manifest: Manifest) -> Manifest:
    """The manifest, when this server can serve all that it asks for. Raises ManifestError."""
    if not manifest.models:
        raise ManifestError("manifest.json names no model; build the image again")
    if unknown := unknown_protocols(manifest.serving.protocols):
        raise ManifestError(
            f"manifest.json asks for the protocol {unknown[0]}, which this server does not speak; it speaks {', '.join(PROTOCOLS)}"
        )
    return manifest
