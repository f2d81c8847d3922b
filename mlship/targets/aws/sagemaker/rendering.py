"""What `deploy` sends, and the same for CloudFormation alone. Pure."""

from __future__ import annotations

import json
from typing import Any

from mlship.errors import FindingsError
from mlship.targets.aws.given import given
from mlship.targets.aws.sagemaker import releasing, scaling, unbuilt
from mlship.targets.aws.sagemaker.ejecting import complete, service_part
from mlship.targets.aws.sagemaker.foundation import foundation
from mlship.targets.aws.sagemaker.names import SLOTS
from mlship.targets.base import Deployment

_README = """\
apply/ is what mlship sends, in this order; ${{Name}} is an output of the stack, or what is known only then.

  foundation/template.json   the stack {stack}, by a change set
  service/1-*.json           CreateModel              ${{Image}}: the image in the registry, by digest
  service/2-*.json           CreateEndpointConfig     the release alone
  service/3-*.json           CreateEndpoint           a first release
  service/4-*.json           UpdateEndpoint           a later one, after it was asked at {check}
  service/5-*.json           RegisterScalableTarget and PutScalingPolicy, where scale.replicas is a range; PutScheduledAction, one for
                             each of scale.schedule

eject/ is the same for CloudFormation alone: template.json is all of it, foundation.json and service.json are its two parts. Push the
image first (mlship build --push HOST/REPOSITORY: it gets the form that SageMaker takes, {variant}), and say where it is:

  aws cloudformation deploy --region {region} --template-file eject/template.json --stack-name {stack} \\
      --capabilities CAPABILITY_IAM --parameter-overrides {parameters}
"""


def render(deployment: Deployment) -> dict[str, bytes]:
    """A first release, and the update that a later one makes. Raises MlshipError for what SageMaker cannot do."""
    if wrong := [one for one in unbuilt.findings(deployment) if one.severity == "error"]:
        raise FindingsError(f"{deployment.project} cannot be rendered for aws service sagemaker", wrong, code="absent-feature")
    has, names = given(deployment), releasing.names_of(deployment)
    alone = releasing.alone(deployment, has, SLOTS[0])
    documents: dict[str, Any] = {
        "apply/foundation/template.json": foundation(deployment, has),
        "apply/service/1-create-model.json": releasing.model(deployment, has),
        "apply/service/2-create-endpoint-config.json": alone.config,
        "apply/service/3-create-endpoint.json": releasing.created(deployment, names.endpoint, alone.name),
        "apply/service/4-update-endpoint.json": releasing.updated(deployment, alone.name, releasing.alarms(names, SLOTS[0])),
        "eject/template.json": complete(deployment, has),
        "eject/foundation.json": foundation(deployment, has),
        "eject/service.json": service_part(deployment, has),
    }
    if scaling.is_scaled(deployment):
        documents["apply/service/5-register-scalable-target.json"] = scaling.scalable(deployment, names, SLOTS[0])
        documents["apply/service/5-put-scaling-policy.json"] = scaling.policy(deployment, names, SLOTS[0])
        for number, action in enumerate(scaling.scheduled(deployment, names, SLOTS[0]), 1):
            documents[f"apply/service/5-put-scheduled-action-{number}.json"] = action
    written = {
        name: json.dumps(document, indent=1, ensure_ascii=False).encode() + b"\n" for name, document in documents.items()
    }
    examples = {"Vpc": "vpc-...", "Image": "HOST/REPOSITORY@sha256:..."}
    asked = " ".join(f"{name}={examples[name]}" for name in documents["eject/template.json"]["Parameters"])
    said = {"region": deployment.settings.get("region") or "REGION", "stack": names.scope.stem, "check": names.check}
    readme = _README.format(**said, parameters=asked, variant=releasing.PUSH)
    return {**written, "eject/README": readme.encode()}
