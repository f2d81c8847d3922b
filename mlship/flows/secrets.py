"""secrets and targets.docker.tls: read where mlship.yaml says, judged before anything changes, shown nowhere."""

from __future__ import annotations

import secrets
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mlship.config.project import Project
from mlship.config.secrets import PLACES, REFERENCE, STORES, WITH_SECRETS, Source, named_by, source_of
from mlship.errors import Finding, FindingsError
from mlship.flows.context import Context
from mlship.masks import learn
from mlship.targets.base import OPERATOR_KEY, Certificate, Deployment
from mlship.targets.docker.certificate import WARN_BEFORE_S, Unfit, certificate_from, validity

LONGEST = 64 * 2**10  # bytes of a value; what the keeper takes, too
WITH_FRONT = "docker"  # the target that has a certificate


@dataclass(frozen=True)
class Given:
    """values: for the model's code. certificate: for the front, whose key the model does not get.

    references: instead of values, where the platform reads them itself; places: where they stand in mlship.yaml.
    """

    values: Mapping[str, str] = field(default_factory=dict, repr=False)
    certificate: Certificate | None = None
    findings: tuple[Finding, ...] = ()
    references: Mapping[str, str] = field(default_factory=dict)
    places: Mapping[str, str] = field(default_factory=dict)


def read_secrets(context: Context, project: Project) -> Given:
    """What is missing or cannot serve stands in `findings`, and what was found of it in none of them."""
    if project.target in STORES:
        return _referred(project)
    values: dict[str, str] = {}
    findings: list[Finding] = []
    for name in wanted_names(project):
        try:
            values[name] = _value(context, project, name)
        except _Missing as missing:
            findings.append(missing.finding)
    tls = project.targets.docker.tls if project.target == WITH_FRONT else None
    certificate = None
    if tls is not None:
        key = values.pop(named_by(tls.key), "")
        certificate, said = _certificate(project, tls.cert, key, context.clock()) if key else (None, ())
        findings += said
    if is_closed(project):
        values[OPERATOR_KEY] = secrets.token_urlsafe(32)
        learn(values[OPERATOR_KEY])
    return Given(values, certificate, tuple(findings))


def read_here(context: Context, project: Project) -> Given:
    """For a server on this machine: what a cloud keeps in its store is read where the file says it for the target local."""
    return read_secrets(context, replace(project, target="local") if project.target in STORES else project)


def wanted_names(project: Project) -> list[str]:
    """The secrets that this target needs, that of the front's certificate too. On this machine a model may do without those

    that have no place for it; the keys of callers are needed wherever callers are judged. Pure.
    """
    if project.target not in WITH_SECRETS:
        return []
    needed = _of_callers(project)
    if project.target == WITH_FRONT:
        return sorted(project.secrets)
    return sorted(name for name, places in project.secrets.items() if project.target in places or name in needed)


def references_of(project: Project) -> dict[str, str]:
    """variable -> where its value stands in the secret store of the target's platform; empty where there is none. Pure."""
    target = project.target
    return {name: at[target] for name, at in sorted(project.secrets.items()) if target in STORES and target in at}


def names_for_release(project: Project) -> list[str]:
    """The secrets that a release of it has, mlship's own key too. Pure."""
    if project.target in STORES:
        return sorted(references_of(project))
    tls = project.targets.docker.tls if project.target == WITH_FRONT else None
    names = set(wanted_names(project)) - ({named_by(tls.key)} if tls else set())
    return sorted(names | ({OPERATOR_KEY} if is_closed(project) else set()))


def first_versions(project: Project) -> dict[str, str]:
    """Of the secrets that the model gets: no value is read, and no store is asked which version is its newest: `${KEY}`. Pure."""
    names = names_for_release(project)
    return {name: f"${{{name}}}" for name in names} if project.target in STORES else dict.fromkeys(names, "1")


def is_closed(project: Project) -> bool:
    """Whether callers are judged, on a target that can keep the key with which mlship itself asks. Pure."""
    return project.serve.auth is not None and project.target in WITH_SECRETS


def _referred(project: Project) -> Given:
    """A secret of the callers is needed wherever they are judged."""
    target, found = project.target, references_of(project)
    findings = [
        Finding(
            f"the secret {name} has no place for the target {target}",
            project.at(f"secrets.{name}"),
            f"write {name}: {{{target}: {PLACES[target]}}}",
            code="missing-secret",
        )
        for name in sorted(_of_callers(project) - set(found))
    ]
    places = {name: project.at(f"secrets.{name}.{target}") for name in found}
    return Given(references=found, places=places, findings=tuple(findings))


def _of_callers(project: Project) -> set[str]:
    auth = project.serve.auth
    references = (auth.api_keys, auth.jwt.jwks if auth.jwt else None) if auth else ()
    return {named_by(text) for text in references if text and text.startswith(REFERENCE)}


def refuse_missing(project: Project, given: Given) -> None:
    """Raises FindingsError with all of them when one is an error."""
    errors = [finding for finding in given.findings if finding.severity == "error"]
    if errors:
        count = "a secret is" if len(errors) == 1 else f"{len(errors)} secrets are"
        raise FindingsError(f"{project.name} cannot be deployed: {count} not as needed", given.findings, code="missing-secret")


def with_secrets(deployment: Deployment, given: Given) -> Deployment:
    """The deployment with the values at hand; only the certificate's name gets into what is recorded. Pure."""
    if given.certificate is None:
        return replace(deployment, secrets=given.values)
    tls = {**(deployment.settings.get("tls") or {}), "certificate": given.certificate.name}
    settings: dict[str, Any] = {**deployment.settings, "tls": tls}
    return replace(
        deployment,
        secrets=given.values,
        certificate=given.certificate,
        settings=settings,
        operating={**deployment.operating, "settings": settings},
    )


class _Missing(Exception):
    """A secret without a value."""

    def __init__(self, what: str, where: str, fix: str) -> None:
        super().__init__(what)
        self.finding = Finding(what, where, fix, code="missing-secret")


def _value(context: Context, project: Project, name: str) -> str:
    """Raises _Missing."""
    target = project.target
    where = project.at(f"secrets.{name}.{target}")
    if target not in project.secrets[name]:
        raise _Missing(f"the secret {name} has no place for the target {target}", where, f"write {name}: {{{target}: env}}")
    source = source_of(name, project.secrets[name][target])
    raw = _from_file(project.root / source.at, source, where) if source.kind == "file" else _from_env(context, source, where)
    if len(raw) > LONGEST:
        raise _Missing(
            f"{source} has more than {LONGEST // 1024} KiB", where, "a secret is a short text: keep the rest elsewhere"
        )
    if not raw:
        raise _Missing(f"{source} is empty", where, "give it a value, or delete the secret")
    if b"\0" in raw:
        raise _Missing(f"{source} has a NUL in it, which no variable can have", where, "encode it, for example with base64")
    try:
        value = raw.decode()
    except UnicodeDecodeError:
        raise _Missing(f"{source} is not text in UTF-8", where, "encode it, for example with base64") from None
    learn(value)
    return value


def _from_env(context: Context, source: Source, where: str) -> bytes:
    value = context.environ.get(source.at)
    if value is None:
        raise _Missing(f"{source} is not set", where, f"set {source.at} in the environment of this command")
    return value.encode(errors="surrogateescape")


def _from_file(path: Path, source: Source, where: str) -> bytes:
    """One line feed at the end is the editor's, not the secret's."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise _Missing(f"{source} is not a regular file", where, "name a file")
        with path.open("rb") as file:
            raw = file.read(LONGEST + 2)
    except OSError as error:
        raise _Missing(f"{source} cannot be read: {error.strerror}", where, "write the file, or name another one") from None
    return raw.removesuffix(b"\n").removesuffix(b"\r") if raw.endswith(b"\n") else raw


def _certificate(project: Project, cert: str, key: str, now: float) -> tuple[Certificate | None, tuple[Finding, ...]]:
    places = {"cert": project.at("targets.docker.tls.cert"), "key": project.at("targets.docker.tls.key")}
    try:
        text = _from_file(project.root / cert, Source("file", cert), places["cert"]).decode(errors="replace")
        certificate = certificate_from(text, key)
        valid = validity(certificate)
    except _Missing as missing:
        return None, (missing.finding,)
    except Unfit as unfit:
        return None, (Finding(str(unfit), places[unfit.whose], unfit.fix, code="certificate"),)
    return certificate, _times(valid.begins, valid.ends, now, places["cert"])


def _times(begins: float, ends: float, now: float, where: str) -> tuple[Finding, ...]:
    fix = "renew it, and deploy: the front takes the new one without a new release"
    if now >= ends:
        return (Finding(f"the certificate ended {_days(now - ends)} ago", where, fix, code="certificate-ended"),)
    if now < begins:
        what = f"the certificate begins only in {_days(begins - now)}"
        return (Finding(what, where, "wait, or use another one", code="certificate-ended"),)
    if ends - now < WARN_BEFORE_S:
        return (Finding(f"the certificate ends in {_days(ends - now)}", where, fix, "warning", "certificate-ends"),)
    return ()


def _days(seconds: float) -> str:
    days = int(seconds // 86_400)
    return "less than a day" if not days else "a day" if days == 1 else f"{days} days"
