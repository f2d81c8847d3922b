"""What a platform demands of a container, judged: each rule from what was seen to a result. Pure."""

from __future__ import annotations

import errno
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlship.config.words import nearest
from mlship.errors import MlshipError
from mlship.flows.gating.drill import LEAST, Counted
from mlship.flows.gating.platform_words import Listener
from mlship.flows.gating.results import Result
from mlship.targets.aws import caller_ecs, caller_lambda, caller_sagemaker
from mlship.targets.azure import caller_azureml, caller_container_apps
from mlship.targets.caller import Caller
from mlship.targets.gcp import caller_cloud_run, caller_vertex
from mlship.units import size_text

PLATFORMS: Mapping[str, Caller] = {
    caller.name: caller
    for caller in (
        caller_sagemaker.CALLER,
        caller_vertex.CALLER,
        caller_azureml.CALLER,
        caller_cloud_run.CALLER,
        caller_container_apps.CALLER,
        caller_ecs.CALLER,
        caller_lambda.CALLER,
    )
}
# in their order; what is asked, for people
CHECKS: Mapping[str, str] = {
    "image": "the form in which the image gets there",
    "time": "the server gives up before the platform does",
    "start": "health says yes within the platform's time",
    "health": "health is answered in time under load",
    "sample": "the sample in the platform's form",
    "type": "a body of another kind is refused",
    "body": "the largest body that the platform lets through",
    "direct": "the same rows without a request around them",
    "stop": "SIGTERM under load, then SIGKILL",
}
KILLED = 137  # the exit code of what SIGKILL ended
REFUSALS = range(400, 500)
UNWRITABLE = (errno.EROFS, errno.EACCES)  # as Python's errors name them, in the server's own log
TMP = "/tmp"  # noqa: S108 -- inside the container
BEFORE = "the container never became healthy"


def caller_of(name: str) -> Caller:
    """Raises MlshipError."""
    if name not in PLATFORMS:
        meant = nearest(name, PLATFORMS)
        raise MlshipError(
            f"--as {name[:40]}: no such platform",
            fix=f"did you mean {meant}?" if meant else f"one of {', '.join(PLATFORMS)}",
            code="usage",
        )
    return PLATFORMS[name]


def form_of(caller: Caller, serving: Mapping[str, Any]) -> str:
    """The protocol in which the platform's requests are sent: its own, or ours where it passes them on as they are."""
    spoken = serving.get("protocols", ("native",))
    if caller.protocol == "sagemaker" and "mlflow" in spoken and serving.get("invocations") == "mlflow":
        return "mlflow"  # whose /invocations it is
    return caller.protocol or ("native" if "native" in spoken else spoken[0])


def image_result(caller: Caller, platform: str, compressed_size: int) -> Result:
    """platform: `linux/amd64`, of the image that was built. compressed_size: of its push variant's layers."""
    measured = f"{platform}, {caller.push}, {size_text(compressed_size)}"
    limit = " or ".join(f"linux/{name}" for name in caller.architectures)
    if platform.removeprefix("linux/") in caller.architectures:
        return Result("image", "pass", caller.name, measured, limit)
    why = f"{caller.title} has no machines for {platform}"
    return Result("image", "fail", caller.name, measured, limit, why, f"write build: {{platforms: [{limit}]}}")


def time_result(caller: Caller, serving: Mapping[str, Any]) -> Result:
    """Of the answer's time: what stands in the image."""
    timeout_s = float(serving.get("request_timeout_s", 0.0))
    measured, limit = f"serve.request_timeout {timeout_s:g} s", f"<= {caller.answer_s:g} s"
    if timeout_s <= caller.answer_s:
        return Result("time", "pass", caller.name, measured, limit)
    why = f"{caller.title} waits {caller.answer_s:g} s for an answer: its callers would never hear the server's own refusal"
    return Result("time", "fail", caller.name, measured, limit, why, f"write serve: {{request_timeout: {caller.answer_s:g}s}}")


@dataclass(frozen=True)
class Seen:
    """How a start went. healthy_s: None where health never said yes. health: its last answer, empty where nothing answered.

    exit_code: None where the container still ran. by_itself: /readyz says that the server is ready. words: of its log.
    stranger: who answers at the container's address in its place, for people; empty where it does so itself.
    """

    healthy_s: float | None
    waited_s: float
    health: str = ""
    exit_code: int | None = None
    is_out_of_memory: bool = False
    by_itself: bool = False
    listeners: Sequence[Listener] = ()
    words: str = ""
    stranger: str = ""


def stranger_in(status: int, body: bytes, release: str) -> str:
    """Who answered GET /mlship/release, where it is not the server that was started as `release`. Pure.

    Nothing (0), and a platform whose container does not answer yet (502, 503), say nothing of who is there.
    """
    if status in (0, 502, 503):
        return ""
    try:
        said = json.loads(body)
    except ValueError:
        said = None
    if isinstance(said, Mapping) and isinstance(said.get("release"), str):
        return "" if said["release"] == release else f"a server of {said['release'][:40]}"
    return f"something that answers GET /mlship/release with {status}"


def start_result(caller: Caller, seen: Seen) -> Result:
    limit = f"<= {caller.start_s:g} s"
    if seen.stranger:
        why = f"at the container's address {seen.stranger} answers, and not this container"
        fix = "run it again: another program, or another engine's container, has its port or its address"
        return Result("start", "fail", caller.name, "somebody else answers", limit, why, fix)
    if seen.healthy_s is not None and seen.healthy_s <= caller.start_s:
        return Result("start", "pass", caller.name, f"{seen.healthy_s:.1f} s", limit)
    if seen.healthy_s is not None:
        why = f"{caller.title} would have given it up: {caller.start_rule}"
        return Result("start", "fail", caller.name, f"{seen.healthy_s:.1f} s", limit, why, "make the model load faster")
    measured = f"ended with exit {seen.exit_code}" if seen.exit_code is not None else f"not healthy in {seen.waited_s:.0f} s"
    why, fix = _ended(caller, seen) if seen.exit_code is not None else _never_healthy(caller, seen)
    return Result("start", "fail", caller.name, measured, limit, why, fix)


def _ended(caller: Caller, seen: Seen) -> tuple[str, str]:
    if seen.is_out_of_memory:
        return "the container ran out of memory while it started", "raise resources.memory"
    told = f"the container ended while it started: {seen.words}" if seen.words else "the container ended while it started"
    if any(f"[Errno {number}]" in seen.words for number in UNWRITABLE):
        place = " and ".join(caller.writable) or TMP
        what = "the root file system is read-only" if caller.read_only else "the server's user may not write everywhere"
        return f"{told}; as {caller.title} runs it, {what}", f"write below {place} alone"
    return told, "mlship run serves the image here"


def _never_healthy(caller: Caller, seen: Seen) -> tuple[str, str]:
    reached = [one for one in seen.listeners if one.is_reached and one.port == caller.port]
    if seen.listeners and not reached:
        where = ", ".join(map(str, seen.listeners))
        why = f"the server listens on {where}, and {caller.title} calls 0.0.0.0:{caller.port} ({caller.port_from})"
        return why, "take PORT and MLSHIP_HOST out of the image's own variables (its Dockerfile, or its base)"
    if seen.by_itself and seen.health:
        why = f"the server is ready, and {caller.health.name} answers {seen.health}"
        is_spoken = f"add {caller.protocol} to serve.protocols" if caller.protocol else "mlship run serves the image here"
        return why, is_spoken
    if seen.waited_s >= caller.start_s:
        return f"{caller.title} gives it up: {caller.start_rule}", "make the model load faster"
    said = f"{caller.health.name} answers {seen.health}" if seen.health else "nothing listens"
    return f"{said}{': ' + seen.words if seen.words else ''}", "mlship run serves the image here; serve.startup_timeout"


def health_result(caller: Caller, slowest_s: float, wrong: Sequence[str], asked: int, requests: int) -> Result:
    """wrong: what health said instead of yes, under the load of `requests` predictions."""
    measured = f"{asked} under {requests} requests, slowest {slowest_s * 1000:.0f} ms"
    limit = f"{caller.health.name} in {caller.health.timeout_s:g} s"
    if wrong:
        why = f"{len(wrong)} of {asked} health checks failed while predictions were made, {wrong[0]}"
        return Result("health", "fail", caller.name, measured, limit, why, "raise serve.workers, or resources.cpu")
    if not requests:
        why = "no prediction was made beside the health checks"
        return Result("health", "inconclusive", caller.name, measured, limit, why, "look at the sample's result")
    return Result("health", "pass", caller.name, measured, limit)


def closed_result(caller: Caller) -> Result:
    """Of a service that judges its callers where their header does not come through."""
    why = (
        f"serve.auth judges callers by the Authorization header, and {caller.title} keeps that to itself: nobody could call it"
    )
    fix = f"leave serve.auth out of what goes to {caller.title}: its own keys judge callers"
    return Result("sample", "fail", caller.name, "refused", "all equal", why, fix)


def type_result(caller: Caller, status: int, said: str) -> Result:
    """Of the answer to a body that is no form of the protocol."""
    measured, limit = f"{status}" if status else "no answer", "refused with 4xx"
    if status in REFUSALS:
        return Result("type", "pass", caller.name, measured, limit)
    told = f"answers {status}" if status else f"ends the connection ({said})"
    why = f"to text that is no rows the server {told}: {caller.title} counts it as a failure of the container"
    return Result("type", "fail", caller.name, measured, limit, why, "mlship run serves the image here")


def direct_result(caller: Caller, is_equal: bool, said: str, is_closed: bool) -> Result:
    """is_closed: the service judges callers by headers, which such an event has not: then it has to be refused."""
    wanted = "refused with 401" if is_closed else "the answer to the request"
    is_right = '"status":401' in said.replace(" ", "") if is_closed else is_equal
    if is_right:
        return Result("direct", "pass", caller.name, "refused" if is_closed else "equal", wanted)
    why = f"to an event that is only rows, as Invoke sends it, the function answers {said}"
    return Result("direct", "fail", caller.name, "other", wanted, why, "mlship run serves the image here")


def body_result(caller: Caller, size: int, max_body: int, status: int, said: str, goes_on: bool) -> Result:
    """Of a right body of `size` bytes. max_body: the image's own limit. goes_on: the next request was answered."""
    wanted = 200 if size <= max_body else 413
    measured = f"{size_text(size)}: {status or 'no answer'}"
    limit = f"{wanted} (serve.max_body {size_text(max_body)})"
    if not goes_on:
        why = f"after a body of {size_text(size)} the server answers no more"
        return Result("body", "fail", caller.name, measured, limit, why, "raise resources.memory, or lower serve.max_body")
    if status != wanted:
        told = f"answers {status}" if status else f"ends the connection ({said})"
        why = f"to a body of {size_text(size)}, which {caller.title} lets through, the server {told}"
        return Result("body", "fail", caller.name, measured, limit, why, "raise serve.request_timeout, or lower serve.max_body")
    return Result("body", "pass", caller.name, measured, limit)


def stop_result(caller: Caller, seen: Counted, exit_code: int | None) -> Result:
    """exit_code: of the container; None where it is still there."""
    failed, limit = seen.failed.total(), f"0 failed, gone in {caller.grace_s:g} s"
    left_s = seen.left_s if seen.left_s is not None else caller.grace_s
    is_killed = exit_code is None or (exit_code == KILLED and left_s >= caller.grace_s - 1)
    gone = f"killed after {caller.grace_s:g} s" if is_killed else f"gone after {left_s:.1f} s"
    measured = f"{failed} of {seen.answered + failed} requests failed, {seen.behind} answered after SIGTERM, {gone}"
    if is_killed:
        why = f"the container was still there {caller.grace_s:g} s after SIGTERM, and {caller.title} kills it ({caller.grace_rule})"
        fix = "lower serve.request_timeout, and MLSHIP_DRAIN_DELAY_S where the image has it"
        return Result("stop", "fail", caller.name, measured, limit, why, fix)
    if failed:
        reason, count = seen.failed.most_common(1)[0]
        why = f"{failed} requests failed around SIGTERM, {count} of them: {reason}"
        return Result(
            "stop",
            "fail",
            caller.name,
            measured,
            limit,
            why,
            "mlship test --drill shows whether the server loses them here, too",
        )
    if min(seen.answered - seen.behind, seen.behind) < LEAST:
        why = f"fewer than {LEAST} answers before or after SIGTERM say too little"
        return Result("stop", "inconclusive", caller.name, measured, limit, why, "run it on a machine with more time")
    return Result("stop", "pass", caller.name, measured, limit)
