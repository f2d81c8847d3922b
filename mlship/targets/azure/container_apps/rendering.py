"""What `deploy` sends, and the same for `az` alone. Pure."""

from __future__ import annotations

import json
from typing import Any

from mlship.targets.azure.container_apps.foundation import ASSIGNMENT, parts
from mlship.targets.azure.container_apps.given import given
from mlship.targets.azure.container_apps.releasing import app, login
from mlship.targets.base import Deployment


def render(deployment: Deployment) -> dict[str, bytes]:
    """The first release of a project."""
    has = given(deployment)
    documents: dict[str, Any] = {}
    for number, part in enumerate(parts(deployment, has), 1):
        kind = part.kind.partition("/")[2]
        name = f"{kind}-{number}" if part.kind == ASSIGNMENT else kind
        documents[f"apply/foundation/{number}-{name}.json"] = part.body
    documents["apply/service/1-containerApps.json"] = app(deployment, has)
    if has.callers == "entra":
        documents["apply/service/2-authConfigs.json"] = login(has)
    documents["eject/app.yaml"] = app(deployment, has)
    return {name: json.dumps(document, indent=1, ensure_ascii=False).encode() + b"\n" for name, document in documents.items()}
