"""test --as: the built image as the real container that a platform makes of it, and its caller played against it."""

from __future__ import annotations

import http.client
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from mlship.errors import MlshipError
from mlship.flows.context import Context, Where
from mlship.flows.gating.course import Wishes, built_record
from mlship.flows.gating.drill import CALLERS, drill
from mlship.flows.gating.exact import sample_results
from mlship.flows.gating.platform_beside import played
from mlship.flows.gating.platform_copy import Copy, body_of, delivered, engine_here, running, variant_of
from mlship.flows.gating.platform_rules import (
    BEFORE,
    CHECKS,
    Seen,
    body_result,
    caller_of,
    closed_result,
    direct_result,
    form_of,
    health_result,
    image_result,
    start_result,
    stop_result,
    stranger_in,
    time_result,
    type_result,
)
from mlship.flows.gating.platform_words import Listener
from mlship.flows.gating.results import GATES, NotAsked, Report, Result
from mlship.flows.gating.sides import Connection, Side
from mlship.flows.gating.wire import asked
from mlship.flows.opening import project_of
from mlship.flows.secrets import read_here
from mlship.image.record import BuildRecord
from mlship.releases.release import Proof
from mlship.targets.base import OPERATOR_KEY, Answer, Request
from mlship.targets.caller import Caller

READY, IDENTITY = "/readyz", "/mlship/release"
PAUSE_S = 0.1  # between two health checks here: what a platform asks every 10 s is asked more often
SETTLED_S = 3.0  # a server that is ready by itself, or listens, for so long is as it will be
LOOK_S = 1.0  # between two looks at its sockets
STRANGE_LOOKS = 3  # a server that listens elsewhere in as many, one after the other, stays there
HEALTH_CHECKS = 20
NO_ROWS = b"\x00 this is no form of rows"


def judge(context: Context, where: Where, wishes: Wishes) -> Report:
    """Makes containers at the Docker engine of this machine, and removes them. Each platform one after the other.

    Raises MlshipError: exit 2 for options that do not fit, 13 where there is no engine.
    """
    began = time.perf_counter()
    callers = [caller_of(name) for name in dict.fromkeys(wishes.platforms)]
    _refuse_misfits(wishes)
    engine = engine_here(context)
    project = project_of(context, where)
    record = built_record(context, project, wishes)
    given = read_here(context, project)
    release = f"r0-{secrets.token_hex(3)}"  # no other server says that it is this one
    settings = {**project.env, **given.values, "MLSHIP_RELEASE": release}
    said: list[Result] = []
    missing: list[NotAsked] = []
    with delivered(context, engine, project, record) as tag:
        cpus = engine.facts().cpus
        for caller in callers:
            variant = variant_of(context, record, caller)
            gpus = int(record.serving.get("gpus") or 0)
            body, port = body_of(caller, tag, variant, project, settings, cpus, gpus)
            context.progress.step("start", f"as {caller.title} runs it, at {engine.address}")
            interpreter = variant.config["config"]["Entrypoint"][0]
            with (
                played(engine, caller, body, interpreter, port) as placed,
                running(context, engine, caller, placed, project, port) as copy,
            ):
                course = Course(context, caller, copy, record, release, wishes.only, given.values.get(OPERATOR_KEY, ""))
                said += course.results(image_result(caller, variant.platform, variant.compressed_size))
                missing += course.not_asked()
    names = ", ".join(caller.title for caller in callers)
    return Report(
        project=project.name,
        environment=project.environment,
        subject=f"the image as a container of {names}, at {engine.address}",
        content=record.content,
        results=tuple(said),
        not_asked=tuple(missing),
        strict=wishes.strict,
        seconds=time.perf_counter() - began,
    )


def _refuse_misfits(wishes: Wishes) -> None:
    others = {
        "--live": wishes.live,
        "--slo": wishes.slo,
        "--max-memory": wishes.max_memory,
        "--max-start": wishes.max_start,
        "--max-change": wishes.max_change is not None,
        "--breaking": wishes.breaking,
        "--drill": wishes.drill,
        "--key": wishes.key,
    }
    for option in (option for option, is_set in others.items() if is_set):
        raise MlshipError(
            f"--as asks what a platform demands of the container, {option} something else",
            fix=f"two commands: mlship test {option} ..., and mlship test --as {wishes.platforms[0]}",
            code="usage",
        )
    for check in wishes.only:
        if check not in CHECKS:
            other = " (a gate of mlship test without --as)" if check in GATES else ""
            known = ", ".join(CHECKS)
            raise MlshipError(f"--as has no check {check[:40]}{other}", fix=f"--only with one of {known}", code="usage")


class Course:
    """One platform's checks of one container, one after the other: the last one ends it."""

    def __init__(
        self, context: Context, caller: Caller, copy: Copy, record: BuildRecord, release: str, only: Sequence[str], key: str
    ) -> None:
        """release: that the container was started as."""
        self._context = context
        self._caller = caller
        self._copy = copy
        self._release = release
        self._serving = record.serving
        self._only = only
        self._done: set[str] = set()
        self._unasked: dict[str, str] = {}
        proofs = {model.name: Proof(model.sample, model.answers or {}, model.tolerance) for model in record.models}
        self._protocol = form_of(caller, record.serving)
        self._side = Side(
            _asking(Connection(copy.address, caller.headers), caller.paths),
            f"the container of {caller.title}",
            record.content,
            {**record.serving, "protocols": (self._protocol,)},
            proofs,
            key=key if caller.keeps_authorization else "",
        )
        # the platform's own path leads to the first model alone
        named = list(proofs)[: 1 if caller.protocol else None]
        self._model = next((name for name in named if proofs[name].instances), "")
        self._named = named

    def results(self, image: Result) -> Iterator[Result]:
        """image: of the push variant."""
        for result in (*([image] if self._wants("image") else []), *self._all()):
            self._done.add(result.gate)
            yield result

    def not_asked(self) -> Iterator[NotAsked]:
        """What no result tells, with the reason."""
        for check, what in CHECKS.items():
            if check in self._done or check in self._caller.not_played or (check == "direct" and not self._caller.direct):
                continue
            left_out = "left out by --only" if self._only and check not in self._only else ""
            yield NotAsked(f"{check} {self._caller.name}", left_out or self._unasked.get(check, what))
        for what, why in self._caller.not_played.items():
            yield NotAsked(f"{what} {self._caller.name}", why)

    def _wants(self, check: str) -> bool:
        return check not in self._caller.not_played and (not self._only or check in self._only)

    def _all(self) -> Iterator[Result]:
        if self._wants("time"):
            yield time_result(self._caller, self._serving)
        seen = self._started()
        started = start_result(self._caller, seen)
        if self._wants("start") or started.verdict == "fail":
            yield started
        if seen.healthy_s is None or seen.stranger:
            self._unasked = dict.fromkeys(CHECKS, BEFORE)
            return
        is_closed = bool(self._serving.get("auth")) and not self._caller.keeps_authorization
        if self._wants("sample"):
            yield from [closed_result(self._caller)] if is_closed else self._samples()
        yield from self._of_requests(is_closed)

    def _of_requests(self, is_closed: bool) -> Iterator[Result]:
        if not self._model or is_closed:
            why = f"{self._caller.title}'s callers have no key" if is_closed else "no model was built with a sample"
            self._unasked = dict.fromkeys(CHECKS, why)
            return
        path, body = self._one_row()
        if self._wants("health"):
            yield self._health(path, body)
        if self._wants("type"):
            answer = self._side.post(path, NO_ROWS, "application/x-mlship-nothing")
            yield type_result(self._caller, answer.status, answer.body.decode(errors="replace")[:200])
        if self._wants("body"):
            yield self._body(path, body)
        if self._caller.direct and self._wants("direct"):
            yield self._direct(path, body)
        if self._wants("stop"):
            yield self._stop(path, body)

    def _started(self) -> Seen:
        """Asks health as the platform does until it says yes, or until more waiting changes nothing."""
        caller, copy = self._caller, self._copy
        own_s = float(self._serving.get("startup_timeout_s", 60.0)) + SETTLED_S
        ready_since: float | None = None
        looked, strange = copy.began, 0
        health = ""
        found: tuple[Listener, ...] = ()
        while (waited_s := time.monotonic() - copy.began) < min(caller.start_s, own_s):
            is_yes, health = self._probed()
            if is_yes:
                return Seen(time.monotonic() - copy.began, waited_s, stranger=self._stranger())
            if (code := copy.poll()) is not None:
                words, _ = copy.last_words()
                return Seen(None, waited_s, health, code, copy.is_out_of_memory, words=words)
            ready = _status(copy, READY, 2.0)[0] == 200
            ready_since = (ready_since or time.monotonic()) if ready else None
            if ready_since is not None and time.monotonic() - ready_since > SETTLED_S:
                break
            if not health and time.monotonic() - looked > LOOK_S:
                looked, found = time.monotonic(), copy.listeners()
                strange = strange + 1 if found and not any(_is_reached(one, caller) for one in found) else 0
                if strange >= STRANGE_LOOKS:
                    break
            time.sleep(PAUSE_S)
        words, _ = copy.last_words()
        is_ready, stranger = ready_since is not None, self._stranger()
        found = found or copy.listeners()
        return Seen(None, waited_s, health, None, by_itself=is_ready, listeners=found, words=words, stranger=stranger)

    def _stranger(self) -> str:
        """Who answers in this container's place; an address here may be another one's."""
        return stranger_in(*_status(self._copy, IDENTITY, self._caller.health.timeout_s), self._release)

    def _probed(self) -> tuple[bool, str]:
        """Whether health says yes, and what it says; empty where nothing answers."""
        probe = self._caller.health
        if not probe.path:
            return self._copy.is_open(probe.timeout_s), ""
        status, _ = _status(self._copy, probe.path, probe.timeout_s, probe.headers)
        return status in probe.ok, str(status) if status else ""

    def _samples(self) -> Iterator[Result]:
        for model in self._named:
            self._context.progress.step("sample", f"{model} as {self._caller.title} asks")
            for result in sample_results(self._side, model, self._inputs(model)):
                of = self._caller.name if result.of == self._caller.protocol else f"{self._caller.name} {result.of}".strip()
                yield replace(result, of=of)

    def _inputs(self, model: str) -> list[dict[str, Any]]:
        schema = self._side.schema(model) or {}
        return [*schema.get("inputs", ()), *({"name": name, "dtype": "any"} for name in schema.get("passthrough", ()))]

    def _one_row(self) -> tuple[str, bytes]:
        rows = self._side.proofs[self._model].instances[:1]
        path, body = asked(self._protocol, self._model, self._side.path(self._model), rows, self._inputs(self._model))
        return self._caller.paths.get(path, path), body

    def _health(self, path: str, body: bytes) -> Result:
        """Health checks while predictions are made."""
        self._context.progress.step("health", f"under load, as {self._caller.title} asks")
        over, answered = threading.Event(), [0] * CALLERS

        def load(number: int) -> None:
            side = replace(self._side, ask=Connection(self._copy.address, self._caller.headers))
            while not over.is_set():
                answered[number] += side.post(path, body).status == 200

        callers = [threading.Thread(target=load, args=(number,), daemon=True) for number in range(CALLERS)]
        for caller in callers:
            caller.start()
        slowest_s, wrong = 0.0, []
        for _ in range(HEALTH_CHECKS):
            began = time.monotonic()
            is_yes, said = self._probed()
            took_s = time.monotonic() - began
            slowest_s = max(slowest_s, took_s)
            if not is_yes or took_s > self._caller.health.timeout_s:
                wrong.append(f"such as {said or 'no answer'} after {took_s:.1f} s")
            over.wait(PAUSE_S / 2)
        over.set()
        for caller in callers:
            caller.join(self._caller.answer_s)
        return health_result(self._caller, slowest_s, wrong, HEALTH_CHECKS, sum(answered))

    def _body(self, path: str, body: bytes) -> Result:
        """A right request, grown with blanks: JSON allows them."""
        max_body = int(self._serving.get("max_body", 0))
        size = self._caller.max_body or max_body + 1
        answer = self._side.post(path, body.ljust(size))
        goes_on = self._side.post(path, body).status == 200
        return body_result(self._caller, size, max_body, answer.status, answer.body.decode(errors="replace")[:200], goes_on)

    def _direct(self, path: str, body: bytes) -> Result:
        """The same rows as an event of their own, with no request around them."""
        asked = self._side.post(path, body)
        direct = self._side.post(self._caller.direct, body)
        said = direct.body.decode(errors="replace")[:200]
        return direct_result(self._caller, direct.status == 200 and direct.body == asked.body, said, bool(self._side.key))

    def _stop(self, path: str, body: bytes) -> Result:
        caller, copy = self._caller, self._copy
        self._context.progress.step("stop", f"SIGTERM under load, SIGKILL {caller.grace_s:g} s later")
        health = caller.health.path or READY
        seen = drill(
            copy, copy.address, path, body, self._side.key, health=health, notice_s=caller.grace_s + 2, more=caller.headers
        )
        return stop_result(caller, seen, copy.poll())


def _is_reached(one: Listener, caller: Caller) -> bool:
    return one.is_reached and one.port == caller.port


def _asking(connection: Connection, paths: Mapping[str, str]) -> Callable[[Request], Answer]:
    return lambda request: connection(replace(request, path=paths.get(request.path, request.path)))


def _status(copy: Copy, path: str, timeout_s: float, headers: Mapping[str, str] | None = None) -> tuple[int, bytes]:
    """Of one GET on a connection of its own, as checks are; 0 where nothing answers in time."""
    connection = http.client.HTTPConnection(copy.address.host, copy.address.port, timeout=timeout_s)
    try:
        connection.request("GET", path, headers=dict(headers or {}))
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (OSError, http.client.HTTPException) as error:
        return 0, str(error).encode()
    finally:
        connection.close()
