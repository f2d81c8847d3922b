"""Events in, answers out, one after the other: the routes, checks and models of every server, without sockets and workers.

Lambda gives a process one event at a time and none before it is answered, so that nothing waits, nothing is joined and nobody is
refused for want of time.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Thread

import orjson

from mlship.server.app import App
from mlship.server.batching.admission import TIMEOUT, timeout_s
from mlship.server.batching.together import together
from mlship.server.events import event as events
from mlship.server.events.runtime_api import Invocation, Lost, RuntimeApi
from mlship.server.http.answer_heads import SANE_ID
from mlship.server.messages import Call, Request, Response, refused, refused_input
from mlship.server.monitoring import log
from mlship.server.monitoring.access_log import AccessLog
from mlship.server.problems import InputError
from mlship.server.service import Service

MARGIN_S = 0.15  # before Lambda's deadline: the answer has to get there
# Of an answer to an invocation that is waited for, as Lambda's own refusal names it ("exceeded maximum allowed payload size
# (6291556 bytes)"); quotas page of the developer guide: 6 MB each for request and response (read 2026-11).
LARGEST = 6_291_556
DIRECT = ("/predict", "/invocations", "/score")  # in whose form an event without a path is read: the first that is there
FAILED = {
    "errorMessage": "the server failed on this event; the log has the reason",
    "errorType": "mlship.Failed",
    "stackTrace": [],
}
NAMESPACE, FAILURES = "mlship", "Failures"  # of the metric that CloudWatch reads from the log
STUCK_S = 15.0  # in one call, as in life/worker.py: well beyond any answer that is still waited for


@dataclass(slots=True)
class Asked:
    """A call for the model's thread. box: where its answer goes. is_over: nobody waits for it any more."""

    call: Call
    box: SimpleQueue[Response]
    is_over: bool = False


class Model:
    """The thread in which models are called, so that an answer can be given without them."""

    def __init__(self) -> None:
        self._waiting: SimpleQueue[Asked] = SimpleQueue()
        self._since: float | None = None
        Thread(target=self._work, name="model", daemon=True).start()

    @property
    def running_s(self) -> float:
        """For how long it has been in one call; 0 when it is idle."""
        since = self._since
        return 0.0 if since is None else time.monotonic() - since

    def answer(self, call: Call, left_s: float) -> Response | None:
        """None when the time is over."""
        asked = Asked(call, SimpleQueue())
        self._waiting.put(asked)
        try:
            return asked.box.get(timeout=max(0.0, left_s))
        except Empty:
            asked.is_over = True
            return None

    def _work(self) -> None:
        while True:
            asked = self._waiting.get()
            if asked.is_over:
                continue
            self._since = time.monotonic()
            answers = together(asked.call.model, [asked.call], lambda *_: None)
            self._since = None
            if answers is not None:
                asked.box.put(answers[0])


class Serving:
    """Answers one event after the other."""

    def __init__(self, service: Service, app: App, api: RuntimeApi) -> None:
        self._service = service
        self._app = app
        self._api = api
        self._model = Model()
        settings, serving = service.settings, service.manifest.serving
        self._timeout_s, self._max_body = serving.request_timeout_s, serving.max_body
        self._stuck_s = settings.stuck_s or max(STUCK_S, 3 * serving.request_timeout_s)
        self._gate = settings.gate
        self._access = AccessLog(settings.access_log, app.paths, settings.release)
        self._direct = next((path for path in DIRECT if app.has(path)), DIRECT[0])

    def run(self) -> None:
        """Until the runtime API is lost, or the model is. Raises runtime_api.Lost."""
        while (stuck_s := self._model.running_s) < self._stuck_s:
            invocation = self._api.next()
            try:
                self.answer(invocation)
            except Lost:
                raise
            except Exception as error:
                log.failure("event_failed", error, request_id=invocation.id)
                self._api.fail(invocation.id, FAILED)
        log.event("error", "model_stuck", message=f"the model has been in one call for {stuck_s:.0f} s; this process ends")

    def answer(self, invocation: Invocation) -> None:
        """Raises Lost."""
        if invocation.trace:
            os.environ["_X_AMZN_TRACE_ID"] = invocation.trace
        started = time.perf_counter()
        try:
            event = events.read(invocation.body, invocation.id, self._direct)
        except InputError as error:
            request = Request("POST", "", {}, invocation.id)
            self._tell(events.Event(request, events.is_http(invocation.body)), refused_input(error, invocation.id), invocation)
            return
        request = event.request
        request.started = started
        given = request.headers.get("x-request-id", "")
        request.id = given if SANE_ID.match(given) else invocation.id
        response = self._response(request, invocation.deadline_s - time.time() - MARGIN_S)
        if response.status >= 400:
            response = self._app.worded(request, response)
        self._tell(event, response, invocation)

    def _response(self, request: Request, left_s: float) -> Response:
        if (refusal := self._refusal(request)) is not None:
            self._app.locate(request)
            return refusal
        try:
            asked_s = timeout_s(request.headers.get(TIMEOUT), self._timeout_s)
        except ValueError as error:
            return refused(400, str(error), request.id)
        opened = self._app.open(request)
        if isinstance(opened, Response):
            return opened
        response = self._model.answer(opened, min(asked_s, left_s))
        if response is not None:
            return response
        self._service.slot.count_refusal("deadline")
        said = "serve.request_timeout" if asked_s <= left_s else "the function's own timeout"
        return refused(504, f"no answer within {max(0.0, min(asked_s, left_s)):.3g} s ({said})", request.id)

    def _refusal(self, request: Request) -> Response | None:
        """What is answered before the body is read."""
        if self._gate is not None:
            denial = self._gate.denial(request.headers, self._app.role(request.method, request.target))
            if denial is not None:
                self._service.slot.count_refusal(denial.reason)
                return refused(denial.status, denial.message, request.id, headers=denial.headers)
        if len(request.body) > self._max_body:
            self._service.slot.count_refusal("limit")
            return refused(413, f"the body is larger than {self._max_body} bytes (serve.max_body)", request.id)
        return None

    def _tell(self, event: events.Event, response: Response, invocation: Invocation) -> None:
        request = event.request
        seconds = time.perf_counter() - request.started if request.started else 0.0
        self._service.slot.count_request(request.route, response.status, seconds)
        if response.status >= 500 or self._access.share:
            self._access.record(request, response.status, seconds, len(response.body))
            self._access.flush()  # between two events the process is stopped
        if response.status >= 500 and not event.is_http:
            self._api.fail(invocation.id, events.failure(response))
            return
        if response.status >= 500 and self._service.settings.metrics:
            log.write(1, _failure_counted())
        payload = self._payload(event, response)
        if len(payload) > LARGEST or not self._api.respond(invocation.id, payload):
            said = f"the answer has {len(payload)} bytes, and Lambda hands on {LARGEST} at most; ask for fewer rows"
            too_large = refused(413, said, request.id, "answer_too_large")
            self._api.respond(invocation.id, self._payload(event, self._app.worded(request, too_large)))

    def _payload(self, event: events.Event, response: Response) -> bytes:
        request = event.request
        if not event.is_http:
            return events.with_status(response) if response.status >= 400 else response.body
        headers = {
            "x-mlship-release": self._service.settings.release,
            "x-request-id": request.id,
            **dict(response.headers),
        }
        if request.method == "HEAD":
            response.body = b""
        return events.told(response, headers)


def _failure_counted() -> bytes:
    """A line of the log that CloudWatch counts (embedded metric format): Lambda itself does not see an answer with 5xx as one."""
    environ = os.environ
    named = {
        "FunctionName": environ.get("AWS_LAMBDA_FUNCTION_NAME", ""),
        "ExecutedVersion": environ.get("AWS_LAMBDA_FUNCTION_VERSION", ""),
    }
    metric = {"Namespace": NAMESPACE, "Dimensions": [[*named]], "Metrics": [{"Name": FAILURES, "Unit": "Count"}]}
    told = {"_aws": {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": [metric]}, **named, FAILURES: 1}
    return orjson.dumps(told, option=orjson.OPT_APPEND_NEWLINE)
