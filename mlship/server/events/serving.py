"""Events in, answers out, one after the other: the routes, checks and models of every server, without sockets and workers.

Lambda gives a process one event at a time and none before it is answered, so that nothing waits, nothing is joined and nobody is
refused for want of time.
"""

from __future__ import annotations

import os
import time
from queue import Empty, SimpleQueue
from threading import Thread

import orjson

from mlship.server.app import App
from mlship.server.batching.admission import TIMEOUT, timeout_s
from mlship.server.batching.together import together
from mlship.server.events import event as events
from mlship.server.events.runtime_api import Invocation, RuntimeApi
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
NAMESPACE, FAILURES = "mlship", "Failures"  # of the metric that CloudWatch reads from the log
STUCK = 2  # answers in a row that the model did not give in time: it will not come back


class Model:
    """The thread in which models are called, so that an answer can be given without them."""

    def __init__(self) -> None:
        self._asked: SimpleQueue[tuple[Call, SimpleQueue[Response]]] = SimpleQueue()
        self._over: set[int] = set()
        self.late = 0
        Thread(target=self._work, name="model", daemon=True).start()

    def answer(self, call: Call, left_s: float) -> Response | None:
        """None when the time is over."""
        box: SimpleQueue[Response] = SimpleQueue()
        self._asked.put((call, box))
        try:
            response = box.get(timeout=max(0.0, left_s))
        except Empty:
            self._over.add(id(box))
            self.late += 1
            return None
        self.late = 0
        return response

    def _work(self) -> None:
        while True:
            call, box = self._asked.get()
            if id(box) in self._over:
                self._over.discard(id(box))
                continue
            answers = together(call.model, [call], lambda *_: None)
            if answers is not None:
                box.put(answers[0])


class Serving:
    """Answers one event after the other."""

    def __init__(self, service: Service, app: App, api: RuntimeApi) -> None:
        self._service = service
        self._app = app
        self._api = api
        self._model = Model()
        settings, serving = service.settings, service.manifest.serving
        self._timeout_s, self._max_body = serving.request_timeout_s, serving.max_body
        self._gate = settings.gate
        self._access = AccessLog(settings.access_log, app.paths, settings.release)
        self._direct = next((path for path in DIRECT if app.has(path)), DIRECT[0])

    def run(self) -> None:
        """Until the runtime API is lost, or the model is. Raises runtime_api.Lost."""
        while self._model.late < STUCK:
            self.answer(self._api.next())
        log.event("error", "model_stuck", message=f"{STUCK} answers in a row did not come in time; this process ends")

    def answer(self, invocation: Invocation) -> None:
        """Whatever is wrong with the event or its answer, the loop goes on. Raises Lost."""
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
