"""Who is asked: a server of the built image, or the live release; both by the same words."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from mlship.bench.question import Address
from mlship.config.project import Project
from mlship.errors import MlshipError
from mlship.flows.context import Context
from mlship.flows.hosts import endpoint_of
from mlship.flows.opening import open_project
from mlship.image.record import BuildRecord
from mlship.releases.release import Proof
from mlship.targets.base import Answer, Request
from mlship.targets.table import MODULES

Ask = Callable[[Request], Answer]
ANSWER_S = 30.0


@dataclass(frozen=True)
class Side:
    """proofs: model name -> the build's own answers, the first model first. name: for people. quality: as the release records it.

    key: a caller's, where callers are judged.
    """

    ask: Ask
    name: str
    content: str
    serving: Mapping[str, Any]
    proofs: Mapping[str, Proof]
    endpoint: str = ""
    quality: Mapping[str, Any] = field(default_factory=dict)
    key: str = field(default="", repr=False)

    def path(self, model: str) -> str:
        return f"/predict/{model}" if len(self.proofs) > 1 else "/predict"

    def post(self, path: str, body: bytes, content_type: str = "application/json") -> Answer:
        return self.ask(Request("POST", path, body, content_type=content_type, timeout_s=ANSWER_S, key=self.key))

    def schema(self, model: str) -> dict[str, Any] | None:
        """What the server tells of a model; None where it tells nothing."""
        answer = self.ask(Request("GET", f"/schema/{model}", timeout_s=ANSWER_S, key=self.key))
        if answer.status != 200:
            return None
        document = json.loads(answer.body)
        return document if isinstance(document, dict) else None


def built_side(record: BuildRecord, address: Address, key: str) -> Side:
    proofs = {model.name: Proof(model.sample, model.answers or {}, model.tolerance) for model in record.models}
    asked = Connection(address)
    return Side(asked, "the built image, on this machine", record.content, record.serving, proofs, key=key)


def live_side(context: Context, project: Project, host: str) -> Side | None:
    """None where nothing of the project is live. Raises MlshipError where the target cannot be reached."""
    if project.target not in MODULES:
        return None
    place = open_project(context, project, host)
    observed = place.target.observe()
    live = observed.history.live_release if observed.history else None
    if live is None:
        return None
    endpoint = endpoint_of(place, observed)
    proofs = {model.name: live.proofs.get(model.name, Proof()) for model in live.served.models}
    return Side(
        ask=place.target.ask,
        name=f"{live.id} at {endpoint}",
        content=live.served.content,
        serving=live.served.serving,
        proofs=proofs,
        endpoint=endpoint,
        quality=live.quality,
    )


def with_key(side: Side, key: str) -> Side:
    return replace(side, key=key) if key else side


class Connection:
    """Asks one address over one connection, which is opened again where the server closed it. more: headers of each request."""

    def __init__(self, address: Address, more: Mapping[str, str] | None = None) -> None:
        self._more = more or {}
        self._open = http.client.HTTPConnection(address.host, address.port, timeout=ANSWER_S)

    def __call__(self, request: Request) -> Answer:
        headers = {**self._more, **request.headers, "Content-Type": request.content_type}
        for is_last in (False, True):
            try:
                self._open.request(request.method, request.path, request.body or None, headers)
                came = self._open.getresponse()
                return Answer(came.status, came.read(), {name.lower(): value for name, value in came.getheaders()})
            except (OSError, http.client.HTTPException) as error:
                self._open.close()
                if is_last:
                    return Answer(0, (str(error) or type(error).__name__).encode())
        raise AssertionError("the loop returns")


def refusal(answer: Answer) -> str:
    """Why an answer is none, in the server's own words; empty where it is one."""
    if answer.status == 200:
        return ""
    if not answer.status:
        return f"nothing answers ({answer.body.decode(errors='replace')[:200]})"
    try:
        document = json.loads(answer.body)
    except ValueError:
        return f"the server answers {answer.status}"
    error = document.get("error") if isinstance(document, dict) else None
    told = error.get("message") if isinstance(error, dict) else error
    problems = (
        error.get("problems") if isinstance(error, dict) else document.get("problems") if isinstance(document, dict) else None
    )
    first = problems[0] if isinstance(problems, list) and problems and isinstance(problems[0], dict) else {}
    parts = [str(first[key]) for key in ("feature", "message") if first.get(key)]
    return f"the server answers {answer.status}: {str(told or '')[:200]}" + (f" ({': '.join(parts)[:200]})" if parts else "")


def not_live(name: str) -> MlshipError:
    return MlshipError(f"{name} has no live release", fix="mlship deploy, or mlship test without --live", code="not-deployed")
