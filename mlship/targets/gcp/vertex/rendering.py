"""What `deploy` sends, and the same for Google's own tools. Pure."""

from __future__ import annotations

import json
from typing import Any

from mlship.errors import FindingsError, MlshipError
from mlship.targets.base import Deployment
from mlship.targets.gcp.resources import findings as impossible
from mlship.targets.gcp.scope import impossible_labels
from mlship.targets.gcp.variables import Variable
from mlship.targets.gcp.vertex import bodies
from mlship.targets.gcp.vertex.checks import in_documents
from mlship.targets.gcp.vertex.ejecting import posted, script

_README = """\
apply/ is what mlship sends to aiplatform.googleapis.com (v1), in this order; ${Name} is known only then.

  1-upload-model.json       UploadModel       of a first release; a later one names parentModel in place of modelId
  2-create-endpoint.json    CreateEndpoint    for callers
  3-create-proof.json       CreateEndpoint    for mlship alone: what is at 0 % cannot be asked
  4-deploy-*.json           DeployModel       with no word on traffic; at the same time one replica on the other endpoint
  5-split.json              UpdateEndpoint    all callers, by steps before that, with the etag of what was seen

eject/deploy.sh is the same end state by gcloud; the documents beside it are what it posts where gcloud has no flags.
"""


def render(deployment: Deployment) -> dict[str, bytes]:
    """Raises MlshipError for another service, and for what Vertex AI cannot do."""
    if deployment.service != "vertex":
        raise MlshipError(
            f"these are the documents of vertex, not of {deployment.service}",
            deployment.places.get("targets.gcp.service", ""),
            "write targets.gcp.service: vertex",
            code="unknown-service",
        )
    wrong = [*impossible(deployment), *impossible_labels(deployment), *in_documents(deployment)]
    if any(finding.severity == "error" for finding in wrong):
        raise FindingsError(f"{deployment.project} cannot be rendered for gcp", wrong, code="impossible")
    models = bodies.deployed_models(deployment)
    kinds = {name: name.removeprefix(deployment.release.id).lstrip("-") or "on-demand" for name in models}
    endpoint = bodies.endpoint_path(deployment)
    documents: dict[str, Any] = {
        "apply/1-upload-model.json": bodies.upload_request(deployment, first=True),
        "apply/2-create-endpoint.json": bodies.endpoint_request(deployment),
        "apply/3-create-proof.json": bodies.endpoint_request(deployment, bodies.PROOF),
        **{f"apply/4-deploy-{kinds[name]}.json": bodies.deploy_request(deployment, body) for name, body in models.items()},
        "apply/5-split.json": bodies.split_request(endpoint, Variable("Etag"), split(deployment)),
        **{f"eject/{name}": said for name, said in posted(deployment).items()},
    }
    written = {path: json.dumps(said, indent=1, ensure_ascii=False).encode() + b"\n" for path, said in documents.items()}
    return {**written, "eject/deploy.sh": script(deployment).encode(), "eject/README": _README.encode()}


def split(deployment: Deployment) -> dict[str, int]:
    """The end state: all callers to the release, each sibling by its replicas."""
    models = bodies.deployed_models(deployment)
    kinds = {name: body["dedicatedResources"]["minReplicaCount"] for name, body in models.items()}
    ids: dict[str, int] = {
        Variable("Spot" if name.endswith(bodies.SPOT) else "OnDemand"): count for name, count in kinds.items()
    }
    return bodies.shared_between(bodies.WHOLE, ids)
