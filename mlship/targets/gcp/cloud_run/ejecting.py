"""The same end state for `gcloud run services replace`: one Knative service. Pure.

What run.v2 has as fields are annotations there (discovery document of run.v1, ObjectMeta.annotations, 2026-11).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from mlship.targets.gcp.cloud_run.bodies import Body

OURS = "run.googleapis.com"
_INGRESS = {
    "INGRESS_TRAFFIC_ALL": "all",
    "INGRESS_TRAFFIC_INTERNAL_ONLY": "internal",
    "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER": "internal-and-cloud-load-balancing",
}
_GENERATION = {"EXECUTION_ENVIRONMENT_GEN1": "gen1", "EXECUTION_ENVIRONMENT_GEN2": "gen2"}
_EGRESS = {"PRIVATE_RANGES_ONLY": "private-ranges-only"}


def knative(name: str, service: Body) -> Body:
    """service: as CreateService has it."""
    template = service["template"]
    return {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Service",
        "metadata": {"name": name, "labels": service["labels"], "annotations": _of_service(service)},
        "spec": {
            "template": {
                "metadata": {
                    "name": template["revision"],
                    "labels": template["labels"],
                    "annotations": {**template["annotations"], **_of_revision(template)},
                },
                "spec": _spec(template),
            },
            "traffic": [
                {"revisionName": one["revision"], "percent": one["percent"], "tag": one["tag"]} for one in service["traffic"]
            ],
        },
    }


def _of_service(service: Body) -> dict[str, str]:
    scaling = service["scaling"]
    stage = {f"{OURS}/launch-stage": service["launchStage"]} if "launchStage" in service else {}
    return {
        **stage,
        f"{OURS}/ingress": _INGRESS[service["ingress"]],
        f"{OURS}/invoker-iam-disabled": _word(service["invokerIamDisabled"]),
        f"{OURS}/minScale": str(scaling["minInstanceCount"]),
        f"{OURS}/maxScale": str(scaling["maxInstanceCount"]),
    }


def _of_revision(template: Body) -> dict[str, str]:
    said = {
        f"{OURS}/execution-environment": _GENERATION[template["executionEnvironment"]],
        f"{OURS}/cpu-throttling": _word(template["containers"][0]["resources"]["cpuIdle"]),
        f"{OURS}/startup-cpu-boost": "false",
    }
    if "vpcAccess" in template:
        said |= _private_way(template["vpcAccess"])
    if "gpuZonalRedundancyDisabled" in template:
        said[f"{OURS}/gpu-zonal-redundancy-disabled"] = _word(template["gpuZonalRedundancyDisabled"])
    foreign = _foreign(template)
    if foreign:
        said[f"{OURS}/secrets"] = ",".join(f"{alias}:{name}" for alias, name in sorted(foreign.items()))
    return said


def _private_way(access: Body) -> dict[str, str]:
    """Interfaces as JSON in a text, as gcloud itself writes them (Google Cloud SDK 528, command_lib/run/config_changes.py)."""
    said = {f"{OURS}/vpc-access-egress": _EGRESS[access["egress"]]}
    if "connector" in access:
        return {**said, f"{OURS}/vpc-access-connector": access["connector"]}
    return {**said, f"{OURS}/network-interfaces": json.dumps(access["networkInterfaces"], sort_keys=True)}


def _spec(template: Body) -> Body:
    foreign = {name: alias for alias, name in _foreign(template).items()}
    spec: Body = {
        "containerConcurrency": template["maxInstanceRequestConcurrency"],
        "timeoutSeconds": int(template["timeout"].removesuffix("s")),
        "containers": [_container(one, foreign) for one in template["containers"]],
    }
    if "serviceAccount" in template:
        spec["serviceAccountName"] = template["serviceAccount"]
    if "nodeSelector" in template:
        spec["nodeSelector"] = {f"{OURS}/accelerator": template["nodeSelector"]["accelerator"]}
    return spec


def _container(container: Body, foreign: Mapping[str, str]) -> Body:
    return {
        "name": container["name"],
        "image": container["image"],
        "ports": container["ports"],
        "env": [_variable(one, foreign) for one in container["env"]],
        "resources": {"limits": container["resources"]["limits"]},
        "startupProbe": container["startupProbe"],
        "livenessProbe": container["livenessProbe"],
    }


def _variable(said: Body, foreign: Mapping[str, str]) -> Body:
    if "value" in said:
        return {"name": said["name"], "value": said["value"]}
    of = said["valueSource"]["secretKeyRef"]
    return {
        "name": said["name"],
        "valueFrom": {"secretKeyRef": {"name": foreign.get(of["secret"], of["secret"]), "key": of["version"]}},
    }


def _foreign(template: Body) -> dict[str, str]:
    """alias -> a secret of another project: there it has to be named in an annotation."""
    names = {
        one["valueSource"]["secretKeyRef"]["secret"]
        for container in template["containers"]
        for one in container["env"]
        if "valueSource" in one
    }
    whole = sorted(name for name in names if "/" in name)
    return {f"mlship-{number}": name for number, name in enumerate(whole, 1)}


def _word(value: Any) -> str:
    return "true" if value else "false"
