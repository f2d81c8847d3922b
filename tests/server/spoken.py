"""The routes of a server without its connections: one request in, the whole answer out."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from served import SIGNATURE, Answer
from wired import Doubler

from mlship.server.app import App, paths
from mlship.server.board import READY, STARTED, STATE, Board
from mlship.server.core import ServedModel
from mlship.server.manifest import Manifest, Model, Serving
from mlship.server.messages import Call, Request, refused_input
from mlship.server.problems import InputError
from mlship.server.runtimes.base import LoadedModel
from mlship.server.service import Service
from mlship.server.settings import Settings

PROTOCOLS = ("native", "sagemaker", "mlflow", "azureml", "vertex", "v2", "tfserving")
ENTRY = Model("demo", "python", "none", "model", "ab" * 32, signature=SIGNATURE)


class Spoken:
    """The application of one model. entry: keys of manifest.Model; serving: keys of manifest.Serving."""

    def __init__(
        self,
        loaded: LoadedModel | None = None,
        settings: Settings | None = None,
        serving: dict[str, Any] | None = None,
        **entry: Any,
    ) -> None:
        told = replace(ENTRY, **entry)
        manifest = Manifest("demo", (told,), Serving(**{"protocols": PROTOCOLS, **(serving or {})}), mlship="0.1.0")
        self.settings = settings or Settings(Path("/manifest.json"), release="r1-aaaaaa")
        board = Board(1, len(paths(manifest)))
        board.cells[STARTED] = 1.0
        self.slot = board.slot(0)
        self.slot.cells[STATE] = READY
        self.model = ServedModel(told, loaded or Doubler())
        self.app = App(Service(manifest, self.settings, {"demo": self.model}, board, self.slot))

    def ask(self, path: str, body: Any = None, headers: dict[str, str] | None = None, method: str = "") -> Answer:
        """body: bytes, or a value that is sent as JSON."""
        sent = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        told = {"host": "test", **({"content-type": "application/json"} if sent is not None else {})}
        told |= {name.lower(): value for name, value in (headers or {}).items()}
        request = Request(method or ("GET" if sent is None else "POST"), path, told, "1", sent or b"")
        response = self.app.open(request)
        if isinstance(response, Call):
            try:
                response = response.respond(response.model.run(response.batch))
            except InputError as error:
                response = refused_input(error, "1")
        if response.status >= 400:
            response = self.app.worded(request, response)
        return Answer(response.status, {"content-type": response.content_type, **dict(response.headers)}, response.body)
