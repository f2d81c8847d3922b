"""What would make a deployment fail and can be known before anything is changed: who we are, what may be done, what is switched on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mlship.errors import Exit, Finding, MlshipError
from mlship.targets.base import Deployment
from mlship.targets.caller import Caller
from mlship.targets.gcp.door import DENIED, MISSING, Door, Refused
from mlship.targets.gcp.given import Given, given
from mlship.targets.gcp.resources import findings as impossible
from mlship.targets.gcp.scope import impossible_labels
from mlship.targets.gcp.secret_versions import HOST as SECRETS
from mlship.targets.gcp.secret_versions import in_secret_manager, version_name
from mlship.targets.refusals import refused
from mlship.units import size_text

_SECTION = "targets.gcp"
_ACT_AS = "iam.serviceAccounts.actAs"
_STORAGE = ("storage.objects.get", "storage.objects.create", "storage.objects.delete")
_BUCKETS = ("storage.buckets.list", "storage.buckets.create")
# the last one: images of releases that are let go are taken away
_REGISTRY = (
    *(f"artifactregistry.repositories.{verb}Artifacts" for verb in ("upload", "download")),
    "artifactregistry.tags.get",
    "artifactregistry.versions.delete",
)
_REPOSITORIES = ("artifactregistry.repositories.get", "artifactregistry.repositories.create")
# permission's beginning -> the least of Google's roles that has it (cloud.google.com/iam/docs/roles-permissions, as a public copy of
# the roles tells it: github.com/darkbitio/gcp-iam-role-permissions, read 2026-11; those of secrets, logs, metrics from memory, verify)
_ROLES = {
    "run.": "roles/run.developer",
    "run.routes.": "roles/run.invoker",
    "run.services.setIamPolicy": "roles/run.admin",
    "aiplatform.": "roles/aiplatform.user",
    "artifactregistry.repositories.create": "roles/artifactregistry.admin",
    "artifactregistry.": "roles/artifactregistry.writer",
    "artifactregistry.versions.delete": "roles/artifactregistry.repoAdmin",
    "storage.buckets.": "roles/storage.admin",
    "storage.objects.": "roles/storage.objectUser",
    "iam.serviceAccounts.actAs": "roles/iam.serviceAccountUser",
    "secretmanager.": "roles/secretmanager.admin",
    "logging.": "roles/logging.viewer",
    "monitoring.": "roles/monitoring.viewer",
}


@dataclass(frozen=True)
class Needs:
    """Of one service. apis: `run.googleapis.com`; permissions: on the project."""

    apis: tuple[str, ...]
    permissions: tuple[str, ...]


@dataclass(frozen=True)
class Quota:
    """What so many replicas take of one. metric: as Service Usage calls it; unit: for people, `milli vCPU`."""

    metric: str
    needed: float
    unit: str


def guard(door: Door, deployment: Deployment) -> None:
    """All calls go to the project that mlship.yaml says; two that differ are somebody's mistake. Raises MlshipError with exit 8."""
    wanted = str(deployment.settings.get("project") or "")
    if wanted and door.project != wanted:
        raise MlshipError(
            f"this command is for the project {door.project}, and targets.gcp.project is {wanted}",
            deployment.places.get(f"{_SECTION}.project", ""),
            f"set GOOGLE_CLOUD_PROJECT={wanted}, or correct targets.gcp.project",
            exit=Exit.DENIED,
            code="wrong-project",
        )


def findings(door: Door, deployment: Deployment, needs: Needs) -> tuple[Finding, ...]:
    """Reads only. Raises MlshipError where nobody can be asked, or these credentials have no right in the project at all."""
    guard(door, deployment)
    has = given(deployment)
    return (
        *impossible(deployment),
        *impossible_labels(deployment),
        *_permissions(door, has, deployment, needs),
        *_apis(door, deployment, needs.apis),
        *_parts(door, has, deployment),
        *_secrets(door, deployment),
    )


def too_large_bodies(deployment: Deployment, caller: Caller) -> Iterator[Finding]:
    """Bodies that the file lets in, and that never come as far as the server. Pure."""
    said = int(deployment.release.served.serving.get("max_body") or 0)
    if "serve.max_body" in deployment.places and said > caller.max_body:
        most = size_text(caller.max_body)
        what = f"serve.max_body is {size_text(said)}, and {caller.title} lets no request of more than {most} through"
        found = refused(deployment, "serve.max_body", what, f"write {most}, or send less at a time", "no-effect")
        yield replace(found, severity="warning")


def quota_findings(door: Door, deployment: Deployment, api: str, quotas: Sequence[Quota]) -> Iterator[Finding]:
    """The most replicas count, not those that run. A quota that nobody tells, or that may not be looked at, stops nothing."""
    for quota in quotas:
        limit = _limit(door, api, quota.metric)
        if limit is not None and quota.needed > limit:
            most = deployment.replicas[1]
            what = (
                f"{most} replicas take {quota.needed:g} {quota.unit} of {quota.metric}, and the project has {limit:g} in "
                f"{door.region}"
            )
            fix = f"write fewer in scale.replicas, or ask Google for more of the quota of {api}"
            yield refused(deployment, "scale.replicas", what, fix, "quota")


def _limit(door: Door, api: str, metric: str) -> float | None:
    """Of this region; None where nobody tells, or it is without end."""
    place = f"projects/{door.project}/services/{api}/consumerQuotaMetrics/{metric.replace('/', '%2F')}"
    try:
        told = door.http("GET", f"https://serviceusage.googleapis.com/v1beta1/{place}", None, {"view": "FULL"})
    except Refused:  # also of a metric that it does not know
        return None
    limits = [limit for limit in told.get("consumerQuotaLimits") or () if "/{region}" in str(limit.get("unit", ""))]
    found = [_in_force(limit.get("quotaBuckets") or (), door.region) for limit in limits]
    return min((limit for limit in found if limit >= 0), default=None)


def _in_force(buckets: Sequence[Mapping[str, Any]], region: str) -> float:
    """The most specific one, which comes last; -1 is without end (serviceusage.v1beta1, ConsumerQuotaLimit and QuotaBucket)."""
    own = [bucket for bucket in buckets if (bucket.get("dimensions") or {}) in ({}, {"region": region})]
    return float(own[-1].get("effectiveLimit", 0)) if own else -1.0


def _permissions(door: Door, has: Given, deployment: Deployment, needs: Needs) -> Iterator[Finding]:
    """What is given has its own rights: they need not be the project's."""
    wanted = [*needs.permissions]
    wanted += [] if has.bucket else [*_STORAGE, *_BUCKETS]
    wanted += [] if has.repository else [*_REGISTRY, *_REPOSITORIES]
    url = f"https://cloudresourcemanager.googleapis.com/v3/projects/{door.project}:testIamPermissions"
    try:
        told = door.http("POST", url, {"permissions": wanted}, reads=True)
    except Refused as no:
        if no.code == "api-disabled":
            return
        if no.code in (DENIED, MISSING):
            raise _stranger(door, deployment) from None
        if no.code != "gcp-refused":
            raise
        fix = "go on: what is missing then stops at the step that needs it"
        found = refused(deployment, _SECTION, f"nobody told what these credentials may do: {no.what}", fix, "unknown-rights")
        yield replace(found, severity="warning")
        return
    may = set(told.get("permissions") or ())
    if wanted and not may:
        raise _stranger(door, deployment)
    missing = [one for one in wanted if one not in may]
    if missing:
        what = f"these credentials{_whose(door)} may not {', '.join(missing)} in the project {door.project}"
        yield Finding(what, deployment.places.get(_SECTION, ""), _granting(door, missing), code="denied")


def _stranger(door: Door, deployment: Deployment) -> MlshipError:
    return MlshipError(
        f"these credentials{_whose(door)} have no right in the project {door.project}",
        deployment.places.get(f"{_SECTION}.project", ""),
        "correct targets.gcp.project, or use credentials of that project",
        exit=Exit.DENIED,
        code="wrong-project",
    )


def _granting(door: Door, missing: Sequence[str]) -> str:
    roles = sorted({role for one in missing if (role := role_of(one))})
    member = f"serviceAccount:{door.identity}" if door.identity else "MEMBER"
    if not roles:
        return f"grant them to {member}"
    more = f", and likewise {', '.join(roles[1:])}" if roles[1:] else ""
    return f"gcloud projects add-iam-policy-binding {door.project} --member={member} --role={roles[0]}{more}"


def role_of(permission: str) -> str:
    """The least role that has it; of several beginnings the longest counts."""
    found = [begin for begin in _ROLES if permission.startswith(begin)]
    return _ROLES[max(found, key=len)] if found else ""


def _whose(door: Door) -> str:
    return f" ({door.identity})" if door.identity else ""


def _apis(door: Door, deployment: Deployment, apis: Sequence[str]) -> Iterator[Finding]:
    wanted = [f"projects/{door.project}/services/{api}" for api in apis]
    url = f"https://serviceusage.googleapis.com/v1/projects/{door.project}/services:batchGet"
    told = _asked(lambda: door.http("GET", f"{url}?{'&'.join(f'names={name}' for name in wanted)}"))
    if told is None:
        return
    off = [str(one["name"]).rpartition("/")[2] for one in told.get("services") or () if one.get("state") != "ENABLED"]
    if off:
        what = f"the project {door.project} has {', '.join(off)} switched off"
        yield Finding(what, deployment.places.get(_SECTION, ""), enabling(door, off), code="api-disabled")


def enabling(door: Door, apis: Sequence[str]) -> str:
    return f"gcloud services enable {' '.join(apis)} --project={door.project}"


def _parts(door: Door, has: Given, deployment: Deployment) -> Iterator[Finding]:
    """What mlship.yaml names has to be there. What these credentials may not look at is left to the step that needs it."""
    if has.service_account:
        account = has.service_account
        yield from _part(door, deployment, "service_account", lambda: _as(door, account), (_ACT_AS,))
    if has.repository:
        whole = f"projects/{door.project}/locations/{door.region}/repositories/{has.repository}"
        name = has.repository if "/" in has.repository else whole
        url = f"https://artifactregistry.googleapis.com/v1/{name}:testIamPermissions"
        asked = {"permissions": list(_REGISTRY)}
        yield from _part(door, deployment, "repository", lambda: door.http("POST", url, asked, reads=True), _REGISTRY)
    if has.bucket:
        url = f"https://storage.googleapis.com/storage/v1/b/{has.bucket}/iam/testPermissions"
        query = "&".join(f"permissions={one}" for one in _STORAGE)
        yield from _part(door, deployment, "bucket", lambda: door.http("GET", f"{url}?{query}"), _STORAGE)


def _part(
    door: Door, deployment: Deployment, key: str, ask: Callable[[], Mapping[str, Any]], needed: Sequence[str]
) -> Iterator[Finding]:
    try:
        told = ask()
    except Refused as no:
        if no.code == MISSING:
            said = deployment.settings.get(key)
            what = f"{_SECTION}.{key} {said} is not there"
            yield refused(deployment, f"{_SECTION}.{key}", what, "correct the name, or make it", "no-such-part")
        elif no.code not in (DENIED, "api-disabled"):
            raise
        return
    missing = [one for one in needed if one not in (told.get("permissions") or ())]
    if missing:
        what = f"these credentials{_whose(door)} may not {', '.join(missing)} with {_SECTION}.{key}"
        roles = " and ".join(sorted({role_of(one) for one in missing}))
        yield refused(deployment, f"{_SECTION}.{key}", what, f"grant {roles} on it", "denied")


def default_account(door: Door) -> str:
    """Compute Engine's own of the project: what runs where no account is said (run.v2, serviceAccount)."""
    told = door.http("GET", f"https://cloudresourcemanager.googleapis.com/v3/projects/{door.project}")
    return f"{str(told['name']).rpartition('/')[2]}-compute@developer.gserviceaccount.com"


def default_account_findings(door: Door, deployment: Deployment) -> Iterator[Finding]:
    """Who deploys has to be allowed to act as whoever runs it, also where that is the project's own account."""
    if given(deployment).service_account:
        return
    asked = _asked(lambda: {"account": (account := default_account(door)), **_as(door, account)})
    if asked is not None and _ACT_AS not in (asked.get("permissions") or ()):
        what = f"these credentials{_whose(door)} may not {_ACT_AS} with {asked['account']}, which runs what names no account"
        fix = f"grant {role_of(_ACT_AS)} on it, or write {_SECTION}.service_account, one that you may act as"
        yield refused(deployment, f"{_SECTION}.service_account", what, fix, "denied")


def _as(door: Door, account: str) -> Mapping[str, Any]:
    url = f"https://iam.googleapis.com/v1/projects/-/serviceAccounts/{account}:testIamPermissions"
    return door.http("POST", url, {"permissions": [_ACT_AS]}, reads=True)


def _secrets(door: Door, deployment: Deployment) -> Iterator[Finding]:
    """Each version that the release names has to be there, and enabled; its value is not read."""
    for variable, version in sorted(deployment.release.served.secrets.items()):
        reference = deployment.references.get(variable)
        if reference is None:
            continue  # refused where the documents are made
        name = version_name(door, reference, version)
        key = f"secrets.{variable}.gcp"
        try:
            told = door.http("GET", f"{SECRETS}/{name}")
        except Refused as no:
            if no.code == MISSING:
                fix = f"gcloud secrets versions add {in_secret_manager(door, reference)} --data-file=-"
                yield refused(deployment, key, f"there is no {name}", fix, "missing-secret")
            elif no.code not in (DENIED, "api-disabled"):
                raise
            continue
        if told.get("state") != "ENABLED":
            what = f"{name} is {str(told.get('state', '')).lower()}"
            fix = f"gcloud secrets versions enable {version} --secret={in_secret_manager(door, reference)}"
            yield refused(deployment, key, what, fix, "missing-secret")


def _asked(ask: Callable[[], Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """None where these credentials may not look, or the API that tells is off."""
    try:
        return ask()
    except Refused as no:
        if no.code in (DENIED, MISSING, "api-disabled"):
            return None
        raise
