"""The same end state for Google's own tools: a script of `gcloud ai` commands. Pure.

`gcloud ai models upload` has flags for start-up probes that run a command, and none for those over HTTP, nor for how many may fail;
`gcloud ai endpoints deploy-model` none for autoscaling on requests (both: Google Cloud SDK 528). Those steps post the document that
mlship sends.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from mlship.targets.base import Deployment
from mlship.targets.gcp.caller_vertex import PUSH
from mlship.targets.gcp.given import PROJECT, given
from mlship.targets.gcp.vertex import bodies

_HEAD = """\
#!/bin/sh
# {release} at Vertex AI, by Google's own tools: run once, for a first release. Push the image first
# (mlship build --push HOST/PROJECT/REPOSITORY/IMAGE --push-as {form}), then:
# IMAGE=HOST/PROJECT/REPOSITORY/IMAGE@sha256:... sh eject/deploy.sh
set -eu
cd "$(dirname "$0")"
: "${{IMAGE:?say the image in a registry, by digest}}"
{project}
REGION={region}
API="https://$REGION-aiplatform.googleapis.com/v1"
PLACE="projects/$PROJECT/locations/$REGION"

ask() {{ # more words for curl
    printf 'header = "Authorization: Bearer %s"\\n' "$(gcloud auth print-access-token)" |
        curl --fail --silent --show-error --config - "$@"
}}

post() {{ # what gcloud has no flags for: a path, a document; waits until it is done
    sed -e 's|^\\( *"imageUri": \\)"[$][{{]Image[}}]"|\\1"'"$IMAGE"'"|' \\
        -e 's|^\\( *"model": "projects/\\)[$][{{]Project[}}]/|\\1'"$PROJECT"'/|' "$2" > "$2.filled"
    name=$(ask --header 'Content-Type: application/json' --data "@$2.filled" "$API/$PLACE/$1" |
        tr -d '\\n' | sed 's|.*"name": *"\\([^"]*/operations/[^"]*\\)".*|\\1|')
    until ask "$API/$name" | tr -d '\\n' | grep -q '"done": *true'; do sleep "${{EVERY:-5}}"; done
    ! ask "$API/$name" | grep '"error"'
}}

post models:upload model.json
"""
# gcloud's names of the metrics (`--autoscaling-metric-specs`, Google Cloud SDK 528)
_METRIC_NAMES = {bodies.METRICS["cpu"]: "cpu-usage", bodies.METRICS["gpu"]: "gpu-duty-cycle"}


def script(deployment: Deployment) -> str:
    """For a first release: version of the model, endpoint, deployed models, all callers."""
    has = given(deployment)
    project = shlex.quote(has.project)
    if has.project == PROJECT:
        project = '"${PROJECT:-$(gcloud config get-value project)}"'
    head = _HEAD.format(form=PUSH, release=deployment.release.id, project=f"PROJECT={project}", region=shlex.quote(has.region))
    lines = [_command(_endpoint(deployment))]
    for name, document in deploy_documents(deployment).items():
        if _has_flags(document):
            lines.append(_command(_deploy(deployment, document)))
        else:
            lines.append(f"post endpoints/{bodies.scope_of(deployment).stem}:deployModel {shlex.quote(name)}")
    return head + "\n".join(lines) + "\n"


def posted(deployment: Deployment) -> dict[str, Any]:
    """File -> what the script posts: bodies of `apply/` without what their address says."""
    upload = {name: said for name, said in bodies.upload_request(deployment, first=True).items() if name != "parent"}
    plain = {name: said for name, said in deploy_documents(deployment).items() if not _has_flags(said)}
    return {"model.json": upload, **plain}


def deploy_documents(deployment: Deployment) -> dict[str, Any]:
    """File -> DeployModel, one after the other: the last one gives all their shares, by the ids that they are given here."""
    models = bodies.deployed_models(deployment)
    ids = {name: str(number) for number, name in enumerate(models, start=1)}
    sizes = {ids[name]: body["dedicatedResources"]["minReplicaCount"] for name, body in models.items()}
    shares = bodies.shared_between(bodies.WHOLE, sizes)
    found = {}
    for name, body in models.items():
        document: dict[str, Any] = {"deployedModel": {"id": ids[name], **body}}
        if name == list(models)[-1]:
            document["trafficSplit"] = {("0" if id == ids[name] else id): share for id, share in shares.items()}
        found[f"deploy-{'spot' if name.endswith(bodies.SPOT) else 'on-demand'}.json"] = document
    return found


def _has_flags(document: Mapping[str, Any]) -> bool:
    specs = document["deployedModel"]["dedicatedResources"]["autoscalingMetricSpecs"]
    return all(spec["metricName"] in _METRIC_NAMES for spec in specs)


def _endpoint(deployment: Deployment) -> list[str]:
    said = bodies.endpoint_request(deployment)
    return [
        "endpoints",
        "create",
        f"--endpoint-id={said['endpointId']}",
        f"--display-name={said['endpoint']['displayName']}",
        f"--labels={_pairs(said['endpoint']['labels'])}",
    ]


def _deploy(deployment: Deployment, document: Mapping[str, Any]) -> list[str]:
    body = document["deployedModel"]
    resources = body["dedicatedResources"]
    machine = resources["machineSpec"]
    words = [
        "endpoints",
        "deploy-model",
        bodies.scope_of(deployment).stem,
        f"--deployed-model-id={body['id']}",
        f"--model={body['model'].rpartition('/')[2]}",
        f"--display-name={body['displayName']}",
        f"--machine-type={machine['machineType']}",
        f"--min-replica-count={resources['minReplicaCount']}",
        f"--max-replica-count={resources['maxReplicaCount']}",
    ]
    if "acceleratorType" in machine:
        kind = machine["acceleratorType"].lower().replace("_", "-")
        words.append(f"--accelerator=count={machine['acceleratorCount']},type={kind}")
    if "reservationAffinity" in machine:
        said = machine["reservationAffinity"]
        (value,) = said["values"]
        word = f"--reservation-affinity=reservation-affinity-type=specific-reservation,key={said['key']},values={value}"
        words.append(_Quoted(shlex.quote(word).replace(PROJECT, "'\"$PROJECT\"'")))
    for spec in resources["autoscalingMetricSpecs"]:
        words.append(f"--autoscaling-metric-specs={_METRIC_NAMES[spec['metricName']]}={spec['target']}")
    if resources.get("spot"):
        words.append("--spot")
    if "serviceAccount" in body:
        words.append(f"--service-account={body['serviceAccount']}")
    if "trafficSplit" in document:
        words.append(f"--traffic-split={_pairs(document['trafficSplit'])}")
    return words


class _Quoted(str):
    """A word as the shell reads it: the script's own variable in it is one."""


def _pairs(said: Mapping[str, Any]) -> str:
    return ",".join(f"{name}={text}" for name, text in said.items())


def _command(words: list[str]) -> str:
    quoted = " ".join(word if isinstance(word, _Quoted) else shlex.quote(word) for word in words)
    return f'gcloud ai {quoted} --project="$PROJECT" --region="$REGION" --quiet'
