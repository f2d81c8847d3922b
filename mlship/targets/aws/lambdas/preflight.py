"""What would make a deployment to Lambda fail and can be known before anything is changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from mlship.errors import Finding
from mlship.targets.aws import permissions
from mlship.targets.aws.caller_lambda import EVENT_BYTES, IMAGE_BYTES
from mlship.targets.aws.door import Door, Refused
from mlship.targets.aws.given import Given, given
from mlship.targets.aws.lambdas.foundation import ROLE, kept_ready, reserved
from mlship.targets.aws.lambdas.naming import NAME_LENGTH, function_name
from mlship.targets.aws.lambdas.releasing import ANSWER_MARGIN_S, MOST_S, is_public, variables
from mlship.targets.aws.preflight import SECTION, given_parts, guard, parts_of_all, without_roles
from mlship.targets.aws.resources import findings as impossible
from mlship.targets.aws.scope import Scope
from mlship.targets.base import Deployment
from mlship.targets.refusals import refused
from mlship.targets.variables import without_effect
from mlship.units import size_text

VARIABLES_BYTES = 4096  # all together (developer guide, "Lambda quotas", read 2026-11)
UNRESERVED = 100  # of an account's copies, Lambda keeps so many for functions that reserve none (same page)
# Names that Lambda keeps for itself ("Defined runtime environment variables", read 2026-11).
_KEPT = frozenset(
    [
        *("_HANDLER", "_X_AMZN_TRACE_ID", "LAMBDA_TASK_ROOT", "LAMBDA_RUNTIME_DIR", "AWS_DEFAULT_REGION", "AWS_REGION"),
        *("AWS_EXECUTION_ENV", "AWS_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"),
    ]
)
# Keys of targets.aws that a function has no use for.
_OF_OTHERS = ("cluster", "listener", "hosts", "priority", "callers", "certificate")
_STRATEGIES = ("", "blue-green", "canary")
# Where functions have no URLs (developer guide, "Creating and managing Lambda function URLs", read 2026-11).
WITHOUT_URLS = frozenset(
    [
        *("ap-south-2", "ap-southeast-4", "ap-southeast-5", "ap-southeast-6", "ap-southeast-7", "ap-east-2", "ca-west-1"),
        *("eu-south-2", "eu-central-2", "il-central-1", "me-central-1"),
    ]
)


def findings(door: Door, deployment: Deployment) -> tuple[Finding, ...]:
    """Reads only. Raises MlshipError where nobody can be asked, or for another account than the one that is named."""
    guard(door, deployment)
    has = given(deployment)
    return (
        *of_file(deployment),
        *given_parts(deployment, {**parts_of_all(door, has), **_subnets(door, has)}),
        *_concurrency(door, deployment),
        *permissions.findings(door, deployment, has),
    )


def of_file(deployment: Deployment) -> tuple[Finding, ...]:
    """What no account changes. Pure."""
    has = given(deployment)
    said = (*impossible(deployment), *in_documents(deployment, has))
    return (*said, *without_effect(deployment), *without_roles(deployment, has))


def in_documents(deployment: Deployment, has: Given) -> Iterator[Finding]:
    """What no function can be, whatever the account has. Pure."""
    yield from _name(deployment)
    yield from _region(deployment)
    yield from _limits(deployment)
    yield from _one_at_a_time(deployment)
    yield from _network(deployment, has)
    yield from _variables(deployment)
    yield from _unused(deployment, has)
    if deployment.strategy.name not in _STRATEGIES:
        what = f"rollout.strategy {deployment.strategy.name}: versions of a function stand side by side"
        yield refused(deployment, "rollout.strategy", what, "write blue-green or canary", "no-such-strategy")
    if is_public(deployment) and not deployment.release.served.serving.get("auth"):
        what = "public: true without serve.auth: everybody could call the function"
        yield refused(deployment, "public", what, "add serve.auth, or leave public out: IAM judges callers then", "open-to-all")
    if (deployment.operating.get("scale") or {}).get("schedule"):
        what = "scale.schedule: the number of copies that a function keeps ready is fixed"
        yield refused(deployment, "scale.schedule", what, "leave it out, or use service ecs", "not-yet")
    if ready := kept_ready(deployment):
        what = f"scale.replicas from {ready}: so many copies are kept ready, and paid for by the second, whether anybody asks or not"
        found = refused(deployment, "scale.replicas", what, f"write 0..{deployment.replicas[1]} for a cap alone", "kept-ready")
        yield replace(found, severity="note")


def _name(deployment: Deployment) -> Iterator[Finding]:
    name = function_name(Scope(deployment.project, deployment.environment))
    if len(name) > NAME_LENGTH:
        what = f"the function would be called {name}, and a name there has {NAME_LENGTH} characters at most"
        yield refused(deployment, "name", what, "write a shorter name, or a shorter environment", "bad-name")


def _region(deployment: Deployment) -> Iterator[Finding]:
    region = str(deployment.settings.get("region") or "")
    if region in WITHOUT_URLS:
        what = f"a function in {region} has no URL, by which callers and mlship reach it"
        yield refused(deployment, f"{SECTION}.region", what, "write another region, or use service ecs", "no-such-part")


def _limits(deployment: Deployment) -> Iterator[Finding]:
    most = MOST_S - ANSWER_MARGIN_S
    if deployment.request_timeout_s > most:
        what = f"serve.request_timeout {deployment.request_timeout_s:g} s: a function has {MOST_S} s for an answer"
        yield refused(deployment, "serve.request_timeout", what, f"write at most {most}s, or use service ecs", "too-slow")
    elif deployment.startup_timeout_s + deployment.request_timeout_s > most:
        what = (
            f"serve.startup_timeout {deployment.startup_timeout_s:g} s: a function has {MOST_S} s for its start and an answer"
        )
        fix = "write less for it or for serve.request_timeout, or use service ecs"
        yield replace(refused(deployment, "serve.startup_timeout", what, fix, "too-slow"), severity="warning")
    max_body = int(deployment.release.served.serving.get("max_body") or 0)
    if max_body > EVENT_BYTES:
        what = f"serve.max_body is {max_body:,} bytes, and Lambda hands a function events of {EVENT_BYTES:,} at most"
        found = refused(deployment, "serve.max_body", what, "write 6MB, or use service ecs for larger ones", "too-large")
        yield Finding(found.what, found.where, found.fix, "warning", found.code)


def _one_at_a_time(deployment: Deployment) -> Iterator[Finding]:
    """What only a server with several requests at a time can do."""
    serving = deployment.release.served.serving
    said = {
        "serve.workers": (serving.get("workers") or 0) > 1,
        "serve.batching.max_delay": (serving.get("batch_delay_s") or 0) > 0,
    }
    for key in (key for key, is_said in said.items() if is_said):
        what = f"{key} has no effect: a copy of a function gets one event at a time, and the next once it has answered"
        yield replace(refused(deployment, key, what, "leave it out, or use service ecs", "no-effect"), severity="warning")


def of_image(deployment: Deployment, image_bytes: int) -> Iterator[Finding]:
    """image_bytes: not compressed, 0 where this machine does not know. Pure."""
    if image_bytes > IMAGE_BYTES:
        what = f"the image has {size_text(image_bytes)}, and Lambda takes {size_text(IMAGE_BYTES)} at most"
        yield refused(deployment, "build", what, "use service ecs, or leave packages out", "too-large")


def _network(deployment: Deployment, has: Given) -> Iterator[Finding]:
    if bool(has.subnets) != bool(has.security_groups):
        missing = "security_groups" if has.subnets else "subnets"
        what = f"{SECTION}.{missing} is missing: a function in a network has subnets and security groups of it"
        key = f"{SECTION}.{'subnets' if has.subnets else 'security_groups'}"
        yield refused(
            deployment, key, what, f"add {SECTION}.{missing}, or name neither: then it is in no network", "incomplete-target"
        )


def _variables(deployment: Deployment) -> Iterator[Finding]:
    for name in sorted(set(deployment.release.served.env)):
        if name in _KEPT or name.startswith("AWS_LAMBDA_"):
            yield refused(
                deployment, f"env.{name}", f"env.{name}: Lambda keeps this name for itself", "call it otherwise", "bad-name"
            )
    said = variables(deployment)
    size = sum(len(name.encode()) + len(str(text).encode()) for name, text in said.items())
    if size > VARIABLES_BYTES:
        what = f"the variables of the function have {size:,} bytes, and Lambda takes {VARIABLES_BYTES:,} of all together"
        yield refused(deployment, "env", what, "put what is large into the model's own files", "too-large")


def _unused(deployment: Deployment, has: Given) -> Iterator[Finding]:
    """Said, and of no use to a function."""
    named = [f"{SECTION}.{key}" for key in _OF_OTHERS if deployment.settings.get(key)]
    named += [f"{SECTION}.roles.{name}" for name in sorted(has.roles) if name != ROLE]
    for key in named:
        what = f"{key} has no effect: a function of Lambda has no such thing"
        yield Finding(what, deployment.places.get(key, ""), "leave it out, or use service ecs", "warning", "no-effect")


def _subnets(door: Door, has: Given) -> Mapping[str, Callable[[], Any]]:
    return {"subnets": partial(door.call, "ec2", "describe_subnets", SubnetIds=list(has.subnets))} if has.subnets else {}


def _concurrency(door: Door, deployment: Deployment) -> Iterator[Finding]:
    """What a function reserves, others cannot have; Lambda keeps some for all of them."""
    most = reserved(deployment)
    if most is None:
        return
    name = function_name(Scope(deployment.project, deployment.environment))
    try:
        limit = door.call("lambda", "get_account_settings")["AccountLimit"]
        own = door.call("lambda", "get_function_concurrency", FunctionName=name).get("ReservedConcurrentExecutions", 0)
    except Refused as no:
        if no.code == "denied":
            return  # what these credentials may not look at is left to the step that needs it
        if no.said != "ResourceNotFoundException":
            raise
        own = 0
    left = int(limit["UnreservedConcurrentExecutions"]) + own - UNRESERVED
    if most > left:
        what = f"scale.replicas up to {most}: this account has {max(0, left)} copies left that a function may reserve"
        yield refused(deployment, "scale.replicas", what, "write fewer, or ask for a higher quota of concurrency", "quota")
