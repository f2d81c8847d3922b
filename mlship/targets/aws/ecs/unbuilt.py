"""What ECS cannot do, or only in another way, and what mlship does not do there yet: said by name, never left out silently. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from mlship.config.gates import MEASURED
from mlship.errors import Finding
from mlship.targets.aws.ecs import schedule
from mlship.targets.aws.ecs.scaling import PER_REPLICA, is_scaled, metric_of
from mlship.targets.aws.given import Given, given
from mlship.targets.base import Deployment
from mlship.targets.refusals import refused

IDLE_S = 60  # after which a balancer gives a silent connection up, unless its owner says more (caller_ecs.py)
LATE_S = 180.0  # the balancer's metrics come a minute at a time, and a minute or two late


def in_documents(deployment: Deployment) -> Iterator[Finding]:
    """What is missing in what is rendered, too."""
    metric = metric_of(deployment)
    if is_scaled(deployment) and metric not in PER_REPLICA:
        what = (
            f"scale.metric {metric} is not possible with aws service ecs: only the servers know it, and AWS asks none of them"
        )
        yield refused(deployment, "scale.metric", what, "write scale.metric: concurrency", "absent-feature")
    yield from schedule.findings(deployment)
    has = given(deployment)
    yield from _front(deployment, has)
    if has.security_groups and deployment.settings.get("callers"):
        what = "targets.aws.callers lets nobody in or keeps anybody out: targets.aws.security_groups are yours, and say who comes in"
        fix = "leave it out, and say it in those groups; or leave security_groups out, and mlship makes them"
        yield refused(deployment, "targets.aws.callers", what, fix, "no-effect")


def _front(deployment: Deployment, has: Given) -> Iterator[Finding]:
    """Of a balancer that mlship makes: it is not put on the internet without TLS, nor into private subnets."""

    def wrong(key: str, what: str, fix: str) -> Finding:
        return refused(deployment, key, what, fix, "incomplete-target")

    yours = "name targets.aws.listener of an internet-facing balancer of yours"
    if not has.is_balanced:
        return
    if has.listener:
        if has.certificate:
            what = "targets.aws.certificate is for the balancer that mlship makes, and targets.aws.listener names another"
            yield wrong("targets.aws.certificate", what, "leave it out: the listener has its own")
        return
    if has.certificate and not has.hosts:
        what = "targets.aws.certificate is for a name, and nothing says by which one callers come"
        yield wrong("targets.aws.certificate", what, "write targets.aws.hosts: [churn.example.com]")
    if has.public and not has.certificate:
        what = "public: true without TLS: the keys of callers would be read on their way"
        yield wrong("public", what, f"write targets.aws.certificate: the ARN of one of ACM, or {yours}")
    if has.public and has.subnets:
        what = "targets.aws.subnets are the tasks', which are private, and a balancer for the internet needs public ones"
        yield wrong("public", what, f"{yours}, or leave targets.aws.subnets out")


def in_a_deploy(deployment: Deployment) -> Iterator[Finding]:
    yield from in_documents(deployment)
    strategy = deployment.strategy
    if any(gate.split()[0] in MEASURED for gate in strategy.gates) and strategy.bake_s < LATE_S:
        what = f"rollout.bake is {strategy.bake_s:g} s, and the balancer's figures come two minutes late: a step may find too few requests"
        found = refused(deployment, "rollout.bake", what, "write rollout.bake: 5m", "short-bake")
        yield replace(found, severity="warning")
    if given(deployment).is_balanced and deployment.request_timeout_s > IDLE_S:
        what = f"serve.request_timeout {deployment.request_timeout_s:g} s: a balancer answers 504 when nothing has come for {IDLE_S} s"
        fix = f"write at most {IDLE_S}s, or raise idle_timeout.timeout_seconds of the balancer"
        yield replace(refused(deployment, "serve.request_timeout", what, fix, "too-slow"), severity="warning")


def from_inside(deployment: Deployment, has: Given) -> Iterator[Finding]:
    """Whoever deploys from a laptop would only learn it when the first release is asked."""
    if has.listener or has.public:
        return
    if not has.is_balanced:
        what = (
            "there is no balancer: callers find the tasks by a name of their network. From a machine in another one mlship asks nobody,"
            " and goes by what ECS says, and by each task's own health check"
        )
        fix = "deploy from a machine of that network to have predictions compared, too"
        yield replace(refused(deployment, "targets.aws.balancer", what, fix, "inside-alone"), severity="note")
        return
    what = "the balancer is internal: callers reach it from inside its network, and so does mlship, which asks what it deploys"
    fix = (
        "deploy from a machine or a VPN of that network; else public: true with serve.auth, "
        "a targets.aws.listener that you reach, or service lambda"
    )
    yield replace(refused(deployment, "targets.aws", what, fix, "inside-alone"), severity="note")
