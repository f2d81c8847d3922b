"""What an account has already, as `targets.aws` names it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mlship.errors import MlshipError
from mlship.targets.base import Deployment

# Addresses of private networks (RFC 1918): an internal balancer has callers in its own network and in those joined to it.
PRIVATE = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")
EVERYBODY = ("0.0.0.0/0",)
FIRST_PRIORITY = 100  # of the three rules on a listener that others use, too


@dataclass(frozen=True)
class Given:
    """Empty: mlship makes it. roles: `task`, `execution`, and at ECS `infrastructure`.

    hosts: the names by which callers of a given listener come. priority: of the first of three rules of the listener. callers: networks
    that may reach the balancer that mlship makes; certificate: ARN, for its TLS. public: whether callers may come from the internet.
    is_balanced: whether there is a balancer, given or made; without one callers find the tasks by a name in this namespace of Cloud Map.
    """

    subnets: tuple[str, ...] = ()
    security_groups: tuple[str, ...] = ()
    roles: Mapping[str, str] = field(default_factory=dict)
    cluster: str = ""
    listener: str = ""
    hosts: tuple[str, ...] = ()
    priority: int = FIRST_PRIORITY
    repository: str = ""
    kms_key: str = ""
    permissions_boundary: str = ""
    callers: tuple[str, ...] = PRIVATE
    bucket: str = ""
    arch: str = "x86_64"
    certificate: str = ""
    public: bool = False
    is_balanced: bool = True
    namespace: str = ""

    @property
    def balancer(self) -> str:
        """What the metrics of the given listener's balancer call it: `app/ml/50dc6c495c0c9188`; empty where mlship makes it."""
        return "/".join(self.listener.partition(":listener/")[2].split("/")[:3])


def given(deployment: Deployment) -> Given:
    """Raises MlshipError for a listener that others use, of which nobody says which callers are this project's."""
    said, public = deployment.settings, bool(deployment.operating.get("public"))
    found = Given(
        subnets=tuple(said.get("subnets") or ()),
        security_groups=tuple(said.get("security_groups") or ()),
        roles=dict(said.get("roles") or {}),
        cluster=str(said.get("cluster") or ""),
        listener=str(said.get("listener") or ""),
        hosts=tuple(said.get("hosts") or ()),
        priority=int(said.get("priority") or FIRST_PRIORITY),
        repository=str(said.get("repository") or ""),
        kms_key=str(said.get("kms_key") or ""),
        permissions_boundary=str(said.get("permissions_boundary") or ""),
        callers=tuple(said.get("callers") or (EVERYBODY if public else PRIVATE)),
        bucket=str(said.get("bucket") or ""),
        arch=str(said.get("arch") or "x86_64"),
        certificate=str(said.get("certificate") or ""),
        public=public,
        is_balanced=deployment.service != "ecs" or said.get("balancer") is not False,
        namespace=str(said.get("namespace") or ""),
    )
    _check(found, deployment.places)
    return found


def _check(found: Given, places: Mapping[str, str]) -> None:
    def refused(key: str, what: str, fix: str) -> MlshipError:
        return MlshipError(what, places.get(f"targets.aws.{key}", ""), fix, code="incomplete-target")

    if found.listener and not found.hosts:
        what = "targets.aws.listener is one that others may use, and nothing says which of its callers are this project's"
        raise refused("listener", what, "write targets.aws.hosts: [churn.internal.example]")
    unknown = sorted(set(found.roles) - {"task", "execution", "infrastructure"})
    if unknown:
        raise refused("roles", f"ECS has no role {unknown[0]}", "name them task, execution and infrastructure")
