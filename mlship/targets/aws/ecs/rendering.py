"""What `deploy` sends, and the same for CloudFormation alone. Pure."""

from __future__ import annotations

import json
from typing import Any

from mlship.errors import FindingsError
from mlship.targets.aws.ecs.ejecting import SLOT, complete, service_part
from mlship.targets.aws.ecs.foundation import foundation
from mlship.targets.aws.ecs.releasing import WHOLE, let_go, made_movable, moved, rule, service, task_definition, update
from mlship.targets.aws.ecs.scaling import is_scaled, policy, scalable, scheduled
from mlship.targets.aws.ecs.traffic import by_ecs
from mlship.targets.aws.ecs.unbuilt import in_documents
from mlship.targets.aws.given import given
from mlship.targets.aws.scope import Scope
from mlship.targets.base import Deployment

_README = """\
apply/ is what mlship sends, in this order; ${{Name}} is an output of the stack, or what is known only then.

  foundation/template.json   the stack {stack}, by a change set
  service/1-*.json           RegisterTaskDefinition   ${{Image}}: the image in the registry, by digest
{callers}  service/4-*.json, 5-*.json RegisterScalableTarget, PutScalingPolicy, where scale.replicas is a range
  service/6-*.json ...       PutScheduledAction, one for each of scale.schedule
{moved}
eject/ is the same for CloudFormation alone: template.json is all of it, foundation.json and service.json are its two parts. Push the
image first (mlship build --push HOST/REPOSITORY), and say where it is:

  aws cloudformation deploy --region {region} --template-file eject/template.json --stack-name {stack} \\
      --capabilities CAPABILITY_IAM --parameter-overrides {parameters}
"""
_NEXT = """\
  service/2-*.json           CreateService
  service/3-*.json           UpdateService            later releases: the same service takes their task definition
"""
_CALLERS = """\
  service/2-*.json           CreateService            later releases: UpdateService of the one that is not live
  service/3-*.json           CreateRule               later: ModifyRule, with other weights
"""
_MOVED = """\
  service/4-*.json           UpdateService            once, before ECS moves callers: the live service knows both slots
  service/5-*.json           UpdateService            later releases: the live service takes the release, and ECS moves the callers
  service/6-*.json           ContinueServiceDeployment, once the release has proven itself
"""


def render(deployment: Deployment) -> dict[str, bytes]:
    """The release in the slot that a first one takes. Raises MlshipError for what `given` and `task_definition` refuse."""
    if missing := list(in_documents(deployment)):
        raise FindingsError(f"{deployment.project} cannot be rendered for aws", missing, code="not-yet")
    has = given(deployment)
    documents: dict[str, Any] = {
        "apply/foundation/template.json": foundation(deployment, has),
        "apply/service/1-register-task-definition.json": task_definition(deployment, has),
        "apply/service/2-create-service.json": service(deployment, has, SLOT),
        "eject/template.json": complete(deployment, has),
        "eject/foundation.json": foundation(deployment, has),
        "eject/service.json": service_part(deployment, has),
    }
    if has.is_balanced:
        documents["apply/service/3-create-rule.json"] = rule(deployment, has, {SLOT: WHOLE, "b": 0})
    else:
        documents["apply/service/3-update-service.json"] = update(deployment, has, SLOT, None)
    if is_scaled(deployment):
        documents["apply/service/4-register-scalable-target.json"] = scalable(deployment, has, SLOT)
        documents["apply/service/5-put-scaling-policy.json"] = policy(deployment, has, SLOT)
        for number, action in enumerate(scheduled(deployment, has, SLOT), 6):
            documents[f"apply/service/{number}-put-scheduled-action.json"] = action
    if by_ecs(deployment, has):
        documents["apply/service/4-update-service.json"] = made_movable(deployment, SLOT, SLOT)
        documents["apply/service/5-update-service.json"] = moved(deployment, SLOT, SLOT)
        documents["apply/service/6-continue-service-deployment.json"] = let_go()
    written = {
        name: json.dumps(document, indent=1, ensure_ascii=False).encode() + b"\n" for name, document in documents.items()
    }
    stack = Scope(deployment.project, deployment.environment).stem
    examples = {"Vpc": "vpc-...", "Subnets": "subnet-...,subnet-...", "Image": "HOST/REPOSITORY@sha256:..."}
    asked = " ".join(f"{name}={examples[name]}" for name in documents["eject/template.json"]["Parameters"])
    said = {
        "region": deployment.settings.get("region") or "REGION",
        "stack": stack,
        "parameters": asked,
        "callers": _CALLERS if has.is_balanced else _NEXT,
        "moved": _MOVED if by_ecs(deployment, has) else "",
    }
    return {**written, "eject/README": _README.format(**said).encode()}
