"""What a service of ECS has no balancer for: `targets.aws.balancer: false` beside keys that need one."""

from __future__ import annotations

from collections.abc import Iterator

from mlship.config.facts import Facts, Problem, Rule

# A container's health check fails at most 10 times in a row after 300 s (HealthCheck, service model of botocore 1.44.5), each 10 s.
LONGEST_START_S = 400.0
_OTHERWISE = "or delete balancer: false"
_OF_BALANCERS = ("listener", "hosts", "priority", "certificate")
_BY_REQUESTS = ("concurrency", "rps")


def a_balancer_that_is_not_there_is_asked_for_nothing(facts: Facts) -> Iterator[Problem]:
    said, path = facts.document, ("targets", "aws")
    aws = said.targets.aws
    if said.target != "aws" or aws.service != "ecs":
        return
    if aws.balancer:
        if aws.namespace is not None:
            what = "a namespace is for balancer: false; behind a balancer callers come by the balancer's name"
            yield Problem((*path, "namespace"), what, "delete it, or write balancer: false")
        return
    for key in _OF_BALANCERS:
        if getattr(aws, key):
            yield Problem((*path, key), "it is of a balancer, and balancer is false", f"delete it, {_OTHERWISE}")
    if said.public:
        what = "without a balancer the service has addresses of its network alone"
        yield Problem(("public",), what, f"delete it, {_OTHERWISE}")
    yield from _rollout(facts)
    yield from _scale(facts)
    if said.serve.startup_timeout.seconds > LONGEST_START_S:
        what = f"without a balancer ECS waits {LONGEST_START_S:.0f} s for a container's own health check, and no longer"
        yield Problem(("serve", "startup_timeout"), what, f"write {LONGEST_START_S:.0f}s or less, {_OTHERWISE}")


def _rollout(facts: Facts) -> Iterator[Problem]:
    """ECS puts new tasks in the place of old ones, and callers meet them at once: nobody is asked, and nothing is shared, before that."""
    rollout = facts.document.rollout
    if rollout.strategy not in (None, "rolling"):
        what = (
            f"strategy {rollout.strategy} needs a balancer, which leads callers to one release or the other, and there is none"
        )
        yield Problem(("rollout", "strategy"), what, f"write strategy: rolling, {_OTHERWISE}")
    if rollout.gates:
        what = "a gate judges a release beside the one before, and without a balancer nothing keeps their callers apart"
        yield Problem(("rollout", "gates"), what, f"delete them, {_OTHERWISE}")
    for key, value, usual in (("approve", rollout.approve, "auto"), ("on_fail", rollout.on_fail, "rollback")):
        if value != usual:
            what = f"{key} {value} stops a release half way, and without a balancer ECS goes through with it or takes it back"
            yield Problem(("rollout", key), what, f"write {key}: {usual}, {_OTHERWISE}")


def _scale(facts: Facts) -> Iterator[Problem]:
    scale = facts.document.scale
    if scale.replicas.min < scale.replicas.max and scale.metric in _BY_REQUESTS:
        what = f"a range follows {scale.metric}, which the balancer counts, and there is none"
        yield Problem(("scale", "metric"), what, f"write metric: cpu, {_OTHERWISE}")


BALANCER_RULES: tuple[Rule, ...] = (a_balancer_that_is_not_there_is_asked_for_nothing,)
