"""Every key of mlship.yaml: names, types, defaults and one line of meaning each.

The loader, `mlship schema` and the reference are made from these types. A default stands only here.
Keys that are part of the design but not built yet are named in `not_yet.py`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

from mlship.units import Cpu, Duration, Memory, Money

Name = Annotated[
    str,
    Meta(pattern=r"^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$", description="lower case letters, digits and dashes, at most 40"),
]
TargetName = Literal["local", "docker", "aws", "gcp", "azure", "kubernetes", "fake"]


class Part(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A section of the file."""


class Tolerance(Part, frozen=True, kw_only=True):
    """How far a number may be from the build's own answer: |a - b| <= atol + rtol * |b|; classes are compared exactly."""

    rtol: float = 1e-6
    atol: float = 1e-9


class Holdout(Part, frozen=True, kw_only=True):
    """A quality gate on labelled rows."""

    data: str
    label: str
    min: dict[str, float | str] = field(default_factory=dict)


class Model(Part, frozen=True, kw_only=True):
    """The trained model."""

    uri: Annotated[str, Meta(description="path of the model file, relative to mlship.yaml")]
    framework: Annotated[str | None, Meta(description="sklearn or python; detected when left out")] = None
    code: Annotated[tuple[str, ...], Meta(description="your own packages that the model needs")] = ()
    trust: Annotated[
        tuple[str, ...], Meta(description="exact names that the safe reader may load besides the framework's")
    ] = ()
    loader: Annotated[str | None, Meta(description="module:Class with load(path) and predict(rows), for framework python")] = (
        None
    )
    sample: Annotated[str | None, Meta(description="JSON file with example inputs; verify, warm-up and /docs use it")] = None
    tolerance: Tolerance | None = None
    golden: str | None = None
    holdout: Holdout | None = None
    reference: str | None = None
    engine: Literal["auto", "original", "onnx", "numpy", "trees"] = "auto"
    quantize: Literal["int8"] | None = None


class Batching(Part, frozen=True, kw_only=True):
    """Requests that arrive together are computed together."""

    max_rows: int | None = None
    max_delay: Duration = Duration(0)


class Jwt(Part, frozen=True, kw_only=True):
    """Bearer tokens of an identity provider."""

    issuer: str
    audience: str
    roles: dict[str, str] = field(default_factory=dict)


class Auth(Part, frozen=True, kw_only=True):
    """Who may call."""

    api_keys: str | None = None
    jwt: Jwt | None = None


Protocol = Literal["native", "v2", "sagemaker", "vertex", "azureml", "mlflow", "tfserving"]


class Serve(Part, frozen=True, kw_only=True):
    """How the server answers."""

    protocols: Annotated[tuple[Protocol, ...], Meta(description="wire formats on the one port")] = (
        "native",
        "sagemaker",
    )
    method: Annotated[
        Literal["predict", "predict_proba", "decision_function", "transform", "score_samples"] | None,
        Meta(description="the model's method; left out: predict, with probabilities beside it where the model has them"),
    ] = None
    outputs: dict[str, str] = field(default_factory=dict)
    passthrough: tuple[str, ...] = ()
    hooks: str | None = None
    batching: Batching = Batching()
    request_timeout: Duration = Duration(2)
    startup_timeout: Duration = Duration(60)
    max_body: Memory = Memory(4_000_000)
    workers: Annotated[int | Literal["auto"], Meta(description="processes; auto: one a core")] = "auto"
    auth: Auth | None = None
    invocations: Literal["sagemaker", "mlflow"] = "sagemaker"


class Build(Part, frozen=True, kw_only=True):
    """What goes into the image besides the model."""

    python: Annotated[
        str | None,
        Meta(description='minor version in quotes, such as "3.11"; from the training environment when left out'),
    ] = None
    requirements: Annotated[
        str | None,
        Meta(
            description="requirements.txt, uv.lock, poetry.lock, pyproject.toml or environment.yml; the training environment when left out"
        ),
    ] = None
    packages: Annotated[tuple[str, ...], Meta(description="operating-system packages")] = ()
    base: Annotated[str, Meta(description="debian: assembled from signed packages; or an image reference")] = "debian"
    mirror: Annotated[str | None, Meta(description="Debian mirror, where the machine's apt does not tell")] = None
    platforms: tuple[Literal["linux/amd64", "linux/arm64"], ...] | None = None
    compression: Literal["gzip", "zstd"] = "gzip"
    max_size: Memory | None = None


class Gpu(Part, frozen=True, kw_only=True):
    """Accelerators of one replica."""

    type: str
    count: int = 1


class Resources(Part, frozen=True, kw_only=True):
    """What one replica gets."""

    cpu: Cpu = Cpu(1000)
    memory: Memory = Memory(2 * 2**30)
    gpu: str | Gpu | None = None


class Replicas(Part, frozen=True, kw_only=True):
    """From how many to how many."""

    min: int = 1
    max: int = 1


class Scheduled(Part, frozen=True, kw_only=True):
    """A floor of replicas at certain times."""

    cron: str
    min: int


class Scale(Part, frozen=True, kw_only=True):
    """How many replicas, and when more."""

    replicas: Replicas = Replicas()
    metric: Literal["concurrency", "rps", "cpu", "gpu", "queue"] = "concurrency"
    per_replica: float | None = None
    down_after: Duration = Duration(300)
    schedule: tuple[Scheduled, ...] = ()


class Slo(Part, frozen=True, kw_only=True):
    """What callers are promised."""

    p99: Duration | None = None
    availability: str | None = None


class Commitment(Part, frozen=True, kw_only=True):
    """A reservation that you hold already; mlship never buys one."""

    term: Literal["1y", "3y"]
    upfront: Literal["none", "partial", "all"] = "none"


class Traffic(Part, frozen=True, kw_only=True):
    """What the cost estimate assumes."""

    rps: float | None = None
    peak: float | None = None
    profile: str | None = None


class Budget(Part, frozen=True, kw_only=True):
    """Above this the estimate ends with exit 9."""

    monthly: Money | None = None
    per_million: Money | None = None


class Cost(Part, frozen=True, kw_only=True):
    """How capacity is bought, and what it may cost."""

    profile: Literal["on-demand", "spot", "reserved"] = "on-demand"
    on_demand_base: int | None = None
    commitment: Commitment | None = None
    traffic: Traffic | str | None = None
    budget: Budget | None = None
    price_overrides: str | None = None


class Rollout(Part, frozen=True, kw_only=True):
    """How a new release takes over."""

    strategy: Literal["recreate", "rolling", "blue-green", "canary"] | None = None
    steps: tuple[str, ...] = ()
    bake: Duration | None = None
    min_requests: int = 200
    gates: tuple[str, ...] = ()
    on_fail: Literal["rollback", "pause"] = "rollback"
    approve: Literal["auto", "manual"] = "auto"
    keep: Annotated[int, Meta(ge=1, le=100, description="releases that stay restorable, the live one counted")] = 5


class LocalTarget(Part, frozen=True, kw_only=True):
    """This machine, without a container engine."""

    port: Annotated[
        int | None,
        Meta(ge=1, le=65535, description="left out: the first free port from 8080 on, kept for later releases"),
    ] = None
    host: Annotated[str, Meta(description="the address to listen on")] = "127.0.0.1"


class Tls(Part, frozen=True, kw_only=True):
    """Certificate and key."""

    cert: str
    key: str


class DockerTarget(Part, frozen=True, kw_only=True):
    """A Docker engine."""

    port: Annotated[int, Meta(ge=1, le=65535, description="published port")] = 8080
    host: Annotated[str, Meta(description="the address to publish on")] = "127.0.0.1"
    hosts: tuple[str, ...] = ()
    tls: Tls | None = None
    limits: dict[str, str] = field(default_factory=dict)


class AwsTarget(Part, frozen=True, kw_only=True):
    """Amazon Web Services."""

    region: str | None = None
    account: str | None = None
    service: Literal["ecs", "sagemaker", "lambda", "vm"] = "ecs"
    subnets: tuple[str, ...] = ()
    security_groups: tuple[str, ...] = ()
    roles: dict[str, str] = field(default_factory=dict)
    cluster: str | None = None
    listener: str | None = None
    repository: str | None = None
    kms_key: str | None = None
    permissions_boundary: str | None = None


class GcpTarget(Part, frozen=True, kw_only=True):
    """Google Cloud."""

    region: str | None = None
    project: str | None = None
    service: Literal["cloud-run", "vertex", "vm"] = "cloud-run"
    service_account: str | None = None
    vpc_connector: str | None = None
    repository: str | None = None


class AzureTarget(Part, frozen=True, kw_only=True):
    """Microsoft Azure."""

    region: str | None = None
    subscription: str | None = None
    resource_group: str | None = None
    workspace: str | None = None
    identity: str | None = None
    environment: str | None = None
    service: Literal["container-apps", "azureml", "vm"] = "container-apps"


class KubernetesTarget(Part, frozen=True, kw_only=True):
    """A Kubernetes cluster."""

    context: str | None = None
    namespace: str = "default"
    service: Literal["deployment", "kserve"] = "deployment"


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

    schema: Literal[1] = 1
    name: Name
    target: Annotated[TargetName, Meta(description="where `deploy` goes without --target")] = "local"
    labels: dict[str, str] = field(default_factory=dict)
    model: str | Model | None = None
    models: dict[str, str | Model] = field(default_factory=dict)
    serve: Serve = Serve()
    env: dict[str, str] = field(default_factory=dict)
    secrets: dict[str, dict[str, str]] = field(default_factory=dict)
    build: Build = Build()
    resources: Resources = Resources()
    scale: Scale = Scale()
    slo: Slo = Slo()
    cost: Cost = Cost()
    rollout: Rollout = Rollout()
    public: bool = False
    targets: Targets = Targets()
    environments: Annotated[dict[str, Any], Meta(description="what differs, by environment: the same keys again")] = field(
        default_factory=dict
    )
