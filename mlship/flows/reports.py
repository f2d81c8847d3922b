"""Models in words, for results. Pure."""

from __future__ import annotations

from mlship.flows.building.results import ModelReport
from mlship.frameworks.base import Loaded, ModelSpec
from mlship.image.record import RecordedModel
from mlship.server.manifest import Signature


def inputs_line(signature: Signature) -> str:
    """`4 features (2 text, 1 nullable)`; empty when the model does not tell its features."""
    features = signature.inputs
    if not features:
        return ""
    text = sum(feature.dtype == "string" for feature in features)
    nullable = sum(feature.nullable for feature in features)
    details = [f"{text} text"] * bool(text) + [f"{nullable} nullable"] * bool(nullable)
    count = f"{len(features)} feature{'s' if len(features) > 1 else ''}"
    return f"{count} ({', '.join(details)})" if details else count


def spec_report(spec: ModelSpec, loaded: Loaded | None) -> ModelReport:
    """Of a model that was not built yet. loaded: None where nothing loaded it."""
    return ModelReport(
        name=spec.name,
        framework=spec.framework,
        title=loaded.title if loaded else "",
        path=spec.uri,
        size=spec.trained.size,
        sha256=spec.sha256,
        inputs=inputs_line(loaded.signature) if loaded else "",
        sample=len(spec.sample),
        code=tuple(sorted({file.name.partition("/")[0] for file in spec.code})),
        trust=spec.trained.trust,
        versions=dict(loaded.versions if loaded else spec.trained.versions),
        engine=spec.engine,
        source_version=source_version(spec),
    )


def model_report(model: RecordedModel) -> ModelReport:
    return ModelReport(
        name=model.name,
        framework=model.framework,
        title=model.title,
        path=model.path,
        size=model.size,
        sha256=model.sha256,
        inputs=model.inputs,
        sample=len(model.sample),
        code=model.code,
        trust=model.trust,
        versions=model.versions,
        engine=model.engine,
        source_version=model.source_version,
    )


def source_version(spec: ModelSpec) -> str:
    """What pins it at its source; empty for a model of this machine."""
    origin = spec.trained.origin
    return origin.version if origin else ""
