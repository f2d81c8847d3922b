"""The same end state for CloudFormation alone: one complete template, or its two parts. Pure.

The calls of a release become resources: their bodies are those that `apply` sends, in CloudFormation's spelling.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlship.targets.aws.documents import Template, cfn_tags, in_template, variables_in
from mlship.targets.aws.given import Given
from mlship.targets.aws.lambdas import releasing
from mlship.targets.aws.lambdas.foundation import foundation, kept_ready, outputs_of, reserved
from mlship.targets.aws.lambdas.naming import LIVE
from mlship.targets.aws.scope import Scope
from mlship.targets.base import Deployment

_FREE_NAMES = ("Variables", "Tags")  # maps whose keys are not CloudFormation's
_IMAGE = {"Type": "String", "Description": "the image in ECR, by digest: mlship build --push gives it"}


def complete(deployment: Deployment, given: Given) -> Template:
    """Everything in one template. Its only parameter is the image."""
    stands_on = foundation(deployment, given)
    known = {**outputs_of(deployment, given), "Image": {"Ref": "Image"}}
    return {
        **stands_on,
        "Description": stands_on["Description"].replace("what releases of", "all of").replace(" stand on", ""),
        "Parameters": {"Image": _IMAGE},
        "Resources": {**stands_on["Resources"], **_released(deployment, given, known)},
        "Outputs": {**stands_on["Outputs"], "Url": {"Value": {"Fn::GetAtt": ["Url", "FunctionUrl"]}}},
    }


def service_part(deployment: Deployment, given: Given) -> Template:
    """What a release is, on a foundation that is there: no role, no network, no policy. Its parameters are that one's outputs."""
    names = sorted(variables_in(releasing.create_function(deployment, given)) - {"Image"})
    known = {name: {"Ref": name} for name in (*names, "Image")}
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": f"mlship: {deployment.release.id} of {deployment.project}, on what mlship's foundation made",
        "Parameters": {**{name: {"Type": "String"} for name in names}, "Image": _IMAGE},
        "Resources": _released(deployment, given, known),
        "Outputs": {"Url": {"Value": {"Fn::GetAtt": ["Url", "FunctionUrl"]}}},
    }


def version_id(release: str) -> str:
    """Of a version in a template: another release is another resource, and CloudFormation publishes one for each."""
    return "Version" + "".join(part.capitalize() for part in release.split("-"))


def _released(deployment: Deployment, given: Given, known: Mapping[str, Any]) -> dict[str, Any]:
    scope, is_public = Scope(deployment.project, deployment.environment), releasing.is_public(deployment)
    function = _spelled(releasing.create_function(deployment, given), known)
    del function["Publish"]  # the version below is what publishes it
    function["Tags"] = cfn_tags(function["Tags"])
    if key := function.pop("KMSKeyArn", ""):
        function["KmsKeyArn"] = key
    if (most := reserved(deployment)) is not None:
        function["ReservedConcurrentExecutions"] = most
    version = version_id(deployment.release.id)
    number = {"Fn::GetAtt": [version, "Version"]}
    published: Template = {
        "FunctionName": {"Ref": "Function"},
        "Description": releasing.publish_version(deployment)["Description"],
    }
    if ready := kept_ready(deployment):
        published["ProvisionedConcurrencyConfig"] = {"ProvisionedConcurrentExecutions": ready}
    url = _spelled(releasing.url_config(scope, public=is_public), known)
    del url["FunctionName"]
    made: dict[str, Any] = {
        "Function": _resource("AWS::Lambda::Function", function),
        # a version that is not in the template any more may be what callers reach until the alias has moved
        version: {**_resource("AWS::Lambda::Version", published), "DeletionPolicy": "Retain", "UpdateReplacePolicy": "Retain"},
        "Live": _resource("AWS::Lambda::Alias", {"FunctionName": {"Ref": "Function"}, "Name": LIVE, "FunctionVersion": number}),
        "Url": {
            **_resource("AWS::Lambda::Url", {**url, "TargetFunctionArn": {"Ref": "Function"}}),
            "DependsOn": ["Live"],
        },
    }
    for which, permission in zip(("AnybodyUrl", "AnybodyInvoke"), releasing.permissions(scope, public=is_public), strict=False):
        said = {key: value for key, value in permission.items() if key not in ("FunctionName", "Qualifier", "StatementId")}
        made[which] = _resource("AWS::Lambda::Permission", {**said, "FunctionName": {"Ref": "Live"}})
    return made


def _spelled(body: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    spelled: dict[str, Any] = in_template(body, known, free=_FREE_NAMES)
    return spelled


def _resource(kind: str, properties: Template) -> Template:
    return {"Type": kind, "Properties": properties}
