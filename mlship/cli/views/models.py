"""A model in one line, and what belongs to it."""

from __future__ import annotations

from mlship.cli.views.text import columns, lines
from mlship.flows.building.results import ModelReport
from mlship.units import size_text

NAMES = {
    "sklearn": ("scikit-learn", "scikit-learn"),
    "python": ("your own class", ""),
    "xgboost": ("XGBoost", "xgboost"),
    "lightgbm": ("LightGBM", "lightgbm"),
    "catboost": ("CatBoost", "catboost"),
    "onnx": ("ONNX, onnxruntime", "onnxruntime"),
    "torch": ("PyTorch", "torch"),
}


def model_line(model: ModelReport) -> str:
    """`churn   scikit-learn 1.9.1 Pipeline, 4 features (2 text, 1 nullable)   models/churn.joblib 12 MB`."""
    name, package = NAMES.get(model.framework, (model.framework, model.framework))
    version = model.versions.get(package) or model.versions.get(f"{package}-cpu", "")
    kind = " ".join(part for part in (name, version, model.title) if part)
    return f"{model.name}   {', '.join(part for part in (kind, model.inputs) if part)}   {model.path} {size_text(model.size)}"


def own_code(model: ModelReport) -> str:
    """What pins it at its source, code and trusted names, each for a line of its own; empty when there is nothing of them."""
    return lines(
        columns(
            [
                *([["version", model.source_version]] if model.source_version else []),
                *([["own code", ", ".join(model.code)]] if model.code else []),
                *([["trusted", ", ".join(model.trust)]] if model.trust else []),
                *([["sample", f"{model.sample} row{'s' if model.sample != 1 else ''}"]] if model.sample else []),
            ]
        )
    )
