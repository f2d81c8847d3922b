"""What SageMaker cannot do, and what mlship does not do there: refused by name, with what works. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from mlship.errors import Finding
from mlship.targets.aws.ecs import schedule
from mlship.targets.aws.sagemaker import releasing, scaling
from mlship.targets.base import OPERATOR_KEY, Deployment
from mlship.targets.refusals import refused

LONGEST_VALUE, MOST_VALUES = 1024, 100  # of a container's environment (service model of botocore 1.44.5)
NO_SECRETS = "secrets are not possible with aws service sagemaker: whoever may look at a model sees its environment"
ELSEWHERE = "use service ecs, or leave out what needs them"
LONGEST_ANSWER_S = 60  # for an answer (caller_sagemaker.py)


def findings(deployment: Deployment) -> Iterator[Finding]:
    yield from _calls(deployment)
    yield from _environment(deployment)
    yield from _scaling(deployment)
    yield from _machines(deployment)
    yield from _given(deployment)


def _calls(deployment: Deployment) -> Iterator[Finding]:
    served = deployment.release.served
    if served.serving.get("auth") or OPERATOR_KEY in served.secrets:
        what = "serve.auth is not possible with aws service sagemaker: its callers are signed, and no Authorization reaches a server"
        yield refused(
            deployment,
            "serve.auth",
            what,
            "leave out serve.auth: IAM says who may invoke, or use service ecs",
            "absent-feature",
        )
    if served.secrets:
        yield refused(deployment, "secrets", NO_SECRETS, ELSEWHERE, "absent-feature")
    if deployment.operating.get("public"):
        what = "public is not possible with aws service sagemaker: its API takes signed requests only"
        yield refused(deployment, "public", what, "leave it out, or use service ecs", "absent-feature")
    if len(served.models) > 1 and served.serving.get("invocations") == "mlflow":
        what = "serve.invocations mlflow answers with the first model alone, and SageMaker calls no other path"
        yield refused(
            deployment, "serve.invocations", what, "leave it out: callers name a model in an attribute", "absent-feature"
        )
    protocols = served.serving.get("protocols")
    if protocols and "sagemaker" not in protocols:
        what = "serve.protocols is without sagemaker, and SageMaker calls /ping and /invocations"
        yield refused(deployment, "serve.protocols", what, "add sagemaker to serve.protocols", "absent-feature")
    if deployment.request_timeout_s > LONGEST_ANSWER_S:
        what = f"serve.request_timeout {deployment.request_timeout_s:g} s is longer than SageMaker waits ({LONGEST_ANSWER_S} s)"
        yield refused(deployment, "serve.request_timeout", what, f"write at most {LONGEST_ANSWER_S}s", "absent-feature")
    longest = releasing.MOST_START_S - releasing.START_MARGIN_S
    if deployment.startup_timeout_s > longest:
        what = (
            f"serve.startup_timeout {deployment.startup_timeout_s:g} s is longer than SageMaker waits for a start ({longest} s)"
        )
        yield refused(deployment, "serve.startup_timeout", what, f"write at most {longest}s", "absent-feature")


def _environment(deployment: Deployment) -> Iterator[Finding]:
    env = deployment.release.served.env
    for name, text in sorted(env.items()):
        if len(text) > LONGEST_VALUE:
            what = f"env.{name} has {len(text)} characters, and SageMaker takes {LONGEST_VALUE}"
            yield refused(deployment, f"env.{name}", what, "put it into a file of the image", "too-large")
    own = 3  # that mlship adds
    if len(env) + own > MOST_VALUES:
        what = f"env has {len(env)} entries, and SageMaker takes {MOST_VALUES - own} beside mlship's own"
        yield refused(deployment, "env", what, "leave some out", "too-large")


def _scaling(deployment: Deployment) -> Iterator[Finding]:
    metric = scaling.metric_of(deployment)
    if scaling.is_scaled(deployment) and metric not in scaling.METRICS:
        what = f"scale.metric {metric} is not possible with aws service sagemaker: only the servers know it"
        yield refused(deployment, "scale.metric", what, f"write one of: {', '.join(scaling.METRICS)}", "absent-feature")
    yield from schedule.findings(deployment)
    if deployment.strategy.name == "recreate":
        what = "rollout.strategy recreate is not possible with aws service sagemaker: an update is always blue-green or rolling"
        yield refused(deployment, "rollout.strategy", what, "write blue-green, rolling or canary", "absent-feature")
    if deployment.strategy.name == "rolling" and deployment.replicas[0] == 1:
        what = "rolling takes two machines at least: with one, the new one comes up and then takes all callers"
        found = refused(deployment, "rollout.strategy", what, "write scale.replicas: 2, or blue-green", "absent-feature")
        yield replace(found, severity="note")


def _machines(deployment: Deployment) -> Iterator[Finding]:
    if not deployment.settings.get("instance"):
        return  # said by those of all services
    has, wanted = str(deployment.settings.get("arch") or "x86_64"), releasing.architecture(deployment)
    if has != wanted:
        platform = {"x86_64": "linux/amd64", "arm64": "linux/arm64"}[wanted]
        what = f"{releasing.instance_type(deployment)} runs images of {platform}, and build.platforms has another one"
        fix = f"write build.platforms: [{platform}], or another type"
        yield refused(deployment, "targets.aws.instance", what, fix, "impossible-platform")


def _given(deployment: Deployment) -> Iterator[Finding]:
    said = deployment.settings
    for key in ("cluster", "listener", "hosts", "priority", "callers", "certificate"):
        if said.get(key):
            what = f"targets.aws.{key} means nothing to aws service sagemaker"
            yield refused(deployment, f"targets.aws.{key}", what, "leave it out", "absent-feature")
    if set(said.get("roles") or {}) - {"execution"}:
        what = "SageMaker has one role: execution, which reads the image and is what the model may do"
        yield refused(deployment, "targets.aws.roles", what, "name execution alone", "absent-feature")
    if said.get("security_groups") and not said.get("subnets"):
        what = "targets.aws.security_groups are of a network, and no subnet is named"
        yield refused(deployment, "targets.aws.security_groups", what, "write targets.aws.subnets, too", "incomplete-target")
