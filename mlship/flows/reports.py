"""Models in words, for results. Pure."""

from __future__ import annotations

from mlship.flows.results import ModelReport
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
    )
