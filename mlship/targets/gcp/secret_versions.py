"""Which versions of its secrets a release gets: the newest ones that are enabled. No value is read."""

from __future__ import annotations

import re
from collections.abc import Mapping

from mlship.errors import Exit, MlshipError
from mlship.targets.gcp.door import MISSING, Door, Refused

HOST = "https://secretmanager.googleapis.com/v1"
_NAME = re.compile(r"(projects/[^/]+/secrets/)?[A-Za-z0-9_-]{1,255}")


def pinned(door: Door, references: Mapping[str, str]) -> dict[str, str]:
    """variable -> version. references: variable -> `churn-keys`, or `projects/acme/secrets/churn-keys`."""
    return {variable: _newest(door, variable, reference) for variable, reference in sorted(references.items())}


def version_name(door: Door, reference: str, version: str) -> str:
    """`projects/acme/secrets/churn-keys/versions/3`."""
    whole = reference if "/" in reference else f"projects/{door.project}/secrets/{reference}"
    return f"{whole}/versions/{version}"


def in_secret_manager(door: Door, reference: str) -> str:
    """As gcloud takes it: `churn-keys --project=acme`."""
    project, _, name = reference.removeprefix("projects/").rpartition("/secrets/")
    return f"{name} --project={project or door.project}"


def _newest(door: Door, variable: str, reference: str) -> str:
    if not _NAME.fullmatch(reference):
        raise MlshipError(
            f"{reference} is no name of a secret",
            f"secrets.{variable}.gcp",
            f"write secrets: {{{variable}: {{gcp: churn-keys}}}}",
            code="bad-secret",
        )
    try:
        told = door.http("GET", f"{HOST}/{version_name(door, reference, 'latest')}")
    except Refused as no:
        if no.code == MISSING:
            raise MlshipError(
                f"Secret Manager has no secret {reference} with a version in {door.project}",
                f"secrets.{variable}.gcp",
                f"gcloud secrets create {in_secret_manager(door, reference)} --data-file=-",
                code="missing-secret",
            ) from None
        raise
    if told.get("state") != "ENABLED":
        raise MlshipError(
            f"the newest version of the secret {reference} is {str(told.get('state', '')).lower()}",
            f"secrets.{variable}.gcp",
            f"gcloud secrets versions add {in_secret_manager(door, reference)} --data-file=-",
            exit=Exit.USAGE,
            code="disabled-secret",
        )
    return str(told["name"]).rpartition("/")[2]
