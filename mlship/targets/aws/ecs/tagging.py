"""Labels of a project on what its releases made: new ones come, gone ones go, and those that others put there stay."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from mlship.targets.aws.door import Door
from mlship.targets.aws.ecs.releasing import ecs_tags
from mlship.targets.aws.scope import Scope


def relabel(door: Door, scope: Scope, arns: Iterable[str], former: Mapping[str, str], labels: Mapping[str, str]) -> None:
    """arns: of a service of ECS, whose next tasks get its tags, too, and of a rule of a balancer. former: labels until now."""
    gone = sorted(set(former) - set(labels))
    for arn in filter(None, arns):
        if ":elasticloadbalancing:" in arn:
            tags = [{"Key": name, "Value": text} for name, text in scope.tags("front", labels).items()]
            door.call("elbv2", "add_tags", ResourceArns=[arn], Tags=tags)
            if gone:
                door.call("elbv2", "remove_tags", ResourceArns=[arn], TagKeys=gone)
        else:
            door.call("ecs", "tag_resource", resourceArn=arn, tags=ecs_tags(scope.tags("replica", labels)))
            if gone:
                door.call("ecs", "untag_resource", resourceArn=arn, tagKeys=gone)
