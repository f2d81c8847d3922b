"""What `deploy` sends to Azure ML, and the same for `az ml` alone. Pure."""

from __future__ import annotations

import json
from typing import Any

from mlship.errors import FindingsError
from mlship.targets.azure.azureml import bodies, ejecting, scaling
from mlship.targets.azure.azureml.site import Site, site_of
from mlship.targets.azure.azureml.unbuilt import in_documents
from mlship.targets.azure.cloud import Cloud, cloud_of
from mlship.targets.azure.scope import Scope
from mlship.targets.base import Deployment
from mlship.templating import in_yaml
from mlship.units import Duration

_README = """\
apply/ is what mlship sends to Azure's resource manager, in this order; ${{Name}} is known only then.

  1-environment.json   PUT {versions}
                       ${{Image}}: the image in the registry, by digest
  2-endpoint.json      PUT {endpoint}
                       once; it reaches nothing yet
  3-deployment.json    PUT {deployment}
                       ${{EnvironmentId}}: the path of 1; 8 to 20 minutes
{scaling}{mirror}  {last}-traffic.json       PUT {endpoint}
                       the whole endpoint again: a PATCH takes tags and identity alone

eject/ is the same for `az ml` alone{unsaid}. Push the image first (mlship build --push REGISTRY/NAME), and write where it is into
environment.yml. The workspace's registry, or one of which the endpoint's identity has the role AcrPull:

  az ml environment create -f eject/environment.yml {where}
  az ml online-endpoint create -f eject/endpoint.yml {where}
  az ml online-deployment create -f eject/deployment.yml {where}
{autoscale}{shadow}  az ml online-endpoint update -f eject/traffic.yml {where}
"""
_SCALING = """\
  4-autoscale.json     PUT {path}
                       ${{DeploymentId}}: the path of 3
"""
_MIRROR = """\
  5-mirror.json        PUT {endpoint}
                       not for a first release: {share} of the requests are copied to it for {bake};
                       ${{Before}}: the release that serves, whose answers callers get
"""
_SHADOW = """\
  az ml online-endpoint update -f eject/mirror.yml {where}
      not for a first release; write the name of the deployment that serves for BEFORE, and look for {bake} how the new one answers:
      az monitor metrics list --resource {endpoint} --metric RequestsPerMinute --filter "deployment eq '{release}'"
"""
_AUTOSCALE = "  az deployment group create {flags} --template-file eject/autoscale.json\n"


def render(deployment: Deployment) -> dict[str, bytes]:
    """The release as the only one. Raises FindingsError for what the service cannot do."""
    if missing := [finding for finding in in_documents(deployment) if finding.severity == "error"]:
        raise FindingsError(f"{deployment.project} cannot be rendered for azure", missing, code=missing[0].code)
    scope = Scope(deployment.project, deployment.environment)
    site = site_of(scope, deployment.settings, str(deployment.settings.get("subscription") or ""))
    cloud = cloud_of(str(deployment.settings.get("cloud") or ""), {})
    documents = {
        **_applied(deployment, cloud),
        **_ejected(deployment, site, cloud),
        "eject/README.md": _readme(deployment, site),
    }
    return {name: _written(name, document) for name, document in documents.items()}


def _applied(deployment: Deployment, cloud: Cloud) -> dict[str, Any]:
    live = {deployment.release.id: bodies.WHOLE}
    scaled = {"apply/4-autoscale.json": scaling.autoscaling(deployment)} if scaling.is_scaled(deployment) else {}
    mirrored = {"apply/5-mirror.json": bodies.mirrored(deployment)} if deployment.strategy.mirror else {}
    return {
        "apply/1-environment.json": bodies.environment(deployment),
        "apply/2-endpoint.json": bodies.endpoint(deployment, {}),
        "apply/3-deployment.json": bodies.release(deployment, cloud, scaling.capacity_for(deployment)),
        **scaled,
        **mirrored,
        f"apply/{_last(deployment)}-traffic.json": bodies.endpoint(deployment, live),
    }


def _ejected(deployment: Deployment, site: Site, cloud: Cloud) -> dict[str, Any]:
    live = {deployment.release.id: bodies.WHOLE}
    scaled = {"eject/autoscale.json": ejecting.autoscaling(deployment, site)} if scaling.is_scaled(deployment) else {}
    mirrored = {"eject/mirror.yml": ejecting.mirrored(deployment, site)} if deployment.strategy.mirror else {}
    return {
        "eject/environment.yml": ejecting.environment(deployment, site),
        "eject/endpoint.yml": ejecting.endpoint(deployment, site, {}),
        "eject/deployment.yml": ejecting.release(deployment, site, cloud),
        **scaled,
        **mirrored,
        "eject/traffic.yml": ejecting.endpoint(deployment, site, live),
    }


def _last(deployment: Deployment) -> int:
    """The number of the last call."""
    return 6 if deployment.strategy.mirror else 5


def _readme(deployment: Deployment, site: Site) -> str:
    release = deployment.release.id
    is_scaled, strategy = scaling.is_scaled(deployment), deployment.strategy
    where = f"-w {site.workspace.rpartition('/')[2]} {site.place.flags}"
    copied = {"share": f"{strategy.mirror * 100:g} %", "bake": Duration(strategy.bake_s), "endpoint": site.endpoint_path}
    return _README.format(
        versions=site.version(release),
        endpoint=site.endpoint_path,
        deployment=site.deployment(release),
        scaling=_SCALING.format(path=site.scaling(release)) if is_scaled else "",
        autoscale=_AUTOSCALE.format(flags=site.place.flags) if is_scaled else "",
        mirror=_MIRROR.format(**copied) if strategy.mirror else "",
        shadow=_SHADOW.format(**copied, where=where, release=release) if strategy.mirror else "",
        last=_last(deployment),
        unsaid="" if deployment.settings.get("subscription") else "; SUBSCRIPTION is the id of yours",
        where=where,
    )


def _written(name: str, document: Any) -> bytes:
    """JSON, and YAML whose texts are JSON's: nothing in them can be read as anything else."""
    if isinstance(document, str):
        return document.encode()
    if name.endswith(".json"):
        return json.dumps(document, indent=2, ensure_ascii=False).encode() + b"\n"
    return "".join(_lines(document, "")).encode()


def _lines(document: dict[str, Any], indent: str) -> list[str]:
    lines = []
    for key, entry in document.items():
        if isinstance(entry, dict) and entry:
            lines += [f"{indent}{_word(key)}:\n", *_lines(entry, indent + "  ")]
        else:
            lines.append(f"{indent}{_word(key)}: {in_yaml(entry)}\n")
    return lines


def _word(key: str) -> str:
    return key if key.replace("_", "").isalpha() else in_yaml(key)
