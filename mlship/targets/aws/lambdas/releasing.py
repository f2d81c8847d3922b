"""What each release sends to Lambda: the bodies of its calls. Pure; `render` shows what `apply` sends.

`${Name}` stands for an output of the foundation's stack, or for what is known only when the call is made: the image in the registry, a
version's number.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil

from mlship.targets.aws.documents import Body, Variable
from mlship.targets.aws.given import Given
from mlship.targets.aws.lambdas.foundation import environment_tags, has_operator_key
from mlship.targets.aws.lambdas.naming import LIVE, description, function_name
from mlship.targets.aws.scope import Scope
from mlship.targets.aws.secrets import SCHEME
from mlship.targets.aws.sizes import function as sized
from mlship.targets.base import OPERATOR_KEY, Deployment
from mlship.targets.sizes import asked_of
from mlship.targets.variables import variables_of_user

ARCHITECTURES = {"x86_64": "x86_64", "arm64": "arm64"}
MB = 1024.0  # in a GiB
TMP_MB = 512  # of /tmp, which costs nothing
MOST_S = 900  # a function's timeout (developer guide, "Lambda quotas", read 2026-11)
ANSWER_MARGIN_S = 2  # beside the server's own time for an answer
REFERENCE = "MLSHIP_AWS_SECRET_"  # what stands before the name of a variable whose reference it is; read by server/events/aws_secrets.py
PUBLIC_STATEMENTS = ("anybody-url", "anybody-invoke")


def create_function(deployment: Deployment, given: Given) -> Body:
    """CreateFunction."""
    return {
        **update_configuration(deployment, given),
        "PackageType": "Image",
        "Code": {"ImageUri": Variable("Image")},
        "Architectures": [ARCHITECTURES[given.arch]],
        "Publish": False,
        "Tags": dict(environment_tags(deployment)),
    }


def update_configuration(deployment: Deployment, given: Given) -> Body:
    """UpdateFunctionConfiguration: all that a release says besides its image."""
    scope = Scope(deployment.project, deployment.environment)
    network: Body = {}
    if given.subnets:
        network = {"VpcConfig": {"SubnetIds": list(given.subnets), "SecurityGroupIds": list(given.security_groups)}}
    return {
        "FunctionName": function_name(scope),
        "Role": Variable("FunctionRole"),
        "Description": description(deployment.release.id, deployment.release.served.content),
        "Timeout": timeout_s(deployment),
        "MemorySize": memory_mb(deployment),
        "EphemeralStorage": {"Size": TMP_MB},
        "Environment": {"Variables": dict(sorted(variables(deployment).items()))},
        "LoggingConfig": {"LogFormat": "Text", "LogGroup": Variable("LogGroup")},
        **network,
        **({"KMSKeyArn": given.kms_key} if given.kms_key else {}),
    }


def update_code(deployment: Deployment, given: Given) -> Body:
    """UpdateFunctionCode."""
    scope = Scope(deployment.project, deployment.environment)
    return {
        "FunctionName": function_name(scope),
        "ImageUri": Variable("Image"),
        "Architectures": [ARCHITECTURES[given.arch]],
        "Publish": False,
    }


def publish_version(deployment: Deployment) -> Body:
    """PublishVersion."""
    scope = Scope(deployment.project, deployment.environment)
    said = description(deployment.release.id, deployment.release.served.content)
    return {"FunctionName": function_name(scope), "Description": said}


def provisioned(scope: Scope, version: str, count: int) -> Body:
    """PutProvisionedConcurrencyConfig."""
    return {"FunctionName": function_name(scope), "Qualifier": version, "ProvisionedConcurrentExecutions": count}


def alias(scope: Scope, name: str, version: str, weights: Mapping[str, float] | None = None) -> Body:
    """CreateAlias and UpdateAlias. weights: of the one other version that has callers."""
    return {
        "FunctionName": function_name(scope),
        "Name": name,
        "FunctionVersion": version,
        "RoutingConfig": {"AdditionalVersionWeights": dict(weights or {})},
    }


def url_config(scope: Scope, *, public: bool) -> Body:
    """CreateFunctionUrlConfig and UpdateFunctionUrlConfig. public: the server judges callers, and IAM does not."""
    return {
        "FunctionName": function_name(scope),
        "Qualifier": LIVE,
        "AuthType": "NONE" if public else "AWS_IAM",
        "InvokeMode": "BUFFERED",
    }


def permissions(scope: Scope, *, public: bool) -> list[Body]:
    """AddPermission: both that a URL for everybody needs (developer guide, "Control access to Lambda function URLs": since 2025-10
    lambda:InvokeFunction beside lambda:InvokeFunctionUrl). Nothing where IAM judges callers: their own policies say who may.
    """
    if not public:
        return []
    of_url, of_function = PUBLIC_STATEMENTS
    place = {"FunctionName": function_name(scope), "Qualifier": LIVE, "Principal": "*"}
    return [
        {**place, "StatementId": of_url, "Action": "lambda:InvokeFunctionUrl", "FunctionUrlAuthType": "NONE"},
        {**place, "StatementId": of_function, "Action": "lambda:InvokeFunction", "InvokedViaFunctionUrl": True},
    ]


def is_public(deployment: Deployment) -> bool:
    return bool(deployment.operating.get("public"))


def memory_mb(deployment: Deployment) -> int:
    return round(sized(asked_of(deployment).memory_gib).memory_gib * MB)


def timeout_s(deployment: Deployment) -> int:
    """An INIT of more than 10 s is begun anew with the first request, on its time."""
    return min(MOST_S, ceil(deployment.request_timeout_s) + ANSWER_MARGIN_S + ceil(deployment.startup_timeout_s))


def variables(deployment: Deployment) -> dict[str, str]:
    served = deployment.release.served
    references = {name: _reference(said, served.secrets.get(name, "")) for name, said in deployment.references.items()}
    if has_operator_key(deployment):
        references[OPERATOR_KEY] = Variable("OperatorKey")
    return {
        **variables_of_user(deployment),
        "MLSHIP_RELEASE": deployment.release.id,
        "MLSHIP_CONTENT": served.content,
        **{REFERENCE + name: reference for name, reference in references.items()},
    }


def _reference(said: str, version: str) -> str:
    """As the server in the function reads it: the secret, and behind a blank its version's id; what `render` does not know is left out."""
    place, _, id = version.rpartition(":::")
    return f"{place} {id}" if place else said.removeprefix(SCHEME)
