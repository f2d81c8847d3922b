"""What `deploy` sends, and the same for CloudFormation alone. Pure."""

from __future__ import annotations

import json
from typing import Any

from mlship.targets.aws.documents import Variable
from mlship.targets.aws.given import given
from mlship.targets.aws.lambdas import releasing
from mlship.targets.aws.lambdas.ejecting import complete, service_part
from mlship.targets.aws.lambdas.foundation import foundation, kept_ready, reserved
from mlship.targets.aws.lambdas.naming import LIVE, function_name
from mlship.targets.aws.scope import Scope
from mlship.targets.base import Deployment

_README = """\
apply/ is what mlship sends, in this order; ${{Name}} is an output of the stack, or what is known only then.

  foundation/template.json   the stack {stack}, by a change set
  service/1-*.json           CreateFunction           later releases: 2 UpdateFunctionConfiguration, 3 UpdateFunctionCode
  service/4-*.json           PublishVersion           the release as an immutable version
  service/5-*.json           CreateAlias              later: UpdateAlias, with the weight of the new version as a canary's share
  service/6-*.json           CreateFunctionUrlConfig  what callers reach
  service/7-*.json           AddPermission, PutFunctionConcurrency, PutProvisionedConcurrencyConfig, where mlship.yaml asks for them

eject/ is the same for CloudFormation alone: template.json is all of it, foundation.json and service.json are its two parts. Push the
image first (mlship build --push HOST/REPOSITORY, for one platform, as docker-v2s2), and say where it is:

  aws cloudformation deploy --region {region} --template-file eject/template.json --stack-name {stack} \\
      --capabilities CAPABILITY_IAM --parameter-overrides Image=HOST/REPOSITORY@sha256:...
"""


def render(deployment: Deployment) -> dict[str, bytes]:
    """The first release, and what a later one sends instead."""
    has, scope = given(deployment), Scope(deployment.project, deployment.environment)
    documents: dict[str, Any] = {
        "apply/foundation/template.json": foundation(deployment, has),
        "apply/service/1-create-function.json": releasing.create_function(deployment, has),
        "apply/service/2-update-function-configuration.json": releasing.update_configuration(deployment, has),
        "apply/service/3-update-function-code.json": releasing.update_code(deployment, has),
        "apply/service/4-publish-version.json": releasing.publish_version(deployment),
        "apply/service/5-create-alias.json": releasing.alias(scope, LIVE, Variable("Version")),
        "apply/service/6-create-function-url-config.json": releasing.url_config(scope, public=releasing.is_public(deployment)),
        "eject/template.json": complete(deployment, has),
        "eject/foundation.json": foundation(deployment, has),
        "eject/service.json": service_part(deployment, has),
    }
    for number, permission in enumerate(releasing.permissions(scope, public=releasing.is_public(deployment)), 1):
        documents[f"apply/service/7-add-permission-{number}.json"] = permission
    if (most := reserved(deployment)) is not None:
        cap = {"FunctionName": function_name(scope), "ReservedConcurrentExecutions": most}
        documents["apply/service/7-put-function-concurrency.json"] = cap
    if ready := kept_ready(deployment):
        kept = releasing.provisioned(scope, Variable("Version"), ready)
        documents["apply/service/7-put-provisioned-concurrency-config.json"] = kept
    written = {
        name: json.dumps(document, indent=1, ensure_ascii=False).encode() + b"\n" for name, document in documents.items()
    }
    readme = _README.format(region=deployment.settings.get("region") or "REGION", stack=scope.stem)
    return {**written, "eject/README": readme.encode()}
