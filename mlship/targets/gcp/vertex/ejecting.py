"""The same end state for Google's own tools: a script of `gcloud ai` commands. Pure.

`gcloud ai models upload` has flags for start-up probes that run a command, and none for those over HTTP, nor for how many may fail
("gcloud ai models upload", Google Cloud SDK 528): that one step posts the document that mlship sends.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from mlship.targets.base import Deployment
from mlship.targets.gcp.given import PROJECT, given
from mlship.targets.gcp.vertex import bodies

_HEAD = """\
#!/bin/sh
# {release} of {project} at Vertex AI, by Google's own tools. Push the image first (mlship build --push HOST/PROJECT/REPOSITORY/IMAGE):
#   IMAGE=HOST/PROJECT/REPOSITORY/IMAGE@sha256:... sh eject/deploy.sh
# It makes what is not there yet: run once, for a first release.
set -eu
cd "$(dirname "$0")"
: "${{IMAGE:?say the image in a registry, by digest}}"
{whose}REGION={region}
API="https://$REGION-aiplatform.googleapis.com/v1"
PLACE="projects/$PROJECT/locations/$REGION"

"""
_UPLOAD = """\
# gcloud has no flag for a start-up probe over HTTP: the document goes to the API as it is
TOKEN=$(gcloud auth print-access-token)
sed -e "s|[$][{]Image[}]|$IMAGE|" model.json > model.filled.json
OPERATION=$(printf 'header = "Authorization: Bearer %s"\\n' "$TOKEN" | curl --fail --silent --show-error --config - \\
    --header 'Content-Type: application/json' --data @model.filled.json "$API/$PLACE/models:upload" |
    sed -n 's|^ *"name": "\\(.*\\)",*$|\\1|p')
until printf 'header = "Authorization: Bearer %s"\\n' "$TOKEN" | curl --fail --silent --show-error --config - "$API/$OPERATION" |
    grep -q '"done": true'; do sleep 5; done

"""


def script(deployment: Deployment) -> str:
    """For a first release: endpoint, version of the model, deployed models, all callers."""
    has = given(deployment)
    if has.project == PROJECT:
        whose = "PROJECT=${PROJECT:-$(gcloud config get-value project)}\n"
    else:
        whose = f"PROJECT={shlex.quote(has.project)}\n"
    head = _HEAD.format(release=deployment.release.id, project=deployment.project, region=shlex.quote(has.region), whose=whose)
    commands = [_endpoint(deployment), *_deployed(deployment)]
    return head + _UPLOAD + "\n".join(_command(words) for words in commands)


def model_document(deployment: Deployment) -> dict[str, Any]:
    """What the script posts: the body of `apply/1-upload-model.json` without what its address says."""
    return {name: said for name, said in bodies.upload_request(deployment, first=True).items() if name != "parent"}


def _endpoint(deployment: Deployment) -> list[str]:
    said = bodies.endpoint_request(deployment)
    return [
        "endpoints",
        "create",
        f"--endpoint-id={said['endpointId']}",
        f"--display-name={said['endpoint']['displayName']}",
        f"--labels={_pairs(said['endpoint']['labels'])}",
    ]


def _deployed(deployment: Deployment) -> list[list[str]]:
    """One after the other: each gives those before it their share again, by the ids that they are given here."""
    models = bodies.deployed_models(deployment)
    ids = {name: str(number + 1) for number, name in enumerate(models)}
    shares = bodies.shared_between(
        bodies.WHOLE, {ids[name]: body["dedicatedResources"]["minReplicaCount"] for name, body in models.items()}
    )
    commands = []
    for place, (name, body) in enumerate(models.items()):
        is_last = place == len(models) - 1
        split = {("0" if id == ids[name] else id): share for id, share in shares.items()} if is_last else {}
        commands.append(_deploy(deployment, body, ids[name], split))
    return commands


def _deploy(deployment: Deployment, body: Mapping[str, Any], id: str, split: Mapping[str, int]) -> list[str]:
    resources = body["dedicatedResources"]
    machine = resources["machineSpec"]
    words = [
        "endpoints",
        "deploy-model",
        bodies.scope_of(deployment).stem,
        f"--deployed-model-id={id}",
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
        words.append(f"--reservation-affinity=reservation-affinity-type=specific-reservation,key={said['key']},values={value}")
    for spec in resources["autoscalingMetricSpecs"]:
        words.append(f"--autoscaling-metric-specs={_METRIC_NAMES[spec['metricName']]}={spec['target']}")
    if resources.get("spot"):
        words.append("--spot")
    if "serviceAccount" in body:
        words.append(f"--service-account={body['serviceAccount']}")
    if split:
        words.append(f"--traffic-split={_pairs(split)}")
    return words


# gcloud's names of the metrics (`--autoscaling-metric-specs`, Google Cloud SDK 528)
_METRIC_NAMES = {
    bodies.METRICS["cpu"]: "cpu-usage",
    bodies.METRICS["gpu"]: "gpu-duty-cycle",
    bodies.METRICS["rps"]: "request-counts-per-minute",
}


def _pairs(said: Mapping[str, Any]) -> str:
    return ",".join(f"{name}={text}" for name, text in said.items())


def _command(words: list[str]) -> str:
    quoted = " ".join(shlex.quote(word) for word in words)
    return f'gcloud ai {quoted} --project="$PROJECT" --region="$REGION" --quiet\n'
