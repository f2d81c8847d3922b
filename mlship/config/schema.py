"""Every key of mlship.yaml: names, types, defaults and one line of meaning each.

The loader, `mlship schema` and the reference are made from these types. A default stands only here.
Keys that are part of the design but not built yet are named in `not_yet.py`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

from mlship.units import Cpu, Duration, Memory, Money

# `wanted` ends the sentence "X is not ..." when a value does not match its pattern; `minimum` and `maximum` bound an amount.
Name = Annotated[
    str,
    Meta(
        pattern=r"^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$",
        description="lower case letters, digits and dashes, at most 40",
        extra={"wanted": "a name: lower case letters, digits and dashes, at most 40, a letter first"},
    ),
]
EnvironmentName = Annotated[
    str,
    Meta(
        pattern=r"^[a-z]([a-z0-9-]{0,18}[a-z0-9])?$",
        extra={"wanted": "an environment's name: lower case letters, digits and dashes, at most 20, a letter first"},
    ),
]
# What labels and tags of every engine and cloud take.
LabelName = Annotated[
    str,
    Meta(
        pattern=r"^[a-z]([a-z0-9_.-]{0,61}[a-z0-9])?$",
        extra={"wanted": "a label's name: lower case letters, digits, dots and dashes, at most 63, a letter first"},
    ),
]
LabelValue = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$",
        extra={"wanted": "a label's value: letters, digits, dots, dashes and underscores, at most 63"},
    ),
]
VariableName = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,127}$",
        extra={"wanted": "a variable's name: letters, digits and underscores, at most 128, no digit first"},
    ),
]
VariableValue = Annotated[str, Meta(min_length=0, max_length=32_000)]
DottedName = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)+$",
        extra={"wanted": "one exact dotted name, such as churn.features.Rare (no wildcards)"},
    ),
]
LoaderName = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*:[A-Za-z_][A-Za-z0-9_]*$",
        extra={"wanted": "module:Class, such as churn.model:Churn"},
    ),
]
DebianName = Annotated[
    str,
    Meta(
        pattern=r"^[a-z0-9][a-z0-9+.-]{1,99}$",
        extra={"wanted": "the name of a Debian package, such as libgomp1"},
    ),
]
ProjectPath = Annotated[str, Meta(pattern=r"^[^/~].*$", extra={"wanted": "a path below the project's folder"})]
Reason = Annotated[str, Meta(max_length=200, extra={"wanted": "why it may be there, in a few words"})]
PythonName = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]{0,98}[A-Za-z0-9])?$",
        extra={"wanted": "the name of a Python package, such as scikit-learn"},
    ),
]
OutputName = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$",
        extra={"wanted": "an output's name: letters, digits and underscores, at most 64, no digit first"},
    ),
]
OutputSource = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}(\[(0|[1-9][0-9]{0,5})\])?$",
        extra={"wanted": "an output of the model, or one position of it: probabilities, proba[1]"},
    ),
]
FieldName = Annotated[str, Meta(min_length=1, max_length=200)]
Share = Annotated[
    str,
    Meta(
        pattern=r"^(0\.[0-9]*[1-9][0-9]*|[1-9][0-9]?(\.[0-9]+)?)%$",
        extra={"wanted": "a share above 0 and below 100%, such as 1%"},
    ),
]
ScrapeAddress = Annotated[
    str,
    Meta(
        pattern=r"^(https?://)?(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?):[1-9][0-9]{0,4}$",
        extra={"wanted": "host:port, such as churn.internal:8080; https:// may stand before it"},
    ),
]
Url = Annotated[
    str,
    Meta(
        pattern=r"^https?://(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?)(:[1-9][0-9]{0,4})?(/[!-~]*)?$",
        extra={"wanted": "an address, such as https://hooks.acme.example/mlship"},
    ),
]
_UP_TO_AN_HOUR = {"minimum": Duration(0.001), "maximum": Duration(3600)}
_UP_TO_A_DAY = {"minimum": Duration(0.001), "maximum": Duration(86_400)}
_UP_TO_A_MONTH = {"minimum": Duration(0), "maximum": Duration(30 * 86_400)}
# As the vendors form their names (us-east-1, us-gov-west-1; europe-west1; westeurope): a new region is taken, a city is not.
AwsRegion = Annotated[str, Meta(pattern=r"^[a-z]+(-[a-z]+)+-[0-9]+$", extra={"wanted": "a region of AWS, such as eu-west-1"})]
GcpRegion = Annotated[
    str, Meta(pattern=r"^[a-z]+-[a-z]+[0-9]+$", extra={"wanted": "a region of Google Cloud, such as europe-west1"})
]
AzureRegion = Annotated[str, Meta(pattern=r"^[a-z0-9]+$", extra={"wanted": "a region of Azure, such as westeurope"})]
Arn = Annotated[str, Meta(pattern=r"^arn:aws[a-z-]*:[^ ]+$", extra={"wanted": "an ARN: arn:aws:SERVICE:..."})]
BucketName = Annotated[
    str,
    Meta(
        pattern=r"^[a-z0-9][a-z0-9._-]*[a-z0-9]$",
        extra={"wanted": "the name of a bucket: lower case letters, digits, dots and dashes"},
    ),
]
TargetName = Literal["local", "docker", "aws", "gcp", "azure", "kubernetes", "fake"]


class Part(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A section of the file."""


class Tolerance(Part, frozen=True, kw_only=True):
    """How far a number may be from the build's own answer: |a - b| <= atol + rtol * |b|; classes are compared exactly."""

    rtol: Annotated[float, Meta(ge=0, le=1, description="relative")] = 1e-6
    atol: Annotated[float, Meta(ge=0, description="absolute")] = 1e-9


class Holdout(Part, frozen=True, kw_only=True):
    """Labelled rows that the model has not seen: `test` measures the model, compiled engines are proved on them, int8 is measured."""

    data: Annotated[str, Meta(description="CSV, JSON Lines or Parquet file")]
    label: Annotated[str, Meta(description="the column that the model is to predict")]
    min: Annotated[dict[str, float | str], Meta(description="metric and what it must reach: a number, or baseline - 0.01")] = (
        field(default_factory=dict)
    )


class Quantize(Part, frozen=True, kw_only=True):
    """Smaller numbers inside a neural network, if they cost little."""

    type: Annotated[Literal["int8"], Meta(description="weights and what flows between them in 8 bits")]
    max_loss: Annotated[
        float, Meta(ge=0, le=1, description="of accuracy, AUC or R2 on model.holdout; more fails the build")
    ] = 0.01


class Model(Part, frozen=True, kw_only=True):
    """The trained model."""

    uri: Annotated[
        str,
        Meta(
            description="path of the model, relative to mlship.yaml; or its address: s3://, gs://, az://, models:/, runs:/, dvc://, hf://"
        ),
    ]
    framework: Annotated[str | None, Meta(description="such as sklearn; detected when left out")] = None
    code: Annotated[tuple[str, ...], Meta(description="your own packages that the model needs")] = ()
    trust: Annotated[
        tuple[DottedName, ...], Meta(description="exact names that the safe reader may load besides the framework's")
    ] = ()
    loader: Annotated[
        LoaderName | None,
        Meta(
            description="module:Class: with load(path) and predict(rows), for framework python; a torch.nn.Module, for weights of torch"
        ),
    ] = None
    sample: Annotated[str | None, Meta(description="JSON file with example inputs; verify, warm-up and /docs use it")] = None
    tolerance: Tolerance | None = None
    golden: Annotated[
        str | None,
        Meta(description="hand-written truths that every version must keep: JSON or JSON Lines; `test` asks for them"),
    ] = None
    holdout: Holdout | None = None
    reference: Annotated[
        str | None,
        Meta(description="training rows (CSV, JSON Lines, Parquet): drift is told against them, engines are proved on some"),
    ] = None
    engine: Annotated[
        Literal["auto", "original", "onnx", "numpy", "trees"],
        Meta(description="what computes; auto: the fastest that answers equally"),
    ] = "auto"
    write_back: Annotated[
        bool, Meta(description="tell MLflow's registry what of it is deployed: tags of the version, and the alias deployed")
    ] = False
    quantize: Annotated[Quantize | None, Meta(description="smaller numbers inside a neural ONNX graph; needs holdout")] = None


class Batching(Part, frozen=True, kw_only=True):
    """Requests that arrive together are computed together."""

    max_rows: Annotated[int | None, Meta(ge=1, le=1_000_000, description="rows in one call of the model")] = None
    max_delay: Annotated[
        Duration,
        Meta(description="how long a request may wait for others", extra={"minimum": Duration(0), "maximum": Duration(10)}),
    ] = Duration(0)


class Jwt(Part, frozen=True, kw_only=True):
    """Bearer tokens of an identity provider."""

    issuer: Annotated[str, Meta(description="what a token's iss has to be")]
    audience: Annotated[str, Meta(description="what a token's aud has to be or to have")]
    jwks: Annotated[str, Meta(description="the provider's public keys: an https URL, or secret:NAME")]
    claim: Annotated[str, Meta(description="where a token names its roles, dotted where it is nested")] = "roles"
    roles: Annotated[
        dict[Literal["predict", "metrics"], str],
        Meta(description="the provider's word for each role; left out: every good token may predict"),
    ] = field(default_factory=dict)


class Auth(Part, frozen=True, kw_only=True):
    """Who may call; health and /mlship/release stay open."""

    api_keys: Annotated[str | None, Meta(description="secret:NAME, with one key a line: KEY, NAME:KEY or NAME:ROLE:KEY")] = None
    jwt: Jwt | None = None
    metrics: Annotated[
        Literal["role", "open"], Meta(description="who may read /metrics: callers with the role metrics, or everybody")
    ] = "role"


Protocol = Literal["native", "v2", "sagemaker", "vertex", "azureml", "mlflow", "tfserving"]


class Serve(Part, frozen=True, kw_only=True):
    """How the server answers."""

    protocols: Annotated[tuple[Protocol, ...], Meta(description="wire formats on the one port")] = (
        "native",
        "v2",
        "sagemaker",
        "vertex",
        "azureml",
    )
    method: Annotated[
        Literal["predict", "predict_proba", "decision_function", "transform", "score_samples"] | None,
        Meta(description="the model's method; left out: predict, with probabilities beside it where the model has them"),
    ] = None
    outputs: Annotated[
        dict[OutputName, OutputSource],
        Meta(description="the answer's parts beside predictions, by names of your own, such as proba[1]; others are left out"),
    ] = field(default_factory=dict)
    passthrough: Annotated[
        tuple[FieldName, ...], Meta(description="fields of a row that are no features, copied from request to answer")
    ] = ()
    extra: Annotated[
        Literal["refuse", "ignore"], Meta(description="fields of a row that neither the model nor passthrough knows")
    ] = "refuse"
    hooks: Annotated[str | None, Meta(description="Python file with preprocess(rows), postprocess(answer, rows), or both")] = (
        None
    )
    batching: Batching = Batching()
    request_timeout: Annotated[
        Duration, Meta(description="after this a request is answered with 504", extra=_UP_TO_AN_HOUR)
    ] = Duration(2)
    startup_timeout: Annotated[
        Duration, Meta(description="a release that is not ready by then has failed", extra=_UP_TO_A_DAY)
    ] = Duration(60)
    max_body: Annotated[
        Memory, Meta(description="larger requests get 413", extra={"minimum": Memory(1), "maximum": Memory(10**10)})
    ] = Memory(4_000_000)
    workers: Annotated[int | Literal["auto"], Meta(ge=1, le=1024, description="processes; auto: one a core")] = "auto"
    auth: Annotated[Auth | None, Meta(description="who may call; left out: everybody who reaches the port")] = None
    invocations: Annotated[Literal["sagemaker", "mlflow"], Meta(description="whose wire format /invocations speaks")] = (
        "sagemaker"
    )


class Build(Part, frozen=True, kw_only=True):
    """What goes into the image besides the model."""

    python: Annotated[
        str | None,
        Meta(
            pattern=r"^3\.(0|[1-9][0-9]?)$",
            description='minor version in quotes, such as "3.11"; from the training environment when left out',
            extra={"wanted": 'a minor version of Python, such as "3.11"'},
        ),
    ] = None
    requirements: Annotated[
        str | None,
        Meta(
            description="requirements.txt, uv.lock, poetry.lock, pyproject.toml or environment.yml; the training environment when left out"
        ),
    ] = None
    packages: Annotated[tuple[DebianName, ...], Meta(description="operating-system packages")] = ()
    base: Annotated[str, Meta(description="debian: assembled from signed packages; or an image of a registry")] = "debian"
    whole: Annotated[
        tuple[PythonName, ...],
        Meta(
            description="Python packages of which nothing is left out; of others tests, type stubs, static libraries and docstrings go"
        ),
    ] = ()
    mirror: Annotated[str | None, Meta(description="Debian mirror, where the machine's apt does not tell")] = None
    platforms: Annotated[
        tuple[Literal["linux/amd64", "linux/arm64"], ...] | None, Meta(description="this machine's when left out")
    ] = None
    compression: Annotated[Literal["gzip", "zstd"], Meta(description="of the image's layers")] = "gzip"
    max_size: Annotated[
        Memory | None,
        Meta(
            description="an image that takes more, unpacked, fails the build",
            extra={"minimum": Memory(2**20), "maximum": Memory(2**46)},
        ),
    ] = None
    allow_secrets: Annotated[
        dict[ProjectPath, Reason],
        Meta(description="files that look like secrets and are meant to be in the image, each with the reason"),
    ] = field(default_factory=dict)
    sign: Annotated[bool, Meta(description="sign the image")] = False
    provenance: Annotated[bool, Meta(description="attach SLSA provenance to the image")] = False


class Gpu(Part, frozen=True, kw_only=True):
    """GPUs of one replica; the image gets CUDA builds, and one process serves on each."""

    count: Annotated[int, Meta(ge=1, le=64, description="whole ones")]
    type: Annotated[str | None, Meta(description="such as l4, t4, a100, where the target has several kinds")] = None


class Resources(Part, frozen=True, kw_only=True):
    """What one replica gets."""

    cpu: Annotated[
        Cpu, Meta(description="cores, such as 2, 0.5 or 500m", extra={"minimum": Cpu(10), "maximum": Cpu(1_024_000)})
    ] = Cpu(1000)
    memory: Annotated[
        Memory,
        Meta(description="a replica that needs more is stopped", extra={"minimum": Memory(2**26), "maximum": Memory(2**46)}),
    ] = Memory(2 * 2**30)
    gpu: Gpu | None = None


class Replicas(Part, frozen=True, kw_only=True):
    """From how many to how many."""

    min: Annotated[int, Meta(ge=0, le=10_000)] = 1
    max: Annotated[int, Meta(ge=1, le=10_000)] = 1


class Scheduled(Part, frozen=True, kw_only=True):
    """A floor of replicas at certain times."""

    cron: Annotated[str, Meta(description="minute hour day month weekday")]
    min: Annotated[int, Meta(ge=0, le=10_000)]


class Scale(Part, frozen=True, kw_only=True):
    """How many replicas, and when more."""

    replicas: Replicas = Replicas()
    metric: Annotated[
        Literal["concurrency", "rps", "cpu", "gpu", "queue"], Meta(description="what more replicas are started for")
    ] = "concurrency"
    per_replica: Annotated[float | None, Meta(gt=0, description="of the metric, what one replica should carry")] = None
    down_after: Annotated[Duration, Meta(description="quiet for so long before a replica is stopped", extra=_UP_TO_A_MONTH)] = (
        Duration(300)
    )
    schedule: tuple[Scheduled, ...] = ()


class Slo(Part, frozen=True, kw_only=True):
    """What callers are promised."""

    p99: Annotated[Duration | None, Meta(description="99 of 100 requests are answered within", extra=_UP_TO_AN_HOUR)] = None
    availability: Annotated[
        str | None, Meta(pattern=r"^[0-9]{1,2}(\.[0-9]+)?%$", extra={"wanted": "a share, such as 99.9%"})
    ] = None


class Commitment(Part, frozen=True, kw_only=True):
    """A reservation that you hold already; mlship never buys one."""

    term: Literal["1y", "3y"]
    upfront: Literal["none", "partial", "all"] = "none"


class Traffic(Part, frozen=True, kw_only=True):
    """What the cost estimate assumes."""

    rps: Annotated[float | None, Meta(ge=0, description="requests a second, on average")] = None
    requests_month: Annotated[float | None, Meta(ge=0, description="requests a month; instead of rps")] = None
    peak: Annotated[float | None, Meta(ge=0, description="requests a second, in the busiest hour of a day")] = None
    peak_hour: Annotated[int, Meta(ge=0, le=23, description="with peak: when the busiest hour begins")] = 14
    weekend: Annotated[float, Meta(ge=0, le=10, description="with peak: of a weekday's requests, so many on a weekend's")] = 1.0
    profile: Annotated[
        str | None, Meta(description="CSV of 24, 168 or 8760 hours, requests a second in each; instead of the others")
    ] = None


class Budget(Part, frozen=True, kw_only=True):
    """Above this the estimate ends with exit 9."""

    monthly: Money | None = None
    per_million: Money | None = None


class Cost(Part, frozen=True, kw_only=True):
    """How capacity is bought, and what it may cost."""

    profile: Annotated[Literal["on-demand", "spot", "reserved"], Meta(description="the purchase")] = "on-demand"
    on_demand_base: Annotated[int | None, Meta(ge=0, le=10_000, description="with spot: so many replicas are never spot")] = (
        None
    )
    commitment: Commitment | None = None
    traffic: Traffic | str | None = None
    service_time: Annotated[
        Duration | None,
        Meta(description="of a core for one request; what bench or build measured when left out", extra=_UP_TO_AN_HOUR),
    ] = None
    speeds: Annotated[
        dict[str, Annotated[float, Meta(gt=0, le=1000)]],
        Meta(description="measured speed of one vCPU against the core of service_time, by type, family or service"),
    ] = field(default_factory=dict)
    budget: Budget | None = None
    price_overrides: Annotated[str | None, Meta(description="file with your own prices")] = None


class Rollout(Part, frozen=True, kw_only=True):
    """How a new release takes over."""

    strategy: Annotated[
        Literal["recreate", "rolling", "blue-green", "canary"] | None, Meta(description="the target's own when left out")
    ] = None
    steps: Annotated[
        tuple[Annotated[str, Meta(pattern=r"^([1-9][0-9]?|100)%$", extra={"wanted": "a share, such as 5%"})], ...],
        Meta(description="of a canary: shares of the callers, rising to 100%; 5%, 25%, 100% when left out"),
    ] = ()
    bake: Annotated[Duration | None, Meta(description="how long each step is watched", extra=_UP_TO_A_MONTH)] = None
    min_requests: Annotated[int, Meta(ge=0, description="below it a gate is inconclusive, and the rollout pauses")] = 200
    gates: Annotated[tuple[str, ...], Meta(description='what must hold, such as "p95_ms < 40"')] = ()
    on_fail: Annotated[Literal["rollback", "pause"], Meta(description="when a gate fails")] = "rollback"
    approve: Annotated[Literal["auto", "manual"], Meta(description="who says that it goes on")] = "auto"
    keep: Annotated[int, Meta(ge=1, le=100, description="releases that stay restorable, the live one counted")] = 5
    mirror: Annotated[
        str | None,
        Meta(
            pattern=r"^([1-9]|[1-4][0-9]|50)%$",
            description="before the first step so many requests go to the new release, too; nobody gets its answers",
            extra={"wanted": "a share from 1% to 50%"},
        ),
    ] = None


class Alerts(Part, frozen=True, kw_only=True):
    """What an alert fires at."""

    p95: Annotated[
        Duration | None,
        Meta(description="95 of 100 requests are answered within; slo.p99 has an alert of its own", extra=_UP_TO_AN_HOUR),
    ] = None
    errors: Annotated[Share, Meta(description="of the requests, answered with 5xx")] = "1%"
    refusals: Annotated[Share, Meta(description="of the requests, turned away for want of time or room")] = "5%"
    drift: Annotated[float, Meta(gt=0, le=100, description="population stability index of a feature, with model.reference")] = (
        0.25
    )
    after: Annotated[Duration, Meta(description="wrong for so long before anybody is told", extra=_UP_TO_A_DAY)] = Duration(300)


class Retrain(Part, frozen=True, kw_only=True):
    """An alert that starts a pipeline: a POST with a token, sent by the relay that is rendered beside Alertmanager's file."""

    url: Annotated[Url, Meta(description="such as https://api.github.com/repos/acme/churn/dispatches")]
    token: Annotated[str, Meta(description="file with the token, where the relay runs; read at each call")]
    header: Annotated[
        str,
        Meta(
            pattern=r"^[A-Za-z][A-Za-z0-9-]{0,63}$",
            description="that carries the token; Authorization says Bearer before it",
            extra={"wanted": "the name of a header, such as PRIVATE-TOKEN"},
        ),
    ] = "Authorization"
    body: Annotated[
        str | None, Meta(description="JSON file: what is sent, with {project}, {model} and the like; left out: GitHub's form")
    ] = None
    when: Annotated[
        tuple[Literal["drift", "errors", "slow", "refusals", "down"], ...], Meta(description="the alerts that start it")
    ] = ("drift",)
    once_in: Annotated[Duration, Meta(description="the same alert starts it once in this time", extra=_UP_TO_A_MONTH)] = (
        Duration(6 * 3600)
    )
    port: Annotated[int, Meta(ge=1, le=65535, description="the relay's, on 127.0.0.1")] = 9095


class Monitoring(Part, frozen=True, kw_only=True):
    """What `render --target monitoring` writes for Prometheus, Alertmanager and Grafana."""

    addresses: Annotated[
        tuple[ScrapeAddress, ...],
        Meta(description="where Prometheus finds the service, such as churn.internal:8080; left out: as the target says"),
    ] = ()
    interval: Annotated[
        Duration, Meta(description="between two scrapes", extra={"minimum": Duration(1), "maximum": Duration(120)})
    ] = Duration(15)
    key: Annotated[
        str | None, Meta(description="file with a key of the role metrics, where Prometheus runs; needed with serve.auth")
    ] = None
    ca: Annotated[
        str | None, Meta(description="file that signs the service's certificate, where Prometheus runs; left out: the system's")
    ] = None
    alertmanager: Annotated[ScrapeAddress, Meta(description="where Prometheus finds Alertmanager")] = "127.0.0.1:9093"
    webhook: Annotated[Url | None, Meta(description="where Alertmanager sends every alert")] = None
    webhook_token: Annotated[str | None, Meta(description="file with the webhook's bearer token, where Alertmanager runs")] = (
        None
    )
    alerts: Alerts = Alerts()
    retrain: Retrain | None = None


class LocalTarget(Part, frozen=True, kw_only=True):
    """This machine, without a container engine."""

    port: Annotated[
        int | None,
        Meta(ge=1, le=65535, description="left out: the first free port from 8080 on, kept for later releases"),
    ] = None
    host: Annotated[str, Meta(description="the address to listen on")] = "127.0.0.1"


class Tls(Part, frozen=True, kw_only=True):
    """Certificate and key."""

    cert: Annotated[str, Meta(description="PEM file: the server's certificate first, then those that sign it")]
    key: Annotated[str, Meta(description="secret:NAME, with NAME a key of secrets; the model does not get that one")]


class Limits(Part, frozen=True, kw_only=True):
    """What one client may do; more is answered with 429."""

    rate: Annotated[
        str | None,
        Meta(
            pattern=r"^[1-9][0-9]{0,6}/s$",
            description="requests a second, such as 100/s",
            extra={"wanted": "a rate, such as 100/s"},
        ),
    ] = None
    connections: Annotated[int | None, Meta(ge=1, le=1_000_000, description="open at once")] = None


class DockerTarget(Part, frozen=True, kw_only=True):
    """A Docker engine."""

    port: Annotated[int, Meta(ge=1, le=65535, description="published port")] = 8080
    host: Annotated[str, Meta(description="the address to publish on")] = "127.0.0.1"
    hosts: Annotated[
        tuple[str, ...],
        Meta(description="engines that are served one after the other, such as ssh://deploy@host; DOCKER_HOST when left out"),
    ] = ()
    tls: Annotated[Tls | None, Meta(description="the published port speaks HTTPS")] = None
    limits: Limits = Limits()
    egress: Annotated[bool, Meta(description="replicas may reach other machines")] = False


class AwsTarget(Part, frozen=True, kw_only=True):
    """Amazon Web Services. What is named here is there already; what is left out mlship makes."""

    region: AwsRegion | None = None
    account: Annotated[str | None, Meta(pattern=r"^[0-9]{12}$", extra={"wanted": "an account: twelve digits in quotes"})] = None
    service: Literal["ecs", "sagemaker", "lambda", "vm"] = "ecs"
    instance: Annotated[str | None, Meta(description="type of machine of sagemaker and vm, such as m7g.large")] = None
    subnets: Annotated[
        tuple[str, ...], Meta(description="private ones, that reach the registry; the default network's if none")
    ] = ()
    security_groups: Annotated[tuple[str, ...], Meta(description="of the tasks, and of the balancer if mlship makes it")] = ()
    roles: Annotated[dict[str, str], Meta(description="task, execution and infrastructure: names or ARNs")] = field(
        default_factory=dict
    )
    cluster: str | None = None
    listener: Annotated[Arn | None, Meta(description="ARN of a balancer's listener that others may use, too; with hosts")] = (
        None
    )
    hosts: Annotated[tuple[str, ...], Meta(description="names by which callers come to the listener")] = ()
    priority: Annotated[
        int | None, Meta(ge=1, le=49_998, description="of the first of three rules of the listener; 100 when left out")
    ] = None
    callers: Annotated[
        tuple[str, ...], Meta(description="networks that reach the balancer that mlship makes; private ones when left out")
    ] = ()
    certificate: Annotated[Arn | None, Meta(description="ARN of ACM's, for the balancer that mlship makes; with hosts")] = None
    balancer: Annotated[
        bool, Meta(description="of ecs; false: none, callers in the network find the tasks by a name, and releases are rolling")
    ] = True
    namespace: Annotated[
        str | None,
        Meta(
            pattern=r"^ns-[a-z0-9]+$",
            description="of Cloud Map, with balancer: false: where that name is; made when left out",
            extra={"wanted": "the id of a namespace of Cloud Map: ns-..."},
        ),
    ] = None
    repository: Annotated[str | None, Meta(description="name of a repository of ECR")] = None
    bucket: Annotated[BucketName | None, Meta(description="of S3, for records; mlship-ACCOUNT-REGION when left out")] = None
    kms_key: Annotated[Arn | None, Meta(description="ARN of the key for logs, images and records")] = None
    permissions_boundary: Annotated[str | None, Meta(description="policy for the roles that mlship makes: name or ARN")] = None


class GcpTarget(Part, frozen=True, kw_only=True):
    """Google Cloud."""

    region: GcpRegion | None = None
    project: str | None = None
    service: Literal["cloud-run", "vertex", "vm"] = "cloud-run"
    instance: Annotated[str | None, Meta(description="type of machine of vertex and vm, such as n2-standard-2")] = None
    billing: Annotated[
        Literal["request", "instance"], Meta(description="of cloud-run: while requests are served, or all the while")
    ] = "request"
    service_account: Annotated[str | None, Meta(description="whom the server runs as; Compute Engine's own when left out")] = (
        None
    )
    vpc_connector: Annotated[str | None, Meta(description="of cloud-run: the way to private addresses")] = None
    network: Annotated[str | None, Meta(description="of cloud-run: the same without a connector (Direct VPC)")] = None
    subnet: Annotated[
        str | None, Meta(description="of cloud-run: of that network, in the region; the one of its name if left out")
    ] = None
    repository: str | None = None
    bucket: Annotated[BucketName | None, Meta(description="of Cloud Storage, for the records; made when left out")] = None
    ingress: Annotated[
        Literal["all", "internal", "load-balancer"] | None,
        Meta(description="of cloud-run: from where callers come, who have to be authorised in any case; all when left out"),
    ] = None
    accelerator: Annotated[
        Literal["nvidia-l4", "nvidia-rtx-pro-6000"] | None,
        Meta(description="of cloud-run with resources.gpu; nvidia-l4 when left out"),
    ] = None
    reservation: Annotated[
        str | None,
        Meta(
            description="of vertex: ZONE/NAME, or the whole name, of reserved machines; no others are used",
            pattern=r"^(projects/[^/]+/zones/[a-z0-9-]+/reservations/|[a-z]+-[a-z]+[0-9]+-[a-z]/)[a-z][a-z0-9-]{0,62}$",
            extra={"wanted": "ZONE/NAME, such as us-central1-a/ml-gpus"},
        ),
    ] = None


class EntraCallers(Part, frozen=True, kw_only=True):
    """Who may call a container app that is open to the internet: Azure lets nobody else in."""

    client_id: Annotated[str, Meta(description="the app registration that callers ask a token for")]
    tenant: Annotated[str, Meta(description="whose tokens are taken")]
    audience: Annotated[str | None, Meta(description="of the tokens; api://CLIENT_ID when left out")] = None
    principals: Annotated[
        tuple[str, ...], Meta(description="object ids of who may call; everybody with a token when left out")
    ] = ()


class AzureTarget(Part, frozen=True, kw_only=True):
    """Microsoft Azure. What is named here is there already; what is left out is made, its records' storage account included."""

    region: AzureRegion | None = None
    subscription: Annotated[str | None, Meta(description="the only one that the credentials see, when left out")] = None
    resource_group: Annotated[str | None, Meta(description="mlship when left out")] = None
    workspace: Annotated[str | None, Meta(description="of Azure Machine Learning, for azureml")] = None
    identity: Annotated[str | None, Meta(description="a user-assigned managed identity that may pull from the registry")] = None
    environment: Annotated[str | None, Meta(description="of container-apps: where apps run")] = None
    registry: Annotated[str | None, Meta(description="for images, such as acmeml or acmeml.azurecr.io")] = None
    storage: Annotated[str | None, Meta(description="account for the records")] = None
    logs: Annotated[str | None, Meta(description="workspace of Log Analytics, for an environment that is made")] = None
    subnet: Annotated[
        str | None, Meta(description="whole path of the one that an environment is made in; callers come from its network")
    ] = None
    callers: Annotated[
        Literal["environment", "network"] | None,
        Meta(description="network: of the environment, or of azureml's workspace; environment: its other apps alone"),
    ] = None
    entra: EntraCallers | None = None
    cloud: Annotated[
        Literal["public", "china", "usgov"] | None, Meta(description="AZURE_AUTHORITY_HOST tells when left out")
    ] = None
    service: Literal["container-apps", "azureml", "vm"] = "container-apps"
    instance: Annotated[str | None, Meta(description="type of machine of azureml and vm, such as Standard_F4s_v2")] = None
    auth: Annotated[
        Literal["key", "aml_token", "aad_token"] | None,
        Meta(description="of azureml, as Azure names it: what callers come with; key when left out"),
    ] = None


class KubernetesTarget(Part, frozen=True, kw_only=True):
    """A Kubernetes cluster."""

    context: str | None = None
    namespace: str = "default"
    service: Literal["deployment", "kserve"] = "deployment"
    cloud: Annotated[Literal["aws", "gcp", "azure"] | None, Meta(description="whose machines the nodes are; for estimates")] = (
        None
    )
    region: Annotated[str | None, Meta(description="where the nodes are; for estimates")] = None
    instance: Annotated[str | None, Meta(description="type of the nodes; for estimates")] = None


class Targets(Part, frozen=True, kw_only=True):
    """Settings of each target."""

    local: LocalTarget = LocalTarget()
    docker: DockerTarget = DockerTarget()
    aws: AwsTarget = AwsTarget()
    gcp: GcpTarget = GcpTarget()
    azure: AzureTarget = AzureTarget()
    kubernetes: KubernetesTarget = KubernetesTarget()


class Document(Part, frozen=True, kw_only=True):
    """The whole of mlship.yaml, as it is written."""

    schema: Annotated[Literal[1], Meta(description="version of this file's format")] = 1
    name: Name
    target: Annotated[TargetName, Meta(description="where `deploy` goes without --target")] = "local"
    labels: Annotated[dict[LabelName, LabelValue], Meta(description="go to every resource")] = field(default_factory=dict)
    model: Annotated[str | Model | None, Meta(description="a string is its uri")] = None
    models: Annotated[dict[Name, str | Model], Meta(description="several models by name")] = field(default_factory=dict)
    serve: Serve = Serve()
    env: Annotated[dict[VariableName, VariableValue], Meta(description="the server's environment; no secrets")] = field(
        default_factory=dict
    )
    secrets: Annotated[
        dict[VariableName, dict[str, str]],
        Meta(description="by target, where they are: env, env:OTHER, file:PATH; at a cloud, the name in its store"),
    ] = field(default_factory=dict)
    build: Build = Build()
    resources: Resources = Resources()
    scale: Scale = Scale()
    slo: Slo = Slo()
    cost: Cost = Cost()
    rollout: Rollout = Rollout()
    monitoring: Monitoring = Monitoring()
    public: Annotated[bool, Meta(description="reachable from the internet")] = False
    targets: Targets = Targets()
    environments: Annotated[
        dict[EnvironmentName, Any], Meta(description="what differs, by environment: the same keys again")
    ] = field(default_factory=dict)


# An environment lays the other keys over the document.
SAME_EVERYWHERE = ("schema", "name", "environments")
