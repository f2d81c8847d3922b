"""What `deploy` sends, and the same for `az` alone. Pure."""

from __future__ import annotations

import json
from typing import Any

from mlship.errors import FindingsError
from mlship.targets.azure.container_apps.ejecting import template, yaml_app
from mlship.targets.azure.container_apps.foundation import APIS, APP, parts
from mlship.targets.azure.container_apps.given import given
from mlship.targets.azure.container_apps.preflight import in_documents
from mlship.targets.azure.container_apps.releasing import STAGED, WHOLE, app, entry, login, operated, shifted, staged, suffix
from mlship.targets.azure.filling import variables
from mlship.targets.azure.scope import GROUP, Place, Scope
from mlship.targets.base import Deployment
from mlship.templating import in_yaml

_README = """\
apply/ is what mlship sends to the resource manager, in this order; ${{Name}} is known only then. What is named in mlship.yaml is not made.

  foundation/*.json                  PUT of what is missing
  service/1-containerApps.json       PUT of the app, with its first release           api-version {api}
  service/2-next-release.json        PATCH: the next release beside it, without callers
  service/3-shift.json               PATCH: shares of the callers, here all of them for the next release
{login}
eject/ is the same for az alone; SUBSCRIPTION is the id of yours, where mlship.yaml does not say it. Push the image first
(mlship build --push HOST/REPOSITORY). All of it:

  az deployment group create {flags} --template-file eject/template.json --parameters image=HOST/REPOSITORY@sha256:...

or the app alone, on what is there; these have to be set for envsubst: {needed}

  envsubst '{quoted}' < eject/app.yaml > app.yaml
  az containerapp create --name {name} {flags} --yaml app.yaml
"""
_LOGIN = """\
  service/1-authConfigs.json         PUT after the first: nobody without a token of Entra gets in
  service/1-open.json                PATCH after that: and only now anybody from outside
"""
_OPEN = """
The template makes the app before it says who may call: where that matters for a moment, set external to false in it, and open it later.
"""


def render(deployment: Deployment) -> dict[str, bytes]:
    """The first release of a project, and what a later one sends. Raises FindingsError for what Container Apps cannot do."""
    if wrong := [one for one in in_documents(deployment) if one.severity == "error"]:
        raise FindingsError(f"{deployment.project} cannot run on Container Apps", wrong)
    has = given(deployment)
    scope = Scope(deployment.project, deployment.environment)
    own = suffix(deployment, has)
    documents: dict[str, Any] = {}
    for number, part in enumerate(parts(deployment, has), 1):
        kind = part.kind.partition("/")[2]
        documents[f"apply/foundation/{number}-{kind}.json"] = part.body
    documents["apply/service/1-containerApps.json"] = app(deployment, has, is_first=True)
    documents["apply/service/2-next-release.json"] = staged(deployment, has, [], [entry(scope, own, 0, STAGED)])
    documents["apply/service/3-shift.json"] = shifted([entry(scope, own, WHOLE)])
    if has.callers == "entra":
        documents["apply/service/1-authConfigs.json"] = login(has)
        documents["apply/service/1-open.json"] = operated(deployment, has)
    documents["eject/template.json"] = template(deployment, has)
    written = {
        name: json.dumps(document, indent=1, ensure_ascii=False).encode() + b"\n" for name, document in documents.items()
    }
    written["eject/app.yaml"] = "".join(_lines(yaml_app(deployment, has), "")).encode()
    needed = " ".join(sorted(name for name in variables(app(deployment, has)) if not name.startswith("Secret_")))
    quoted = " ".join(f"${name}" for name in needed.split())
    said = deployment.settings
    flags = Place(str(said.get("subscription") or "SUBSCRIPTION"), str(said.get("resource_group") or GROUP)).flags
    words, warning = (_LOGIN, _OPEN) if has.callers == "entra" else ("", "")
    readme = _README.format(api=APIS[APP], login=words, flags=flags, needed=needed, quoted=quoted, name=scope.short)
    return {**written, "eject/README": (readme + warning).encode()}


def _lines(document: Any, indent: str) -> list[str]:
    """YAML of maps and lists; every name and value as JSON has it."""
    found: list[str] = []
    pairs = document.items() if isinstance(document, dict) else ((None, one) for one in document)
    for key, value in pairs:
        head = f"{indent}- " if key is None else f"{indent}{_word(str(key))}:"
        if isinstance(value, dict | list) and value:
            inner = _lines(value, indent + "  ")
            found += [head + inner[0][len(indent) + 2 :], *inner[1:]] if key is None else [head + "\n", *inner]
        else:
            found.append(head + ("" if key is None else " ") + in_yaml(value) + "\n")
    return found


def _word(key: str) -> str:
    return key if key.isalnum() else in_yaml(key)
