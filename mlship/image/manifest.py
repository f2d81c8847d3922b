"""(Project, ModelSpecs, what loading told) -> the manifest inside the image. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import PurePosixPath
from typing import Any

from mlship.config.project import Project
from mlship.config.secrets import named_by
from mlship.frameworks.base import ModelSpec
from mlship.server.manifest import Auth, Engine, Jwt, Manifest, Model, Reference, Serving, Signature


def model_path(spec: ModelSpec) -> str:
    """Where the model lies below the manifest's folder: the file itself, or the folder of a model of several files."""
    folder = PurePosixPath("models") / spec.name
    return str(folder / spec.files[0].name) if len(spec.files) == 1 and "/" not in spec.files[0].name else str(folder)


def model_entry(spec: ModelSpec, signature: Signature | None = None, reference: Reference | None = None) -> Model:
    """The manifest's entry of one model; without a signature before the model was loaded for the first time."""
    return Model(
        name=spec.name,
        framework=spec.framework,
        format=spec.format,
        path=model_path(spec),
        sha256=spec.sha256,
        trust=spec.trust,
        loader=spec.loader,
        method=spec.method,
        signature=signature or Signature(),
        sample=spec.sample,
        tolerance=spec.tolerance,
        outputs=dict(spec.outputs),
        passthrough=spec.passthrough,
        extra=spec.extra,
        hooks=spec.hooks,
        engine=Engine(spec.engine.name, spec.engine.sha256, spec.engine.rows),
        reference=reference,
    )


def serving(project: Project) -> Serving:
    return Serving(
        protocols=project.serve.protocols,
        request_timeout_s=project.serve.request_timeout.seconds,
        startup_timeout_s=project.serve.startup_timeout.seconds,
        max_body=project.serve.max_body.bytes,
        batch_rows=project.serve.batching.max_rows or 0,
        batch_delay_s=project.serve.batching.max_delay.seconds,
        invocations=project.serve.invocations,
        workers=0 if project.serve.workers == "auto" else int(project.serve.workers),
        auth=auth(project),
        gpus=gpus(project),
    )


def gpus(project: Project) -> int:
    """Of one replica."""
    return project.resources.gpu.count if project.resources.gpu else 0


def auth(project: Project) -> Auth | None:
    """Who may call, by the names of secrets; no value of one is here."""
    said = project.serve.auth
    if said is None:
        return None
    roles = {str(role): word for role, word in said.jwt.roles.items()} if said.jwt else {}
    jwt = Jwt(said.jwt.issuer, said.jwt.audience, said.jwt.jwks, said.jwt.claim, roles) if said.jwt else None
    return Auth(named_by(said.api_keys or ""), jwt, said.metrics)


def serving_as_data(project: Project) -> dict[str, Any]:
    """What the records of a release say of its serving configuration."""
    return {**asdict(serving(project)), "methods": {name: project.serve.method or "" for name, _ in project.models}}


def manifest(
    project: Project,
    specs: tuple[ModelSpec, ...],
    signatures: Mapping[str, Signature],
    version: str,
    references: Mapping[str, Reference | None] | None = None,
) -> Manifest:
    """version: mlship's own. signatures, references: by model name; none of the latter where models were not asked for one."""
    compared = references or {}
    return Manifest(
        project=project.name,
        models=tuple(model_entry(spec, signatures[spec.name], compared.get(spec.name)) for spec in specs),
        serving=serving(project),
        mlship=version,
    )
