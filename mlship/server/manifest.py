"""The contract between the image builder and the server: what manifest.json says.

Standard library only; the builder writes it with `to_json`, the server reads it with `from_json`.
Paths are relative to the folder of manifest.json, so that an unpacked image runs from anywhere.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

SCHEMA = 1

# dtypes of features and outputs, in numpy's words where numpy has one; `any` is not checked
DTYPES = (
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
    "float16", "float32", "float64", "string", "datetime", "any",
)  # fmt: skip

Container = Literal["frame", "array", "tensors", "list", "columns"]


class ManifestError(ValueError):
    """The file is not a manifest that this server understands; the message says why and what to do."""


@dataclass(frozen=True)
class Feature:
    """One input column.

    dtype: one of DTYPES. nullable: null and NaN are taken. categories: the closed set of values that a fitted
    encoder knows and would fail without, else None (`handle_unknown="ignore"` leaves the domain open: None).
    shape: of one row's value, -1 where any length is taken; () is a single value. minimum, maximum: seen in the sample, shown in
    /schema, never enforced.
    """

    name: str
    dtype: str = "float64"
    nullable: bool = False
    categories: tuple[Any, ...] | None = None
    minimum: float | None = None
    maximum: float | None = None
    shape: tuple[int, ...] = ()


@dataclass(frozen=True)
class Output:
    """One array of the answer: `predictions`, `probabilities`, ...; shape is that of one row (() is a scalar)."""

    name: str
    dtype: str = "any"
    shape: tuple[int, ...] = ()
    classes: tuple[Any, ...] | None = None


@dataclass(frozen=True)
class Signature:
    """What goes in and what comes out.

    container: what the model's method receives: `frame` (pandas.DataFrame with named columns), `array` (numpy, rows by
    features), `tensors` (feature name -> numpy array of shape (rows, *shape) in its dtype, in their order), `columns` (one
    sequence of values for each feature, for a compiled model) or `list` (the rows as they came, for a user's own class). named:
    the model knows its features by name.
    inputs is empty for a model whose features are not known; then rows are not checked. tensor: what the model itself calls the
    one tensor that all its features make, or ``.
    """

    inputs: tuple[Feature, ...] = ()
    outputs: tuple[Output, ...] = ()
    container: Container = "array"
    named: bool = False
    tensor: str = ""


@dataclass(frozen=True)
class Tolerance:
    """|a - b| <= atol + rtol * |b|; classes are compared exactly."""

    rtol: float = 1e-6
    atol: float = 1e-9


@dataclass(frozen=True)
class Histogram:
    """How the values of one feature, or the predictions, were spread over bins; live rows are counted in the same ones.

    kind: `number`: bins between neighbouring `edges`, each with its upper one; what is below the first edge and above the last is
    counted apart. `length`: the same, of a text's characters. `category`: a bin for each of `values`, and one for all others.
    counts: rows in each bin, in the order of server/monitoring/drift_index.py, those without a value last.
    """

    kind: Literal["number", "length", "category"]
    counts: tuple[int, ...]
    edges: tuple[float, ...] = ()
    values: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Reference:
    """What model.reference looks like to the model: rows that were counted, and their histograms.

    features: by name; left out are those that are arrays or moments of time. predictions: None where an answer is neither a number
    nor a class.
    """

    rows: int
    features: dict[str, Histogram] = field(default_factory=dict)
    predictions: Histogram | None = None


ORIGINAL = "original"


@dataclass(frozen=True)
class Engine:
    """What computes the answers. name: `original`, or what the model was compiled for: `numpy`, `trees`, `onnx`, `int8`.

    sha256: of the compiled file, which lies at the model's path. rows: on how many its answers were the original's when it was
    compiled.
    """

    name: str = ORIGINAL
    sha256: str = ""
    rows: int = 0


@dataclass(frozen=True)
class Model:
    """One model in the image.

    framework: `sklearn` or `python`. format: `joblib`, `pickle`, `skops` or `none`. path: file or folder.
    sha256: of the file; of a folder, the sha256 over its sorted `sha256  path` lines. trust: exact names beside the framework's.
    loader: `module:Class` for framework python. method: what to call; `` is predict with what the model gives beside it.
    sample: rows as objects by feature name, as lists in the signature's order, or as bare values.
    outputs: name -> `output` or `output[position]` of what the model gives. passthrough: names that go from row to answer.
    extra: `refuse` or `ignore`, for other names in a row. hooks: file below the code folder, or ``.
    """

    name: str
    framework: str
    format: str
    path: str
    sha256: str
    trust: tuple[str, ...] = ()
    loader: str = ""
    method: str = ""
    signature: Signature = Signature()
    sample: tuple[Any, ...] = ()
    tolerance: Tolerance = Tolerance()
    outputs: dict[str, str] = field(default_factory=dict)
    passthrough: tuple[str, ...] = ()
    extra: Literal["refuse", "ignore"] = "refuse"
    hooks: str = ""
    engine: Engine = Engine()
    reference: Reference | None = None

    @property
    def runtime(self) -> str:
        """What loads it: a name of server/runtimes."""
        return self.framework if self.engine.name == ORIGINAL else self.engine.name


@dataclass(frozen=True)
class Jwt:
    """Bearer tokens of an identity provider.

    jwks: where its public keys are, a URL or `secret:NAME`. claim: where a token names its roles, dotted where it is nested.
    roles: ours (predict, metrics) -> the provider's word in that claim; empty: every good token may predict.
    """

    issuer: str
    audience: str
    jwks: str
    claim: str = "roles"
    roles: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Auth:
    """Who may call. api_keys: the variable with the keys, empty for none. metrics: who may read /metrics: `role` or `open`."""

    api_keys: str = ""
    jwt: Jwt | None = None
    metrics: str = "role"


@dataclass(frozen=True)
class Serving:
    """How the server answers; times in seconds, sizes in bytes; workers 0: one a core.

    invocations: whose wire format /invocations speaks where the body does not tell. batch_rows: at most in one call of a model, 0:
    as many as gain from it. batch_delay_s: how long a call may wait for others. gpus: that a server has, with a worker on each;
    0: models are on the CPU.
    """

    protocols: tuple[str, ...] = ("native", "v2", "sagemaker", "vertex", "azureml")
    request_timeout_s: float = 2.0
    startup_timeout_s: float = 60.0
    max_body: int = 4_000_000
    workers: int = 0
    invocations: Literal["sagemaker", "mlflow"] = "sagemaker"
    batch_rows: int = 0
    batch_delay_s: float = 0.0
    gpus: int = 0

    auth: Auth | None = None


@dataclass(frozen=True)
class Manifest:
    """Everything that the server needs to know; mlship: the version that wrote it. code: folder put on sys.path."""

    project: str
    models: tuple[Model, ...]
    serving: Serving = Serving()
    mlship: str = ""
    code: str = "code"
    schema: int = SCHEMA

    def model(self, name: str | None = None) -> Model:
        """The named model, or the first. Raises KeyError."""
        if name is None:
            return self.models[0]
        for model in self.models:
            if model.name == name:
                return model
        raise KeyError(name)


def to_json(manifest: Manifest) -> bytes:
    """Canonical bytes: the same manifest is always the same file. A model without a reference has no word of it."""
    document = asdict(manifest)
    for entry in document["models"]:
        if entry["reference"] is None:
            del entry["reference"]
    return json.dumps(document, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False).encode() + b"\n"


def from_json(raw: bytes) -> Manifest:
    """Reads what `to_json` of this or an older version wrote. Raises ManifestError."""
    try:
        document = json.loads(raw)
        schema = document["schema"]
    except (ValueError, KeyError, TypeError):
        raise ManifestError("manifest.json is not a manifest; build the image again") from None
    if not isinstance(schema, int) or schema > SCHEMA:
        wrote = document.get("mlship") or "a newer version"
        raise ManifestError(f"manifest.json was written by mlship {wrote}; upgrade mlship")
    try:
        return Manifest(
            project=document["project"],
            models=tuple(_model(entry) for entry in document["models"]),
            serving=_serving(document["serving"]),
            mlship=document.get("mlship", ""),
            code=document.get("code", "code"),
            schema=schema,
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ManifestError(f"manifest.json is damaged ({error}); build the image again") from None


def signature_from_dict(document: dict[str, Any]) -> Signature:
    """The inverse of `dataclasses.asdict` after a trip through JSON."""
    return Signature(
        inputs=tuple(
            Feature(**{**entry, "categories": _maybe_tuple(entry.get("categories")), "shape": tuple(entry.get("shape", ()))})
            for entry in document["inputs"]
        ),
        outputs=tuple(
            Output(**{**entry, "shape": tuple(entry.get("shape", ())), "classes": _maybe_tuple(entry.get("classes"))})
            for entry in document["outputs"]
        ),
        container=document["container"],
        named=document["named"],
        tensor=document.get("tensor", ""),
    )


def reference_from_dict(document: dict[str, Any] | None) -> Reference | None:
    """The inverse of `dataclasses.asdict` after a trip through JSON."""
    if document is None:
        return None
    features = {name: _histogram(entry) for name, entry in document["features"].items()}
    predictions = document["predictions"]
    return Reference(document["rows"], features, None if predictions is None else _histogram(predictions))


def _histogram(entry: dict[str, Any]) -> Histogram:
    return Histogram(entry["kind"], tuple(entry["counts"]), tuple(entry["edges"]), tuple(entry["values"]))


def _model(entry: dict[str, Any]) -> Model:
    return Model(
        **{
            **entry,
            "trust": tuple(entry.get("trust", ())),
            "signature": signature_from_dict(entry["signature"]),
            "sample": tuple(entry.get("sample", ())),
            "tolerance": Tolerance(**entry.get("tolerance", {})),
            "passthrough": tuple(entry.get("passthrough", ())),
            "engine": Engine(**entry.get("engine", {})),
            "reference": reference_from_dict(entry.get("reference")),
        }
    )


def _serving(entry: dict[str, Any]) -> Serving:
    return Serving(**{**entry, "protocols": tuple(entry["protocols"]), "auth": _auth(entry.get("auth"))})


def _auth(entry: dict[str, Any] | None) -> Auth | None:
    if entry is None:
        return None
    jwt = entry.get("jwt")
    return Auth(**{**entry, "jwt": None if jwt is None else Jwt(**jwt)})


def _maybe_tuple(values: list[Any] | None) -> tuple[Any, ...] | None:
    return None if values is None else tuple(values)
