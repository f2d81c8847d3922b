"""The balancer that mlship makes, and who may reach it and the tasks behind it. Pure.

It is internal, unless `public: true` is said: then it answers with TLS alone, and whoever comes without is sent there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mlship.targets.aws.documents import Template
from mlship.targets.aws.given import Given
from mlship.targets.aws.scope import Scope

PORT = 8080  # of the server in a task
HTTP, HTTPS = 80, 443
# TLS 1.2 and 1.3 with forward secrecy (docs.aws.amazon.com/elasticloadbalancing, "Security policies"; from memory, verify).
TLS_POLICY = "ELBSecurityPolicy-TLS13-1-2-2021-06"
_NOTHING = {"StatusCode": "503", "ContentType": "application/json", "MessageBody": '{"error": "nothing is deployed"}'}
Tags = list[dict[str, str]]


def security_groups(given: Given, scope: Scope, tags: Tags) -> dict[str, Any]:
    """Of the tasks, that only the balancer reaches, and of the balancer. They may reach everything: the registry, the logs. Without a
    balancer of ours callers' networks reach the tasks.
    """
    task: dict[str, Any] = {"GroupDescription": f"tasks of {scope.stem}", "VpcId": {"Ref": "Vpc"}, "Tags": tags}
    if given.listener or not given.is_balanced:
        return {"TaskSecurityGroup": _group({**task, "SecurityGroupIngress": _ingress([PORT], given.callers)})}
    from_balancer = {"SourceSecurityGroupId": {"Fn::GetAtt": ["BalancerSecurityGroup", "GroupId"]}}
    task["SecurityGroupIngress"] = [{**_port(PORT), **from_balancer}]
    balancer = {
        "GroupDescription": f"balancer of {scope.stem}",
        "VpcId": {"Ref": "Vpc"},
        "SecurityGroupIngress": _ingress(_ports(given), given.callers),
        "Tags": tags,
    }
    return {"TaskSecurityGroup": _group(task), "BalancerSecurityGroup": _group(balancer)}


def balancer(given: Given, scope: Scope, tags: Tags) -> dict[str, Any]:
    own = [{"Fn::GetAtt": ["BalancerSecurityGroup", "GroupId"]}]
    wanted = {
        "Name": scope.short("lb"),
        "Type": "application",
        "Scheme": "internet-facing" if given.public else "internal",
        "Subnets": list(given.subnets) or {"Ref": "Subnets"},
        "SecurityGroups": list(given.security_groups) or own,
        "LoadBalancerAttributes": [{"Key": "routing.http.drop_invalid_header_fields.enabled", "Value": "true"}],
        "Tags": tags,
    }
    made = {
        "Balancer": {"Type": "AWS::ElasticLoadBalancingV2::LoadBalancer", "Properties": wanted},
        "Listener": _listener(given),
    }
    if given.public:
        to = {"Protocol": "HTTPS", "Port": str(HTTPS), "StatusCode": "HTTP_301"}
        made["Redirect"] = _listens(HTTP, "HTTP", {"Type": "redirect", "RedirectConfig": to})
    return made


def _listener(given: Given) -> Template:
    nothing = {"Type": "fixed-response", "FixedResponseConfig": _NOTHING}
    if not given.certificate:
        return _listens(HTTP, "HTTP", nothing)
    return _listens(HTTPS, "HTTPS", nothing, Certificates=[{"CertificateArn": given.certificate}], SslPolicy=TLS_POLICY)


def _listens(port: int, protocol: str, action: Template, **more: Any) -> Template:
    wanted = {"LoadBalancerArn": {"Ref": "Balancer"}, "Port": port, "Protocol": protocol, **more, "DefaultActions": [action]}
    return {"Type": "AWS::ElasticLoadBalancingV2::Listener", "Properties": wanted}


def _ports(given: Given) -> list[int]:
    return [HTTP, HTTPS] if given.public else [HTTPS] if given.certificate else [HTTP]


def _ingress(ports: Sequence[int], networks: Sequence[str]) -> list[Template]:
    return [{**_port(port), "CidrIp": network} for port in ports for network in networks]


def _port(port: int) -> Template:
    return {"IpProtocol": "tcp", "FromPort": port, "ToPort": port}


def _group(properties: Template) -> Template:
    return {"Type": "AWS::EC2::SecurityGroup", "Properties": properties}
