"""What the file may say and mlship does not do yet: refused by name, so that nothing is ignored silently.

BUILT names every key that is honoured. A key of the schema that is not in it is refused as soon as it is set to something
other than its default; so a new key is refused until somebody builds it and adds it here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, get_args

from msgspec import Struct

from mlship.config.facts import Facts, Problem, models_of
from mlship.config.schema import Document, TargetName
from mlship.config.secrets import STORES, WITH_SECRETS
from mlship.config.shapes import Section, section
from mlship.config.validate import DOCUMENT
from mlship.config.words import clipped, either

# A section here means all of its keys. `models` stands for the keys of `model`.
BUILT = frozenset(
    (
        *("schema", "name", "target", "labels", "environments", "env", "secrets"),
        *("model.uri", "model.framework", "model.code", "model.trust", "model.loader"),
        *("model.sample", "model.tolerance", "model.engine", "model.write_back"),
        *("model.reference", "model.holdout", "model.golden", "model.quantize"),
        *("serve.protocols", "serve.method", "serve.request_timeout", "serve.startup_timeout", "serve.max_body"),
        *("serve.workers", "serve.outputs", "serve.passthrough", "serve.extra", "serve.hooks", "serve.invocations"),
        "serve.batching",
        "monitoring",
        *("serve.auth", "resources.cpu", "resources.memory", "resources.gpu.count", "rollout"),
        *("scale.replicas", "scale.metric", "scale.per_replica", "scale.down_after"),
        *("build.python", "build.requirements", "build.packages", "build.base", "build.mirror", "build.platforms"),
        *("build.whole", "build.max_size", "build.allow_secrets"),
        *("build.compression", "targets.local", "targets.docker"),
        *("cost", "slo.p99", "targets.aws", "targets.gcp", "targets.azure", "targets.kubernetes"),
    )
)

PRICED_TARGETS = ("aws", "gcp", "azure", "kubernetes")  # somebody bills them; where nobody deploys yet, that is refused then
OF_CLOUDS = ("resources.gpu.type", "public", "scale.schedule")  # mean something only there; a service may refuse one

# Keys that are built for some of their values.
VALUES: Mapping[str, tuple[str, ...]] = {
    "model.framework": (
        "sklearn",
        "python",
        "xgboost",
        "lightgbm",
        "catboost",
        "onnx",
        "torch",
        "transformers",
        "tensorflow",
        "keras",
        "mlflow",
    ),
    "model.engine": ("auto", "original", "numpy", "trees", "onnx"),
    "serve.protocols": ("native", "v2", "sagemaker", "vertex", "azureml", "mlflow", "tfserving"),
    "scale.metric": ("concurrency", "rps", "cpu", "queue"),
}

# What to do instead, where deleting the key is not the whole answer.
INSTEAD: Mapping[str, str] = {
    "public": "delete it and put a proxy of your own in front",
    "resources.gpu.type": "write gpu: 1; the GPUs of your own machine are taken as they are",
    "build.sign": "delete it, and sign the digest that `mlship build --json` names with a tool of your own",
    "build.provenance": "delete it; `mlship build --sbom DIR` writes what the image consists of",
    "scale.schedule": "delete it, and let a range of scale.replicas follow the load",
}


def problems(facts: Facts) -> Iterator[Problem]:
    """Every set key and value of the document that is not built yet."""
    target, values = facts.document.target, _values(facts.document)
    yield from _unbuilt_keys(facts.document, DOCUMENT, (), target, values)
    for path, model in models_of(facts):
        yield from _unbuilt_keys(model, section(type(model)), path, target, values)
    yield from _unbuilt_sources(facts)
    yield from _unbuilt_counts(facts)


def is_built(path: tuple[str, ...]) -> bool:
    """Whether a key of the schema is honoured, for some value at least. `*` stands for a name of the user's own."""
    dotted = _built_name(path)
    parents = (dotted[:end] for end in range(len(dotted)) if dotted[end] == ".")
    return dotted in BUILT or _has_built_keys(dotted) or any(parent in BUILT for parent in parents)


def _values(said: Document) -> Mapping[str, tuple[str, ...]]:
    """With those that one service alone has."""
    is_vertex = said.target == "gcp" and said.targets.gcp.service == "vertex"
    return {**VALUES, "scale.metric": (*VALUES["scale.metric"], "gpu")} if is_vertex else VALUES


def _unbuilt_keys(
    said: Struct, shape: Section, path: tuple[str, ...], target: str, values: Mapping[str, tuple[str, ...]]
) -> Iterator[Problem]:
    for name, key in shape.keys.items():
        value = getattr(said, name)
        spot = (*path, name)
        dotted = _built_name(spot)
        if name in ("model", "models") or value == key.default:
            continue
        if dotted in values:
            yield from _unbuilt_values(spot, value, values[dotted])
        elif dotted in BUILT or (dotted in OF_CLOUDS and target in PRICED_TARGETS):
            continue
        elif isinstance(value, Struct) and _has_built_keys(dotted):
            yield from _unbuilt_keys(value, section(type(value)), spot, target, values)
        else:
            yield Problem(spot, "this key is not yet built", INSTEAD.get(dotted, "delete it"), "not-yet")


def _built_name(path: tuple[str, ...]) -> str:
    """The dotted key as BUILT writes it: the keys of every model are those of `model`."""
    return ".".join(("model", *path[2:]) if path[:1] == ("models",) else path)


def _has_built_keys(dotted: str) -> bool:
    return any(key.startswith(f"{dotted}.") for key in BUILT)


def _unbuilt_values(path: tuple[str, ...], value: Any, built: tuple[str, ...]) -> Iterator[Problem]:
    said = value if isinstance(value, tuple) else (value,)
    for item in said:
        if item not in built:
            spot = (*path, item) if isinstance(value, tuple) else path
            kind = path[-1].removesuffix("s")
            yield Problem(spot, f"{kind} {clipped(str(item))} is not yet built", f"write {either(built)}", "not-yet")


def _unbuilt_sources(facts: Facts) -> Iterator[Problem]:
    """Sources for another target are read when that target is; until then nobody would notice a mistake in them."""
    for name, sources in facts.document.secrets.items():
        for target in sources:
            if target in get_args(TargetName) and target not in (*WITH_SECRETS, *STORES):
                what = f"secrets for the target {target} are not yet built"
                yield Problem(("secrets", name, target), what, "delete it, and write docker: env", "not-yet")


def _unbuilt_counts(facts: Facts) -> Iterator[Problem]:
    said = facts.document
    if said.scale.replicas.min == 0 and said.target not in PRICED_TARGETS:
        most = max(said.scale.replicas.max, 1)
        fix = f"write {f'1..{most}' if most > 1 else 1}; mlship destroy ends a service that is not needed"
        yield Problem(("scale", "replicas"), "scaling to zero is not yet built", fix, "not-yet")
