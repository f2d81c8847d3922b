"""What `deploy` sends, and the same for gcloud alone. Pure."""

from __future__ import annotations

import json
from typing import Any

from mlship.errors import FindingsError, MlshipError
from mlship.targets.base import Deployment
from mlship.targets.gcp.cloud_run import bodies
from mlship.targets.gcp.cloud_run.checks import in_documents
from mlship.targets.gcp.cloud_run.ejecting import knative
from mlship.targets.gcp.given import given
from mlship.targets.gcp.resources import findings as impossible
from mlship.targets.gcp.scope import Scope, impossible_labels

_README = """\
apply/ is what mlship sends; ${{Name}} is known only then.

  service/1-create-service.json    CreateService, of the first release (run.googleapis.com, v2)
  service/2-stage.json             UpdateService, of a later one: a revision at 0 %, asked by its tag; the others keep their callers
  service/3-shift.json             UpdateService, when it has proved itself: all callers, by steps before that

eject/service.yaml is the same end state for gcloud alone. Push the image first (mlship build --push HOST/PROJECT/REPOSITORY/IMAGE), write
its name by digest in place of ${{Image}}, then:

  gcloud run services replace eject/service.yaml --region {region}{project}
"""


def render(deployment: Deployment) -> dict[str, bytes]:
    """Raises MlshipError for another service, for what Cloud Run cannot do, and for what the bodies refuse."""
    if deployment.service != "cloud-run":
        raise MlshipError(
            f"these are the documents of cloud-run, not of {deployment.service}",
            deployment.places.get("targets.gcp.service", ""),
            "write targets.gcp.service: cloud-run",
            code="unknown-service",
        )
    wrong = [*impossible(deployment), *impossible_labels(deployment), *in_documents(deployment)]
    if any(finding.severity == "error" for finding in wrong):
        raise FindingsError(f"{deployment.project} cannot be rendered for gcp", wrong, code="impossible")
    scope, service = Scope(deployment.project, deployment.environment), bodies.service(deployment)
    name = scope.named(deployment.release.id)
    beside = [{**service["traffic"][0], "percent": 0}]
    documents: dict[str, Any] = {
        "apply/service/1-create-service.json": bodies.create_request(deployment),
        "apply/service/2-stage.json": bodies.update_request(
            deployment, {**bodies.launch_stage(deployment), "template": service["template"], "traffic": [*_others(), *beside]}
        ),
        "apply/service/3-shift.json": bodies.update_request(
            deployment, {"traffic": bodies.traffic({name: bodies.WHOLE}, scope), **bodies.operated(deployment)}
        ),
    }
    written = {path: json.dumps(said, indent=1, ensure_ascii=False).encode() + b"\n" for path, said in documents.items()}
    written["eject/service.yaml"] = _yaml(knative(scope.stem, service))
    project = f" --project {given(deployment).project}" if deployment.settings.get("project") else ""
    readme = _README.format(region=given(deployment).region, project=project)
    return {**written, "eject/README": readme.encode()}


def _others() -> list[dict[str, Any]]:
    """Whoever has the callers when it is staged keeps them."""
    return [{"type": bodies.BY_REVISION, "revision": "${Live}", "percent": bodies.WHOLE, "tag": "${LiveRelease}"}]


def _yaml(document: Any, depth: int = 0) -> bytes:
    """JSON's scalars in YAML's lines: no text can be taken for anything else."""
    return ("\n".join(_lines(document, depth)) + "\n").encode()


def _lines(value: Any, depth: int) -> list[str]:
    pad = "  " * depth
    if isinstance(value, dict) and value:
        return [line for key, entry in value.items() for line in _entry(f"{pad}{_scalar(key)}:", entry, depth)]
    if isinstance(value, list) and value:
        return [line for entry in value for line in _item(pad, _lines(entry, depth + 1))]
    return [pad + _scalar(value)]


def _entry(head: str, entry: Any, depth: int) -> list[str]:
    if isinstance(entry, dict | list) and entry:
        return [head, *_lines(entry, depth + (1 if isinstance(entry, dict) else 0))]
    return [f"{head} {_scalar(entry)}"]


def _item(pad: str, lines: list[str]) -> list[str]:
    first = lines[0][len(pad) + 2 :]
    return [f"{pad}- {first}", *lines[1:]]


def _scalar(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
