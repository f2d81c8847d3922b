"""Whether the server in the same container is well, as a platform asks that runs a command in it. Standard library only."""

from __future__ import annotations

import http.client
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mlship.server.manifest import ManifestError, from_json
from mlship.server.probe import ask
from mlship.server.settings import SettingsError, port_from

TIMEOUT_S = (
    4.0  # of one request; a sample may take as long as a caller's, for which the platform has to give the check more time
)
PROVED = Path("/tmp")  # noqa: S108 -- of the container, which nobody shares
OPERATOR = "MLSHIP_OPERATOR_KEY"


def health(environ: Mapping[str, str], proved: Path = PROVED, asks: Callable[..., dict[str, Any]] = ask) -> int:
    """Returns 0 where the server is ready, says that it is of the release that this container is for, and has answered its models'
    samples.

    The samples are asked once, so that later checks take no time from callers. proved: the folder that remembers it. asks: as probe.ask.
    """
    try:
        wrong = _wrong(environ, proved, asks)
    except (OSError, ValueError, http.client.HTTPException, SettingsError, ManifestError) as error:
        wrong = f"{type(error).__name__}: {error}"
    if wrong:
        sys.stdout.write(wrong + "\n")
    return 1 if wrong else 0


def _wrong(environ: Mapping[str, str], proved: Path, ask: Callable[..., dict[str, Any]]) -> str:
    port, wanted = port_from(environ), environ.get("MLSHIP_RELEASE", "")
    said = ask(port, "/mlship/release", timeout_s=TIMEOUT_S)
    release = json.loads(said["body"]).get("release") if said["status"] == 200 else None
    if release != wanted or not wanted:
        return f"GET /mlship/release answers {said['status']} {release or ''}, and not {wanted or 'a release'}"
    ready = ask(port, "/readyz", timeout_s=TIMEOUT_S)
    if ready["status"] != 200:
        return f"GET /readyz answers {ready['status']}"
    mark = proved / f"mlship-proved-{release}"
    if mark.exists():
        return ""
    for path, rows, answers_s in _samples(environ):
        body = json.dumps({"instances": rows}).encode()
        answer = ask(port, path, body, max(TIMEOUT_S, answers_s), environ.get(OPERATOR, ""))
        if answer["status"] != 200:
            return f"POST {path} with the sample answers {answer['status']}"
    mark.touch()
    return ""


def _samples(environ: Mapping[str, str]) -> list[tuple[str, list[object], float]]:
    """Path, rows, and what the answer may take, of each model that has a sample; none where /predict is not spoken."""
    manifest = from_json(Path(environ["MLSHIP_MANIFEST"]).read_bytes()) if environ.get("MLSHIP_MANIFEST") else None
    if manifest is None or "native" not in manifest.serving.protocols:
        return []
    single, answers_s = len(manifest.models) == 1, manifest.serving.request_timeout_s
    return [
        ("/predict" if single else f"/predict/{model.name}", list(model.sample), answers_s)
        for model in manifest.models
        if model.sample
    ]
